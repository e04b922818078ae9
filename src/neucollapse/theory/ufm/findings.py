"""What a simulation of unconstrained features tells."""

from collections.abc import Sequence
from statistics import median

import torch

from ...geometry import best_known
from .._findings import curve, last, level
from .._model import Comparison, Findings, Line, Plot, Row, State, series
from .objective import network, nuclear_decay
from .optimum import UFMOptimum, ufm_optimum
from .settings import UFM

TOLERANCE = 1e-8
"""Within which a prediction holds, relative to numbers above 1."""

_MARGIN = "gnc2/margin@weight"
_SHOWN = ("nc1/pinv", "nc2/etf_distance", "nc3/frobenius", _MARGIN)


def ufm_findings(settings: UFM, state: State, rows: Sequence[Row]) -> Findings:
    """The optimum from all starts beside its closed form; on the sphere, the margin along the path of temperatures."""
    sphere, optimum = settings.constraint == "sphere", ufm_optimum(settings)
    ends = _ends(settings, rows, "annealed" if sphere else "start")
    best = min(ends, key=lambda numbers: numbers["objective"])
    comparisons = _comparisons(settings, optimum, state, best) if optimum else []
    misses = [line.name for line in comparisons if not _close(line.found, line.predicted)]
    if sphere:
        limit, sentences = _about_path(
            settings, rows, [numbers[_MARGIN] for numbers in ends], misses if optimum else None
        )
        comparisons, plots = [limit, *comparisons], [_path_plot(rows, limit)]
    else:
        sentences = [_headline(settings, optimum, comparisons, misses), _about_starts(settings, rows, ends, optimum)]
        sentences += _about_descent(settings, rows, best) + _about_saddles(rows)
        plots = _trajectories(settings, optimum, rows) + _saddle_plot(rows)
    agrees = not misses if optimum else None
    return Findings(sentences, comparisons, plots, _tensors(settings, state, optimum), agrees)


def _ends(settings: UFM, rows: Sequence[Row], kind: str) -> list[dict[str, float]]:
    """The last numbers of each start of a kind."""
    return [numbers for i in range(settings.starts) if (numbers := last(rows, f"{kind} {i}"))]


def _close(found: float, predicted: float) -> bool:
    return abs(predicted - found) <= TOLERANCE * max(1.0, abs(predicted))


def _comparisons(settings: UFM, optimum: UFMOptimum, state: State, best: dict[str, float]) -> list[Comparison]:
    lines = [Comparison("objective", optimum.value, best["objective"], "the value of the objective at the best start")]
    if settings.constraint != "sphere" and optimum.known != "value":
        H, W, _ = network(settings, state)
        means = H.reshape(settings.classes, settings.samples, -1).mean(dim=1)
        predicted, found = (torch.linalg.svdvals(Z).tolist() for Z in (optimum.logits, W @ means.mT))
        for i in sorted({0, min(settings.dim, settings.classes) - 1}):
            name = f"singular value {i + 1}"
            meaning = f"{name} of the logits of the class means, without the bias"
            lines.append(Comparison(name, predicted[i], found[i], meaning))
    if not bool(optimum.logits.any()):
        return lines  # collapsed to zero: what is left is rounding, without a geometry
    metrics = optimum.metrics(settings.samples).items()
    return lines + [Comparison(key, x, best[key], "of the predicted optimum") for key, x in metrics if key in best]


def _about_path(
    settings: UFM, rows: Sequence[Row], margins: list[float], misses: list[str] | None
) -> tuple[Comparison, list[str]]:
    """The best margin at the last temperature, beside that of the best code known, and what the path tells."""
    K, d, best, known = settings.classes, settings.dim, max(margins), best_known(settings.classes, settings.dim)
    limit, what = "that of the best code known", f"the best of {K} points known in {d} dimensions"
    if known.status == "bound":
        limit, what = (
            "a bound, as no code is on record",
            f"which no {K} points in {d} dimensions exceed; no code is on record",
        )
    meaning = f"the best margin at the last temperature; the prediction is {limit}"
    sentences = [
        f"At temperature {settings.temperature:g} the class directions reach a margin of {best:.5f} (median of "
        f"{settings.starts} starts {median(margins):.5f}), {100 * best / known.margin:.1f} % of {known.margin:.5f}, {what}.",
        "No closed form is known here: at a finite temperature the optimum is no softmax code, and there are local minima."
        if misses is None
        else f"The closed form, a simplex, is {'missed' if misses else 'met'} to {TOLERANCE:g}.",
    ]
    cold = _ends(settings, rows, "cold")
    if cold:
        sentences.append(
            "From random starts at the last temperature alone, without the path, the median margin is "
            f"{median(numbers[_MARGIN] for numbers in cold):.5f}."
        )
    return Comparison(_MARGIN, known.margin, best, meaning), sentences


def _headline(settings: UFM, optimum: UFMOptimum | None, comparisons: Sequence[Comparison], misses: list[str]) -> str:
    K, d = settings.classes, settings.dim
    if optimum is None:
        return f"No closed form of the optimum is known for {settings.loss} with K = {K} classes in d = {d} dimensions."
    if misses:
        return f"The predicted optimum is missed beyond {TOLERANCE:g} in {', '.join(misses)}."
    if not bool(optimum.logits.any()):
        return (
            "Everything collapses to zero, as predicted: the decay of the class logits' nuclear norm, "
            f"{nuclear_decay(settings):.4g}, is at least the threshold."
        )
    worst = max(abs(line.predicted - line.found) for line in comparisons)
    if optimum.known == "value":
        return f"The solver reaches the least value, which many factors of the logits have inside the ball, to {worst:.1e}."
    whole = optimum.known == "all"
    shape = (
        "the predicted optimum" if whole else "one of the predicted optima, which differ by the choice of a subspace"
    )
    return f"The solver ends in {shape}: value, spectrum and metrics of collapse agree to {worst:.1e}."


def _about_starts(settings: UFM, rows: Sequence[Row], ends: list[dict[str, float]], optimum: UFMOptimum | None) -> str:
    values = [numbers["objective"] for numbers in ends]
    lowest = optimum.value if optimum else min(values)
    same = sum(value - lowest <= TOLERANCE * max(1.0, abs(lowest)) for value in values)
    gradient = max(numbers["gradient norm"] for numbers in ends)
    evaluations = median(series(rows, "objective", f"start {i}")[0][-1] for i in range(settings.starts))
    return (
        f"{same} of {len(values)} random starts end at the {'predicted' if optimum else 'lowest'} value; the largest "
        f"gradient norm at an end is {gradient:.1e}, after {evaluations:.0f} evaluations (median)."
    )


def _about_descent(settings: UFM, rows: Sequence[Row], best: dict[str, float]) -> list[str]:
    end = last(rows, "gradient descent")
    if not end:
        return []
    return [
        f"Plain gradient descent (step {settings.lr:g}, momentum {settings.momentum:g}) is after {settings.gd_steps} steps "
        f"{end['objective'] - best['objective']:.1e} above the best value, with a gradient norm of {end['gradient norm']:.1e}."
    ]


def _about_saddles(rows: Sequence[Row]) -> list[str]:
    ranks, found = series(rows, "least curvature", "saddles")
    predicted = series(rows, "predicted", "saddles")[1]
    if not ranks:
        return []
    if min(predicted) > -1e-9:  # the optimum is zero, and has no points of lower rank
        return [f"There is no saddle to look for; the least curvature at zero is {min(found):.2e}."]
    gap = max(abs(a - b) for a, b in zip(found, predicted, strict=True))
    return [
        f"{sum(value < -1e-9 for value in found)} of {len(ranks)} critical points of lower rank "
        f"({', '.join(f'{rank:.0f}' for rank in ranks)}) are strict saddles; their least curvatures "
        f"({', '.join(f'{value:.2e}' for value in found)}) match the closed form to {gap:.1e}."
    ]


def _trajectories(settings: UFM, optimum: UFMOptimum | None, rows: Sequence[Row]) -> list[Plot]:
    """Over the evaluations, which are few for L-BFGS and many for gradient descent: on a logarithmic axis."""
    predicted = optimum.metrics(settings.samples) if optimum and optimum.known == "all" else {}
    names = ["gradient descent", *(f"start {i}" for i in range(settings.starts))]
    least = optimum.value if optimum else min(series(rows, "objective")[1])
    caption = "Solid: L-BFGS and Newton steps from each start. Dotted: gradient descent."
    plots = []
    for key in ("objective", "gradient norm", *_SHOWN):
        lines = []
        for name in names:
            points = [(1 + row.x, row.value) for row in rows if (row.series, row.key) == (name, key)]
            if key == "objective":  # how far above, which shows where values differ by little
                points = [(x, value - least) for x, value in points if value > least]
            role = "baseline" if name == "gradient descent" else "found"
            lines += [Line(name, [x for x, _ in points], [y for _, y in points], role)] if points else []
        if not lines:
            continue
        title, y, said, target = key, key, caption, predicted.get(key)
        if key == "objective":
            title = y = f"objective above the {'predicted optimum' if optimum else 'least that was found'}"
            said += " A value that is met to rounding is not drawn."
        if target is not None:
            lines.append(level("predicted", target, lines))
            said += " Dashed: the predicted optimum."
        log_y = key != _MARGIN and not target
        metric = key if "/" in key else ""
        plots.append(Plot(title, "1 + evaluations of the gradient", y, lines, said, True, log_y, metric))
    return plots


def _saddle_plot(rows: Sequence[Row]) -> list[Plot]:
    found = curve(rows, "least curvature", "saddles", label="found", points=True)
    if not found.x:
        return []
    lines = [found, curve(rows, "predicted", "saddles", label="predicted", role="predicted")]
    caption = (
        "Least eigenvalue of the Hessian at the optimum of each rank, seen in all dimensions. Below 0: a strict saddle."
    )
    return [Plot("Curvature of critical points", "rank", "least curvature", lines, caption)]


def _path_plot(rows: Sequence[Row], limit: Comparison) -> Plot:
    lines: list[Line] = []
    for name in dict.fromkeys(row.series for row in rows if row.series.startswith(("annealed", "cold"))):
        role = "baseline" if name.startswith("cold") else "found"
        lines.append(curve(rows, _MARGIN, name, role=role, points=True))
    bound = "a bound" in limit.meaning
    lines.append(level("bound on any code" if bound else "best code known", limit.predicted, lines))
    caption = (
        "Exact one-vs-rest margin of the class directions. Solid: each temperature begun where the last one ended. Dotted: from "
        "a random start at that temperature. Dashed: the best code known, the limit at temperature 0."
    )
    return Plot("Margin over the temperature", "temperature", _MARGIN, lines, caption, log_x=True, metric=_MARGIN)


def _tensors(settings: UFM, state: State, optimum: UFMOptimum | None) -> State:
    H, W, b = network(settings, state)
    tensors = {"features": H.detach(), "weight": W.detach()} | ({} if b is None else {"bias": b.detach()})
    if optimum is not None:
        predicted = {"weight": optimum.weight, "means": optimum.means, "logits": optimum.logits}
        tensors |= {f"predicted_{name}": tensor for name, tensor in predicted.items()}
    return {name: tensor.contiguous() for name, tensor in tensors.items()}
