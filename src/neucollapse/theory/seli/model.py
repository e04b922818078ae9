"""Unequal classes along a path of falling decays: SELI for cross-entropy, general orthogonal frames for the mean squared error.

What is predicted stands in `simplex_encoding` and `orthogonal_frame`.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from .._findings import record
from .._measure import measured
from .._model import Comparison, Findings, Model, Row, Run, State, series
from ..class_sizes import class_means, exponential_counts, labels_of, step_counts
from ..relaxation import factors, sample_loss
from ..solvers import minimise
from ._plots import DISTANCES, frame_plots, simplex_plots
from .orthogonal_frame import orthogonal_frame
from .settings import SELI
from .simplex_encoding import cross_entropy_optimum, gram_distance, grams, simplex_distance, simplex_encoding

_BEYOND = 1e8  # log(1/decay) up to which the optimum is followed without decays that floats can hold
_HELD = 1e-6  # errors that count as none


def class_sizes(settings: SELI) -> Tensor:
    """Sizes (K,) of the classes, the largest first."""
    s = settings
    if s.imbalance == "step":
        return step_counts(s.classes, s.minority, s.samples, s.ratio)
    return exponential_counts(s.classes, s.samples, s.ratio if s.imbalance == "exp" else 1)


def decays(settings: SELI) -> list[float]:
    """The path, from the largest to the smallest."""
    s = settings
    fall = (s.smallest_decay / s.largest_decay) ** (1 / (s.decays - 1))
    return [s.largest_decay * fall**i for i in range(s.decays)]


def objective(settings: SELI, decay: float) -> Callable[[State], Tensor]:
    """Of `weight` (K, d), `features` (N, d) and, if there is one, `bias` (K,), with this decay on the first two."""
    labels = labels_of(class_sizes(settings))

    def value(state: State) -> Tensor:
        logits = state["features"] @ state["weight"].mT
        if settings.bias:
            logits = logits + state["bias"]
        penalty = decay / 2 * (state["weight"].square().sum() + state["features"].square().sum())
        return sample_loss(logits, labels, settings.loss) + penalty

    return value


class SELIModel(Model[SELI]):
    """A solve from a random start for every decay; for cross-entropy the prediction is followed to its limit."""

    def run(self) -> Run:
        """Solve every decay against what is predicted there; ends with the last optimum."""
        end = {}
        for index, decay in enumerate(decays(self.settings)):
            end = yield from self._solve(decay, index)
        if self.settings.loss == "ce":
            yield from self._beyond()
        return end

    def _solve(self, decay: float, index: int) -> Run:
        s, value, x = self.settings, objective(self.settings, decay), math.log(1 / decay)
        shapes = {"weight": (s.classes, s.dim), "features": (int(class_sizes(s).sum()), s.dim)}
        start = self.draw(index, shapes | ({"bias": (s.classes,)} if s.bias else {}), math.sqrt(s.dim))
        # Divided by the decay, the curvature does not vanish with it.
        end = minimise(lambda state: value(state) / decay, start, tolerance=1e-10)
        reached = {"value": end.value * decay, "gradient norm": end.gradient_norm * decay}
        yield from record("optimum", x, reached)
        yield from (self._against_simplex if s.loss == "ce" else self._against_frame)(
            end.state, decay, reached["value"]
        )
        yield from record("optimum", x, measured(end.state["features"], labels_of(class_sizes(s)), end.state["weight"]))
        return end.state

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Whether every decay has its predicted optimum, and the limit its geometry."""
        return self._simplex_findings(rows) if self.settings.loss == "ce" else self._frame_findings(end, rows)

    def _against_simplex(self, end: State, decay: float, _: float) -> Iterator[Row]:
        counts, x = class_sizes(self.settings), math.log(1 / decay)
        W, M = end["weight"], class_means(end["features"], counts)
        logits, foretold = M @ W.mT, cross_entropy_optimum(counts, math.log(decay))
        error = float((logits - foretold).abs().max()) / max(1.0, float(foretold.abs().max()))
        yield from record("optimum", x, _distances(counts, logits, W @ W.mT, M @ M.mT) | {"error of logits": error})
        yield from record("predicted", x, _distances(counts, foretold, *grams(foretold, counts)))

    def _beyond(self) -> Iterator[Row]:
        """What is predicted at decays that no float holds."""
        counts, first = class_sizes(self.settings), math.log(1 / self.settings.smallest_decay)
        for i in range(1, 13):
            x = first * (_BEYOND / first) ** (i / 12)
            logits = cross_entropy_optimum(counts, -x)
            yield from record("predicted", x, _distances(counts, logits, *grams(logits, counts)))

    def _simplex_findings(self, rows: Sequence[Row]) -> Findings:
        s, counts = self.settings, class_sizes(self.settings)
        encoding = simplex_encoding(counts)
        off = ~torch.eye(s.classes, dtype=torch.bool)
        slack = float(encoding.multipliers[off].min())
        error = max(series(rows, "error of logits")[1])
        names = [f"distance of {name}" for name in DISTANCES]
        found = {name: series(rows, name, "optimum")[1][-1] for name in names}
        limit = {name: series(rows, name, "predicted")[1][-1] for name in names}
        furthest = series(rows, names[0], "predicted")[0][-1]
        agrees = error <= _HELD and max(limit.values()) <= _HELD and slack > 0
        tend = "tend" if max(limit.values()) <= _HELD else "do NOT tend"
        optimum, certain = ("" if holds else "NOT " for holds in (error <= _HELD, slack > 0))
        sentences = [
            f"As the decay vanishes, {_sizes(counts)} {tend} to simplex-encoded labels: the exact optimum, followed to a decay "
            f"of exp(-{furthest:.3g}), is within {max(limit.values()):.1e} of them in logits, classifiers and class means.",
            f"What was minimised from random starts is {optimum}the predicted optimum at every decay, its logits to "
            f"{error:.1e} of the largest one.",
            f"The approach is slow, one over the logarithm of the decay: at a decay of {s.smallest_decay:g} the direction of the "
            f"logits is still {found[names[0]]:.2g} away (Frobenius norm between unit matrices).",
            f"That they are optimal for the hard margin is {certain}certain: the smallest multiplier of a margin is {slack:.2g}, "
            "which has to be above 0.",
        ]
        over = "over all decays, against the fixed point"
        comparisons = [Comparison("largest relative error of a logit", 0.0, error, over)]
        for name in names:
            foretold = dict(zip(*series(rows, name, "predicted"), strict=True))[math.log(1 / decays(s)[-1])]
            in_the_limit = f"at a decay of exp(-{furthest:g})"
            comparisons += [
                Comparison(f"{name} to SELI", foretold, found[name], f"at the decay {s.smallest_decay:g}"),
                Comparison(f"{name} to SELI, in the limit", 0.0, limit[name], in_the_limit),
            ]
        weight, means = factors(encoding.logits, counts.double().sqrt(), s.dim, 1.0, 1.0)
        tensors = {"weight": weight, "class_means": means}
        tensors |= {"logits": encoding.logits, "multipliers": encoding.multipliers}
        return Findings(sentences, comparisons, simplex_plots(rows), tensors, agrees)

    def _against_frame(self, end: State, decay: float, value: float) -> Iterator[Row]:
        s, counts, x = self.settings, class_sizes(self.settings), math.log(1 / decay)
        frame = orthogonal_frame(counts, s.dim, decay, decay, bias=s.bias)
        W, M = end["weight"], class_means(end["features"], counts)
        scaled = counts.double().sqrt()[:, None] * (M @ W.mT)
        sigma = torch.linalg.svdvals(scaled)[: len(frame.singular_values)]
        errors = {
            "value": abs(value - frame.value),
            "singular values": float((sigma - frame.singular_values).abs().max()),
        }
        if frame.unique:
            pairs = ((W @ W.mT, frame.weight @ frame.weight.mT), (M @ M.mT, frame.means @ frame.means.mT))
            errors["Gram matrices"] = max(float((a - b).abs().max()) for a, b in pairs)
        yield from record("optimum", x, {f"error of {name}": error for name, error in errors.items()})
        for name, values in (("optimum", W), ("predicted", frame.weight)):
            lengths = values.norm(dim=1).tolist()
            yield from record(name, x, {f"length of classifier {k}": length for k, length in enumerate(lengths)})

    def _frame_findings(self, end: State, rows: Sequence[Row]) -> Findings:
        s, counts = self.settings, class_sizes(self.settings)
        names = ("value", "singular values", "Gram matrices")
        errors = {name: max(series(rows, f"error of {name}")[1], default=math.nan) for name in names}
        worst = max(error for error in errors.values() if not math.isnan(error))
        ends = [orthogonal_frame(counts, s.dim, at, at, bias=s.bias) for at in (s.largest_decay, s.smallest_decay)]
        reach = "reach" if worst <= _HELD else "do NOT reach"
        alive = [int(frame.singular_values.count_nonzero()) for frame in ends]
        sentences = [
            f"With mean squared error, {_sizes(counts)} in {s.dim} dimensions {reach} the predicted frame: over {s.decays} "
            f"decays its value, singular values and angles are met to {worst:.1e}.",
            f"Of {s.classes - s.bias} singular values of the labels {alive[0]} stay at the largest decay and {alive[1]} at the "
            "smallest: those above N times the decay. Without bias each belongs to one class, and is the root of its size.",
        ]
        if s.dim < s.classes - s.bias:
            room = f"There is room for {s.dim} singular values alone: "
            sentences.append(f"{room}the largest, which are those of the largest classes.")
        if math.isnan(errors["Gram matrices"]):
            sentences.append(
                "Classes of one size compete for the last dimension, so angles are not unique; value and singular values are."
            )
        comparisons = [
            Comparison(f"largest error of {name}", 0.0, error, "over all decays")
            for name, error in errors.items()
            if error == error
        ]
        tensors = {"weight": ends[-1].weight, "class_means": ends[-1].means, "bias": ends[-1].bias}
        tensors |= {f"found_{name}": tensor for name, tensor in end.items()}
        return Findings(sentences, comparisons, frame_plots(rows, counts), tensors, worst <= _HELD)


def _distances(counts: Tensor, logits: Tensor, weight_gram: Tensor, means_gram: Tensor) -> dict[str, float]:
    """How far logits, classifiers and class means are from simplex-encoded labels."""
    encoding = simplex_encoding(counts)
    grams_distances = gram_distance(weight_gram, encoding.weight_gram), gram_distance(means_gram, encoding.means_gram)
    values = simplex_distance(logits, counts), *grams_distances
    return {f"distance of {name}": value for name, value in zip(DISTANCES, values, strict=True)}


def _sizes(counts: Tensor) -> str:
    sizes, how_many = counts.unique(return_counts=True)
    if len(sizes) > 3:
        return f"{len(counts)} classes of {int(sizes[-1])} to {int(sizes[0])} samples"
    groups = [f"{m} classes of {n}" for n, m in zip(sizes.flip(0).tolist(), how_many.flip(0).tolist(), strict=True)]
    return " and ".join(groups) + " samples"
