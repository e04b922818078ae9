r"""Supervised contrastive learning of free unit features: at its minimum the classes collapse to a simplex.

The theorem is Graf et al., arXiv 2102.08817 (abstract seen: supervised contrastive loss and cross-entropy attain their minimum
where the classes collapse to the vertices of a regular simplex). The values below are derived here.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..._errors import InputError
from ...geometry import best_known, max_cosine, one_vs_rest, unit_rows
from ...losses import spherical_ce, sup_con
from .._findings import curve, level, metric_plot, record
from .._measure import balanced_labels, measured
from .._model import Comparison, Findings, Line, Model, Plot, Row, Run, State, series
from ..solvers import Minimum, descend, minimise, stops
from .settings import SupCon

CHUNKS = 20
_LOSSES = ("supcon", "cross-entropy")
_AGREE = 1e-8
_FLAT = 1e-8  # odds of wrong classes at the simplex below which gradients vanish on the way to it


def contrastive_minimum(K: int, n: int, temperature: float) -> float:
    r"""The least supervised contrastive loss of K classes with n samples each, for d >= K-1; derived here.

    $$\min \frac1N \sum_i \ell_i = \log\Big(n - 1 + n (K-1)\, e^{-K / ((K-1)\tau)}\Big)$$

    Write $t_{ia} = \langle z_i, z_a\rangle/\tau$ and $p_i, m_i$ for the means of it over the n-1 positives and the
    n(K-1) negatives of i. Jensen's inequality within both sums gives
    $\ell_i \ge \log(n-1 + n(K-1) e^{m_i - p_i})$, and once more, over samples, as that is convex in $m_i - p_i$,
    the same with the mean of $m_i - p_i$. With S the sum of all features and $S_k$ of those of class k,

    $$\tau \operatorname*{mean}_i m_i = \frac{|S|^2 - \sum_k |S_k|^2}{N n (K-1)} \ge -\frac{1}{K-1}, \qquad
    \tau \operatorname*{mean}_i p_i \le 1 .$$

    Equality throughout holds where all features of a class are equal, S = 0, and all negatives have one cosine: the simplex.
    Range: from log(n-1), as the temperature falls to 0, to $\log(nK - 1)$, the value at equal features.

    `InputError` is raised for K < 2, n < 2 (no positives) or a temperature that is not above 0.

    Examples:
        >>> round(contrastive_minimum(2, 2, 0.5), 4)  # log(1 + 2 e^-4)
        0.036
    """
    _check(K, n, temperature)
    return math.log(n - 1) + math.log1p(n / (n - 1) * _wrong(K, temperature))


def cross_entropy_minimum(K: int, temperature: float) -> float:
    r"""The least cross-entropy of unit features and unit class directions, for d >= K-1, by the same two steps of Jensen.

    $$\log\Big(1 + (K-1)\, e^{-K/((K-1)\tau)}\Big)$$

    Examples:
        >>> round(cross_entropy_minimum(2, 0.5), 4)  # log(1 + e^-4)
        0.0181
    """
    _check(K, 2, temperature)
    return math.log1p(_wrong(K, temperature))


def collapsed_loss(code: Tensor, n: int, temperature: float) -> float:
    r"""The supervised contrastive loss of n samples of each class that all lie on the class's row of a code (K, d).

    $$\frac1K \sum_k \log\Big(n - 1 + n \sum_{j \ne k} e^{(\langle c_k, c_j\rangle - 1)/\tau}\Big)$$

    To first order in its small exponentials it is a sum over pairs, the energy of the kernel $e^{\cos/\tau}$: as the
    temperature falls, the largest cosine alone counts. So the loss prefers spherical codes (Tammes), where cross-entropy,
    whose features are free to leave the class directions, prefers softmax codes; derived here.

    Examples:
        >>> from neucollapse.geometry import simplex
        >>> abs(collapsed_loss(simplex(5), 3, 0.4) - contrastive_minimum(5, 3, 0.4)) < 1e-14
        True
    """
    code = unit_rows(code)
    others = ((code @ code.T - 1) / temperature).exp().fill_diagonal_(0).sum(dim=1)
    return float((n - 1 + n * others).log().mean())


class SupConModel(Model[SupCon]):
    """Gradient descent on both losses from one start, then the solver from several."""

    def run(self) -> Run:
        """Descend both losses, then solve both from several starts; ends with the best features and class directions."""
        s, now = self.settings, self._draw(-1)
        yield from self._rows(now, 0)
        rate = s.lr * len(self._labels)
        for begin, end in pairwise(stops(s.steps, CHUNKS)):
            # Lengths, which neither loss sees, grow on the way and shorten steps: they are set back.
            now = {name: _unit(descend(self._losses[name], now[name], end - begin, rate)) for name in now}
            yield from self._rows(now, end)
        best: dict[str, Minimum] = {}
        for start in range(s.starts):
            for name, begin in (now if start == 0 else self._draw(CHUNKS + start)).items():
                end = minimise(self._losses[name], begin)
                yield from record(f"{name} solver", start, {"value": end.value, "gradient": end.gradient_norm})
                best[name] = min(best.get(name, end), end, key=lambda each: each.value)
        prefixes = {"supcon": "best/", "cross-entropy": "best/ce/"}
        return {prefixes[name] + key: tensor for name in best for key, tensor in _unit(best[name].state).items()}

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Least losses and geometry beside the closed forms; without a simplex, an exploration."""
        s, plots = self.settings, self._plots(rows)
        ends = [_best_end(rows, f"{name} solver") for name in _LOSSES]
        found = [value for value, _ in ends]
        stationary = f"The gradient norm at the best ends is at most {max(gradient for _, gradient in ends):.1e}."
        if s.dim < s.classes - 1:
            sentences, comparisons = self._explored(end, *found)
            return Findings([*sentences, stationary], comparisons, plots, end)
        predicted = list(self._minima.values())
        metrics = measured(end["best/features"], self._labels, keys=("nc1/trace_ratio", "nc2/etf_distance"))
        comparisons = [
            Comparison("supervised contrastive loss", predicted[0], found[0], "closed form, derived here"),
            Comparison("cross-entropy of the sphere", predicted[1], found[1], "closed form, derived here"),
            Comparison("nc1/trace_ratio", 0.0, metrics["nc1/trace_ratio"], "features of a class are equal"),
            Comparison("nc2/etf_distance", 0.0, metrics["nc2/etf_distance"], "class means form a simplex"),
        ]
        largest = max(abs(comparison.predicted - comparison.found) for comparison in comparisons)
        if _wrong(s.classes, s.temperature) < _FLAT:
            flat = (
                f"Nothing is decided: at the temperature {s.temperature:g} the losses are within {_FLAT:g} of their least values "
                f"long before the classes are a simplex, and the solver ends on the way: least loss {found[0]:.3g}, predicted "
                f"{predicted[0]:.3g}; of all predictions the largest error is {largest:.1e}."
            )
            return Findings([flat, stationary], comparisons, plots, end)
        agrees = largest <= _AGREE
        sentences = [
            f"Supervised contrastive loss {'collapses' if agrees else 'was expected to collapse'} to the simplex: least loss "
            f"{found[0]:.10g}, predicted {predicted[0]:.10g}; of all predictions the largest error is {largest:.1e} "
            f"(tolerance {_AGREE:g}).",
            f"Cross-entropy of unit features and class directions has the same geometry at another value: {found[1]:.10g}, "
            f"predicted {predicted[1]:.10g}.",
            stationary,
        ]
        return Findings(sentences, comparisons, plots, end, agrees)

    @property
    def _labels(self) -> Tensor:
        return balanced_labels(self.settings.classes, self.settings.samples)

    @property
    def _losses(self) -> dict[str, Callable[[State], Tensor]]:
        temperature, labels = self.settings.temperature, self._labels
        return {
            "supcon": lambda now: sup_con(now["features"], labels, temperature=temperature),
            "cross-entropy": lambda now: spherical_ce(now["features"], labels, now["weight"], scale=1 / temperature),
        }

    @property
    def _minima(self) -> dict[str, float]:
        s = self.settings
        contrastive = contrastive_minimum(s.classes, s.samples, s.temperature)
        return {"supcon": contrastive, "cross-entropy": cross_entropy_minimum(s.classes, s.temperature)}

    def _draw(self, stream: int) -> dict[str, State]:
        """A start of each loss: both have the same features."""
        K, N, d = self.settings.classes, len(self._labels), self.settings.dim
        drawn = _unit(self.draw(stream, {"features": (N, d), "unused": (N, d), "weight": (K, d)}))
        both = {name: drawn[name] for name in ("features", "weight")}
        return {"supcon": {"features": drawn["features"]}, "cross-entropy": both}

    def _rows(self, now: Mapping[str, State], step: int) -> Iterator[Row]:
        for name, state in now.items():
            loss = float(self._losses[name](state))
            yield from record(name, step, {"loss": loss, **measured(state["features"], self._labels)})

    def _explored(self, state: State, value: float, ce_value: float) -> tuple[list[str], list[Comparison]]:
        """What is found where no simplex fits: nothing is predicted, the best codes known stand beside it."""
        s = self.settings
        known = best_known(s.classes, s.dim)
        means = torch.stack([state["best/features"][self._labels == k].mean(dim=0) for k in range(s.classes)])
        within = measured(state["best/features"], self._labels, keys=("nc1/trace_ratio",))["nc1/trace_ratio"]
        codes = [unit_rows(code) for code in (means, state["best/ce/weight"])]
        margins, cosines = [one_vs_rest(code).margin for code in codes], [max_cosine(code) for code in codes]
        sentences = [
            f"An exploration, as no simplex of {s.classes} classes fits into d = {s.dim}: nothing is predicted. Class means of "
            f"supervised contrastive loss have margin {margins[0]:.5f}, the class directions of cross-entropy {margins[1]:.5f}"
            + (f"; the best code known has {known.margin:.5f}." if known.margin is not None else "."),
            f"Largest cosines: {cosines[0]:.5f} (supervised contrastive), {cosines[1]:.5f} (cross-entropy). Within classes the "
            f"trace ratio is {within:.1e}; losses {value:.8g} and {ce_value:.8g}.",
        ]
        collapsed = collapsed_loss(means, s.samples, s.temperature)
        meaning = "predicted: of the class means it found, if the classes are collapsed"
        return sentences, [Comparison("supervised contrastive loss", collapsed, value, meaning)]

    def _plots(self, rows: Sequence[Row]) -> list[Plot]:
        s = self.settings
        excess = []
        for name, minimum in self._minima.items():
            x, y = series(rows, "loss", name)
            excess.append(Line(name, x, [value - minimum for value in y]))
        bound = "the closed-form minimum" if s.dim >= s.classes - 1 else "a lower bound, the closed form of d >= K-1"
        caption = f"How far each loss is above {bound}, under gradient descent from the same features."
        plots = [Plot("Loss above its minimum", "step", "excess loss", excess, caption, log_y=True)]
        captions = {
            "nc1/pinv": "Variability within classes against that between them: collapse is a fall to zero.",
            "nc2/etf_distance": "Distance of the class means to a simplex; zero where one fits.",
            "gnc2/margin": "One-vs-rest margin of the class means; the dashed line is the best there is, where it is known.",
        }
        best = best_known(s.classes, s.dim).margin
        for key, caption in captions.items():
            lines = [curve(rows, key, name) for name in _LOSSES]
            if key == "gnc2/margin" and best is not None:
                lines.append(level("best known", best, lines))
            plots.append(metric_plot(key, "step", lines, caption, log_x=False, log_y=key != "gnc2/margin"))
        return plots


def _best_end(rows: Sequence[Row], solver: str) -> tuple[float, float]:
    """The least value of a solver, and the gradient norm there."""
    values, gradients = (series(rows, key, solver)[1] for key in ("value", "gradient"))
    return min(zip(values, gradients, strict=True), key=lambda end: end[0])


def _unit(state: State) -> State:
    return {name: normalize(tensor) for name, tensor in state.items()}


def _wrong(K: int, temperature: float) -> float:
    """Sum of e^((cos - 1)/temperature) over the other classes of a simplex."""
    return (K - 1) * math.exp(-K / ((K - 1) * temperature))


def _check(K: int, n: int, temperature: float) -> None:
    if K < 2 or n < 2 or not 0 < temperature < math.inf:
        raise InputError(
            f"expected at least 2 classes, 2 samples a class and a temperature above 0, got {K}, {n} and {temperature}"
        )
