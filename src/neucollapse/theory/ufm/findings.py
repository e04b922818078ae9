"""What a simulation of unconstrained features tells."""

from collections.abc import Sequence
from statistics import median

import torch

from ...geometry import best_known
from .._model import Comparison, Findings, Line, Plot, Row, State, series
from .objective import network, nuclear_decay
from .optimum import UFMOptimum, ufm_optimum
from .settings import UFM

TOLERANCE = 1e-8
"""Within which a prediction holds, relative to numbers above 1."""

_SHOWN = ("nc1/pinv", "nc2/etf_distance", "nc3/frobenius", "gnc2/margin@weight")


def optimum_findings(model, state: State, rows: Sequence[Row]) -> Findings:
    """Under decay, in a ball, with weight-norm: the optimum from all starts, gradient descent, saddles."""
    settings: UFM = model.settings
    optimum = ufm_optimum(settings)
    found = _ends(rows, "start ", settings.starts)
    best = min(found, key=lambda numbers: numbers["objective"])
    comparisons = _comparisons(settings, optimum, state, best) if optimum else []
    misses = [line.name for line in comparisons if not _agree(line)]
    sentences = [_headline(settings, optimum, comparisons, misses), *_about_starts(found, optimum)]
    sentences += _about_descent(settings, rows, best) + _about_saddles(rows)
    return Findings(
        sentences=sentences,
        comparisons=comparisons,
        plots=_trajectories(settings, optimum, rows) + _saddle_plot(rows),
        tensors=_tensors(settings, state, optimum),
        agrees=not misses if optimum else None,
    )


def path_findings(model, state: State, rows: Sequence[Row]) -> Findings:
    """On the sphere: the margin over temperatures, annealed and cold, beside the best code's."""
    settings: UFM = model.settings
    K, d, key = settings.classes, settings.dim, "gnc2/margin@weight"
    known, optimum = best_known(K, d).margin, ufm_optimum(settings)
    ends = _ends(rows, "annealed ", settings.starts)
    margins = [numbers[key] for numbers in ends]
    reached, middle = max(margins), median(margins)
    limit = Comparison(
        key, known, reached, "the best margin at the last temperature; the prediction is that of the best code known"
    )
    comparisons = [limit]
    if optimum:
        best = min(ends, key=lambda numbers: numbers["objective"])
        comparisons += _comparisons(settings, optimum, state, best)
    misses = [line.name for line in comparisons if not _agree(line)]
    sentences = [
        f"At temperature {settings.temperature:g} the class directions reach a margin of {reached:.5f} (median of "
        f"{settings.starts} starts {middle:.5f}), {100 * reached / known:.1f} % of {known:.5f}, the best of {K} points known in "
        f"{d} dimensions.",
        f"The closed form, a simplex, is {'met' if not misses else 'missed'} to {TOLERANCE:g}."
        if optimum
        else "No closed form is known here: at a finite temperature the optimum is no softmax code, and there are local minima.",
    ]
    cold = _ends(rows, "cold ", settings.starts)
    if cold:
        sentences.append(
            f"From random starts at the last temperature alone, without the path, the median margin is "
            f"{median(numbers[key] for numbers in cold):.5f}."
        )
    return Findings(
        sentences=sentences,
        comparisons=comparisons,
        plots=[_path_plot(rows, key, known)],
        tensors=_tensors(settings, state, optimum),
        agrees=not misses if optimum else None,
    )


def _ends(rows: Sequence[Row], prefix: str, count: int) -> list[dict[str, float]]:
    """The last numbers of each start."""
    ends: list[dict[str, float]] = [{} for _ in range(count)]
    for row in rows:
        if row.series.startswith(prefix):
            ends[int(row.series.removeprefix(prefix))] |= {row.key: row.value, "x": row.x}
    return [numbers for numbers in ends if numbers]


def _agree(line: Comparison) -> bool:
    return abs(line.predicted - line.found) <= TOLERANCE * max(1.0, abs(line.predicted))


def _comparisons(settings: UFM, optimum: UFMOptimum, state: State, best: dict[str, float]) -> list[Comparison]:
    lines = [Comparison("objective", optimum.value, best["objective"], "the value of the objective at the best start")]
    if settings.constraint == "sphere":
        return lines + _metric_lines(settings, optimum, best)
    H, W, _ = network(settings, state)
    means = H.reshape(settings.classes, settings.samples, -1).mean(dim=1)
    values = torch.linalg.svdvals(W @ means.mT)
    predicted = torch.linalg.svdvals(optimum.logits)
    for index in sorted({0, min(settings.dim, settings.classes) - 1}):
        meaning = f"singular value {index + 1} of the logits of the class means, without the bias"
        lines.append(Comparison(f"singular value {index + 1}", float(predicted[index]), float(values[index]), meaning))
    return lines + _metric_lines(settings, optimum, best)


def _metric_lines(settings: UFM, optimum: UFMOptimum, best: dict[str, float]) -> list[Comparison]:
    if not bool(optimum.logits.any()):
        return []  # collapsed to zero: what is left is rounding, without a geometry
    metrics = optimum.metrics(settings.samples)
    if not optimum.unique:  # any subspace will do
        metrics = {key: value for key, value in metrics.items() if key == "nc1/cdnv"}
    return [
        Comparison(key, value, best[key], "of the predicted optimum") for key, value in metrics.items() if key in best
    ]


def _headline(settings: UFM, optimum: UFMOptimum | None, comparisons: Sequence[Comparison], misses: list[str]) -> str:
    K, d = settings.classes, settings.dim
    if optimum is None:
        return f"No closed form of the optimum is known for {settings.loss} with K = {K} classes in d = {d} dimensions."
    if misses:
        return f"The predicted optimum is missed beyond {TOLERANCE:g} in {', '.join(misses)}."
    if not bool(optimum.logits.any()):
        return (
            f"Everything collapses to zero, as predicted: the decay of the class logits' nuclear norm, "
            f"{nuclear_decay(settings):.4g}, is at least the threshold."
        )
    worst = max(abs(line.predicted - line.found) for line in comparisons)
    shape = (
        "the predicted optimum"
        if optimum.unique
        else "one of the predicted optima, which differ by the choice of a subspace"
    )
    return f"The solver ends in {shape}: value, spectrum and metrics of collapse agree to {worst:.1e}."


def _about_starts(found: list[dict[str, float]], optimum: UFMOptimum | None) -> list[str]:
    values = [numbers["objective"] for numbers in found]
    lowest = optimum.value if optimum else min(values)
    same = sum(value - lowest <= TOLERANCE * max(1.0, abs(lowest)) for value in values)
    gradient = max(numbers["gradient norm"] for numbers in found)
    return [
        f"{same} of {len(values)} random starts end at the {'predicted' if optimum else 'lowest'} value; the largest "
        f"gradient norm at an end is {gradient:.1e}, after {median(numbers['x'] for numbers in found):.0f} evaluations (median)."
    ]


def _about_descent(settings: UFM, rows: Sequence[Row], best: dict[str, float]) -> list[str]:
    ends = [row for row in rows if row.series == "gradient descent"]
    if not ends:
        return []
    last = {row.key: row.value for row in ends}
    return [
        f"Plain gradient descent (step {settings.lr:g}, momentum {settings.momentum:g}) is after {settings.gd_steps} steps "
        f"{last['objective'] - best['objective']:.1e} above the best value, with a gradient norm of {last['gradient norm']:.1e}."
    ]


def _about_saddles(rows: Sequence[Row]) -> list[str]:
    ranks, curvatures = series(rows, "least curvature", "saddles")
    _, predicted = series(rows, "predicted", "saddles")
    if not ranks:
        return []
    if min(predicted) > -1e-9:  # the optimum is zero, and has no points of lower rank
        return [f"There is no saddle to look for; the least curvature at zero is {min(curvatures):.2e}."]
    strict = [(rank, value) for rank, value in zip(ranks, curvatures, strict=True) if value < -1e-9]
    gap = max(abs(a - b) for a, b in zip(curvatures, predicted, strict=True))
    return [
        f"{len(strict)} of {len(ranks)} critical points of lower rank ({', '.join(f'{rank:.0f}' for rank in ranks)}) are strict "
        f"saddles; their least curvatures ({', '.join(f'{value:.2e}' for value in curvatures)}) "
        f"match the closed form to {gap:.1e}."
    ]


def _trajectories(settings: UFM, optimum: UFMOptimum | None, rows: Sequence[Row]) -> list[Plot]:
    metrics = optimum.metrics(settings.samples) if optimum and optimum.unique else {}
    value = {"objective": optimum.value} if optimum else {}
    plots = []
    for key in ("objective", "gradient norm", *_SHOWN):
        lines = [Line("gradient descent", *series(rows, key, "gradient descent"), role="baseline")]
        lines += [Line(f"start {i}", *series(rows, key, f"start {i}")) for i in range(settings.starts)]
        lines = [line for line in lines if line.x]
        if not lines:
            continue
        target = (value | metrics).get(key)
        ends = [min(x for line in lines for x in line.x), max(x for line in lines for x in line.x)]
        if target is not None:
            lines.append(Line("predicted", ends, [target] * 2, role="predicted"))
        log = key in ("gradient norm", "nc1/pinv", "nc2/etf_distance", "nc3/frobenius") and not target
        caption = (
            "Solid: L-BFGS and Newton steps from each start. Dotted: gradient descent. Dashed: the predicted optimum."
        )
        plots.append(
            Plot(key, "evaluations of the gradient", key, lines, caption, log_y=log, metric=key if "/" in key else "")
        )
    return plots


def _saddle_plot(rows: Sequence[Row]) -> list[Plot]:
    found = series(rows, "least curvature", "saddles")
    if not found[0]:
        return []
    lines = [
        Line("found", *found, points=True),
        Line("predicted", *series(rows, "predicted", "saddles"), role="predicted"),
    ]
    caption = (
        "Least eigenvalue of the Hessian at the optimum of each rank, seen in all dimensions. Below 0: a strict saddle."
    )
    return [Plot("Curvature of critical points", "rank", "least curvature", lines, caption)]


def _path_plot(rows: Sequence[Row], key: str, known: float) -> Plot:
    names = dict.fromkeys(row.series for row in rows if row.series.startswith(("annealed", "cold")))
    lines = [
        Line(name, *series(rows, key, name), role="baseline" if name.startswith("cold") else "found", points=True)
        for name in names
    ]
    ends = [min(x for line in lines for x in line.x), max(x for line in lines for x in line.x)]
    lines.append(Line("best code known", ends, [known] * 2, role="predicted"))
    caption = (
        "Exact one-vs-rest margin of the class directions. Solid: each temperature begun where the last one ended. Dotted: from "
        "a random start at that temperature. Dashed: the best code known, the limit at temperature 0."
    )
    return Plot("Margin over the temperature", "temperature", key, lines, caption, log_x=True, metric=key)


def _tensors(settings: UFM, state: State, optimum: UFMOptimum | None) -> State:
    H, W, b = network(settings, state)
    tensors = {"features": H.detach(), "weight": W.detach()} | ({} if b is None else {"bias": b.detach()})
    if optimum is not None:
        tensors |= {
            "predicted_weight": optimum.weight,
            "predicted_means": optimum.means,
            "predicted_logits": optimum.logits,
        }
    return {name: tensor.contiguous() for name, tensor in tensors.items()}
