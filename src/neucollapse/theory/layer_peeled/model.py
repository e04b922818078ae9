"""The layer-peeled model under a step imbalance: minority collapse and where it begins (Fang et al., arXiv:2101.12699).

The model, its name and minority collapse are theirs; the thresholds and the four-number form of the optimum are derived in
`relaxation`, `step` and `budget`.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from .._findings import record
from .._measure import measured
from .._model import Comparison, Findings, Model, Row, Run, State, series
from ..class_sizes import class_means, labels_of, step_counts
from ..relaxation import Relaxation, sample_loss
from ..solvers import descent, minimise
from ._plots import plots
from .budget import budget_bound, budget_logits, budget_threshold
from .settings import LayerPeeled
from .step import step_logits

_EVERY = 20  # steps of gradient descent
_MERGED = 1e-6  # a gap between minority logits that counts as none; beyond the threshold it is below 1e-10


def threshold(settings: LayerPeeled) -> float:
    r"""The imbalance ratio R from which on minority classes have one and the same logits; infinite where they never do.

    With decays they keep apart iff $n_B > N^2 \lambda_W \lambda_H$, $N = (A R + B) n_B$ (for cross-entropy and mean
    squared error alike, see `Relaxation.survives`), so

    $$R^* = \frac{1}{A} \Big( \frac{1}{\sqrt{n_B \lambda_W \lambda_H}} - B \Big).$$

    With budgets see `budget_threshold`. A value below 1 says that balanced classes are merged already.
    """
    A, B = settings.classes - settings.minority, settings.minority
    if settings.regularisation == "budget":
        return budget_threshold(A, B, _radius(settings), settings.loss)
    return (1 / math.sqrt(settings.samples * settings.decay_weight * settings.decay_features) - B) / A


def predicted(settings: LayerPeeled, counts: Tensor) -> tuple[Tensor, float]:
    """The optimum for class sizes (K,) of a step imbalance, majority first: the logits (K, K) of each class, and the value."""
    A = settings.classes - settings.minority
    if settings.regularisation == "budget":
        logits = budget_logits(counts, A, _radius(settings), settings.loss)[0]
        return logits, Relaxation(counts, 0.0, settings.loss, "class").value(logits)
    problem = _relaxation(settings, counts)
    logits = problem.mse_logits() if settings.loss == "mse" else step_logits(problem, A)
    return logits, problem.value(logits)


def lower_bound(settings: LayerPeeled, counts: Tensor, logits: Tensor) -> float:
    """What no classifier and features can beat, shown by any logits (K, K): at the optimum they show its own value."""
    if settings.regularisation == "budget":
        return budget_bound(counts, logits, _radius(settings), settings.loss)
    return _relaxation(settings, counts).lower_bound(logits)


def objective(settings: LayerPeeled, counts: Tensor) -> Callable[[State], Tensor]:
    """The objective of a state of `weight` (K, d) and `features` (N, d)."""
    labels = labels_of(counts)

    def value(state: State) -> Tensor:
        W, H = within_budget(settings, counts, state)
        loss = sample_loss(H @ W.mT, labels, settings.loss)
        if settings.regularisation == "budget":
            return loss
        return loss + (settings.decay_weight * W.square().sum() + settings.decay_features * H.square().sum()) / 2

    return value


def within_budget(settings: LayerPeeled, counts: Tensor, state: State) -> tuple[Tensor, Tensor]:
    """Classifier and features as the model has them: scaled to their budgets where there are any."""
    W, H = state["weight"], state["features"]
    if settings.regularisation == "decay":
        return W, H
    share = (1 / counts.double())[labels_of(counts)]
    squared = (share * H.square().sum(dim=1)).sum()
    return (
        W * (settings.classes * settings.budget_weight / W.square().sum()).sqrt(),
        H * (settings.classes * settings.budget_features / squared).sqrt(),
    )


class LayerPeeledModel(Model[LayerPeeled]):
    """A solve per ratio of a path, then gradient descent at the largest ratio."""

    @property
    def sizes(self) -> list[Tensor]:
        """Class sizes of every ratio; sizes are whole numbers, so small ones leave fewer ratios than asked for."""
        s = self.settings
        majority = sorted({round(s.samples * s.largest_ratio ** (i / (s.ratios - 1))) for i in range(s.ratios)})
        return [step_counts(s.classes, s.minority, s.samples, size / s.samples) for size in majority]

    def run(self) -> Run:
        """Solve every ratio, descend at the largest; ends with the logits (ratios, K, K) found and predicted."""
        solved = []
        for index, counts in enumerate(self.sizes):
            solved.append((yield from self._solve(counts, index)))
        yield from self._descend(self.sizes[-1])
        return {name: torch.stack([logits[name] for logits in solved]) for name in ("found", "predicted")}

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Where minority classes merged, and where they were to."""
        s = self.settings
        ratios, gaps = series(rows, "minority gap", "optimum")
        merged = [ratio for ratio, gap in zip(ratios, gaps, strict=True) if gap <= _MERGED]
        found, at = (min(merged) if merged else math.inf), threshold(s)
        foreseen = min((ratio for ratio in ratios if ratio >= at * (1 - 1e-9)), default=math.inf)
        places = [*ratios, math.inf]
        apart = float((end["found"] - end["predicted"]).abs().max())
        excess = max(series(rows, "certified gap")[1])
        agrees = abs(places.index(found) - places.index(foreseen)) <= 1 and apart <= 1e-6
        first, past = (
            "first ratio of the path with merged minority classes",
            "the first one past the predicted threshold",
        )
        over, less = (
            "over all classes and ratios; predicted is the convex optimum",
            "value found, less a bound from below ",
        )
        comparisons = [
            Comparison(first, foreseen, found, past),
            Comparison("largest error of a logit", 0.0, apart, over),
            Comparison("largest certified gap", 0.0, excess, f"{less}that its own logits give"),
        ]
        sentences = [
            _headline(s, at, found, merged, ratios),
            f"The logits found are within {apart:.1e} of the predicted ones at every ratio, and their own dual certificate puts "
            f"the value within {excess:.1e} of what any classifier and features could reach.",
        ]
        if s.steps:
            gap = series(rows, "minority gap", "gradient descent")[1][-1]
            foretold = minority_gap(end["predicted"][-1], s.minority)
            when = f"at ratio {ratios[-1]:g}, {s.steps} steps"
            comparisons.append(Comparison("minority gap after gradient descent", foretold, gap, when))
            sentences.append(
                f"Gradient descent at ratio {ratios[-1]:g} leaves a gap of {gap:.2g} between a minority class's own logit and "
                f"another minority class's; the optimum has {foretold:.2g}."
            )
        return Findings(sentences, comparisons, plots(rows, at), end, agrees)

    def _solve(self, counts: Tensor, index: int) -> Run:
        """The optimum at one ratio beside its prediction; ends with the logits of both."""
        s = self.settings
        end = minimise(objective(s, counts), self._random(counts, index), tolerance=1e-10)
        W, H = within_budget(s, counts, end.state)
        logits, (foretold, value) = class_means(H, counts) @ W.mT, predicted(s, counts)
        ratio = float(counts[0] / counts[-1])
        certified = end.value - lower_bound(s, counts, logits)
        solved = {"value": end.value, "certified gap": certified, "gradient norm": end.gradient_norm}
        yield from record("optimum", ratio, _numbers(W, H, counts, s.minority) | solved)
        yield from record("predicted", ratio, {"minority gap": minority_gap(foretold, s.minority), "value": value})
        return {"found": logits, "predicted": foretold}

    def _descend(self, counts: Tensor) -> Iterator[Row]:
        s, value = self.settings, objective(self.settings, counts)
        shown = [min(done + _EVERY, s.steps) for done in range(0, s.steps, _EVERY)]
        for step, now in descent(value, self._random(counts, -1), shown, s.lr, momentum=s.momentum):
            numbers = _numbers(*within_budget(s, counts, now), counts, s.minority)
            yield from record("gradient descent", step, numbers | {"value": float(value(now))})

    def _random(self, counts: Tensor, stream: int) -> State:
        s = self.settings
        shapes = {"weight": (s.classes, s.dim), "features": (int(counts.sum()), s.dim)}
        return self.draw(stream, shapes, math.sqrt(s.dim))


def minority_gap(logits: Tensor, minority: int) -> float:
    """How far a minority class's own logit is above another minority class's, on average: 0 where they are merged."""
    block = logits[-minority:, -minority:]
    others = (block.sum() - block.trace()) / (minority * (minority - 1))
    return float(block.trace() / minority - others)


def _numbers(W: Tensor, H: Tensor, counts: Tensor, minority: int) -> dict[str, float]:
    W, H = W.detach(), H.detach()
    numbers = {"minority gap": minority_gap(class_means(H, counts) @ W.mT, minority)}
    for name, rows in (("minority", W[-minority:]), ("majority", W[:-minority])):
        if len(rows) > 1 and float(rows.norm(dim=1).min()) > 1e-6 * float(W.norm()):
            cosines = torch.nn.functional.normalize(rows) @ torch.nn.functional.normalize(rows).mT
            numbers[f"cosine of {name} classifiers"] = float(
                (cosines.sum() - len(rows)) / (len(rows) * (len(rows) - 1))
            )
    return numbers | measured(H, labels_of(counts), W)


def _headline(s: LayerPeeled, at: float, found: float, merged: list[float], ratios: list[float]) -> str:
    loss = "cross-entropy" if s.loss == "ce" else "mean squared error"
    who = f"With {s.classes - s.minority} majority and {s.minority} minority classes and {loss}, minority classes are predicted "
    if math.isinf(at):
        return f"{who}to keep apart at every ratio; they {'do not' if merged else 'do'} on this path."
    if at <= 1:
        seen = "are" if len(merged) == len(ratios) else "are not"
        return f"{who}to be merged at every ratio, that of equal sizes too; they {seen} on this path."
    before = max((ratio for ratio in ratios if ratio < found), default=None)
    none = "the path ends before it" if ratios[-1] < at else "on the path none merge"
    seen = none if not merged else f"on the path they are merged from ratio {found:g} on"
    apart = "" if before is None else f", with all apart at {before:g}"
    return f"{who}to merge from an imbalance ratio of {at:.4g} on; {seen}{apart}."


def _radius(s: LayerPeeled) -> float:
    return s.classes * math.sqrt(s.budget_weight * s.budget_features)


def _relaxation(s: LayerPeeled, counts: Tensor) -> Relaxation:
    return Relaxation(counts, math.sqrt(s.decay_weight * s.decay_features), s.loss)
