r"""Supervised contrastive learning of free unit features: at its minimum the classes collapse to a simplex.

The theorem is Graf et al., arXiv 2102.08817 (abstract seen: supervised contrastive loss and cross-entropy attain their minimum
where the classes collapse to the vertices of a regular simplex). The values below are derived here.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..._errors import InputError
from ...geometry import best_known, max_cosine, one_vs_rest, unit_rows
from ...losses import spherical_ce, sup_con
from .._measure import balanced_labels, measured
from .._model import Comparison, Findings, Line, Model, Plot, Row, Run, State, series
from ..solvers import Minimum, descend, minimise, stops
from .settings import SupCon

CHUNKS = 20
_KEYS = ("nc1/pinv", "nc2/etf_distance", "gnc2/margin")
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

    Raises:
        InputError: for K < 2, n < 2 (no positives) or a temperature that is not above 0.

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
        now = self._draw(-1)
        yield from self._rows(now, 0)
        for begin, end in pairwise(stops(self.settings.steps, CHUNKS)):
            now = self._descend(now, end - begin)
            yield from self._rows(now, end)
        best, least = {}, {}
        for start in range(self.settings.starts):
            for name, end in self._solve(now if start == 0 else self._draw(CHUNKS + start)).items():
                yield Row(f"{name} solver", float(start), "value", end.value)
                yield Row(f"{name} solver", float(start), "gradient", end.gradient_norm)
                if end.value < least.get(name, math.inf):
                    least[name] = end.value
                    prefix = "best/" if name == "supcon" else "best/ce/"
                    best |= {prefix + key: normalize(tensor) for key, tensor in end.state.items()}
        return best

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Least losses and geometry beside the closed forms; without a simplex, an exploration."""
        s = self.settings
        ends = {name: series(rows, "value", name)[1] for name in ("supcon solver", "cross-entropy solver")}
        gradient = max(series(rows, "gradient", name)[1][_best(values)] for name, values in ends.items())
        found = [min(values) for values in ends.values()]
        plots = self._plots(rows)
        if s.dim < s.classes - 1:
            sentences, comparisons = self._explored(end, *found)
            return Findings([*sentences, _stationary(gradient)], comparisons, plots, end)
        predicted = (
            contrastive_minimum(s.classes, s.samples, s.temperature),
            cross_entropy_minimum(s.classes, s.temperature),
        )
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
            return Findings([flat, _stationary(gradient)], comparisons, plots, end)
        agrees = largest <= _AGREE
        sentences = [
            f"Supervised contrastive loss {'collapses' if agrees else 'was expected to collapse'} to the simplex: least loss "
            f"{found[0]:.10g}, predicted {predicted[0]:.10g}; of all predictions the largest error is {largest:.1e} "
            f"(tolerance {_AGREE:g}).",
            f"Cross-entropy of unit features and class directions has the same geometry at another value: {found[1]:.10g}, "
            f"predicted {predicted[1]:.10g}.",
            _stationary(gradient),
        ]
        return Findings(sentences, comparisons, plots, end, agrees)

    @property
    def _labels(self) -> Tensor:
        return balanced_labels(self.settings.classes, self.settings.samples)

    def _draw(self, stream: int) -> State:
        s, generator = self.settings, self.generator(stream)
        sizes = {"features": s.classes * s.samples, "ce/features": s.classes * s.samples, "ce/weight": s.classes}
        rows = {
            name: torch.randn(size, s.dim, generator=generator, dtype=torch.float64) for name, size in sizes.items()
        }
        rows["ce/features"] = rows["features"]  # both losses start at the same features
        return {name: normalize(tensor) for name, tensor in rows.items()}

    def _contrastive(self, state: State) -> Tensor:
        return sup_con(state["features"], self._labels, temperature=self.settings.temperature)

    def _cross_entropy(self, state: State) -> Tensor:
        return spherical_ce(state["features"], self._labels, state["weight"], scale=1 / self.settings.temperature)

    def _descend(self, now: State, steps: int) -> State:
        """Some steps on both losses. Lengths, which neither loss sees, grow on the way and shorten steps: they are set back."""
        rate = self.settings.lr * len(self._labels)
        ends = {}
        for objective, begin, prefix in self._problems(now):
            end = descend(objective, begin, steps, rate)
            ends |= {prefix + name: normalize(tensor) for name, tensor in end.items()}
        return ends

    def _problems(self, now: State) -> list[tuple[Callable[[State], Tensor], State, str]]:
        """Of both losses: objective, variables, and how those are named."""
        ce = {"features": now["ce/features"], "weight": now["ce/weight"]}
        return [(self._contrastive, {"features": now["features"]}, ""), (self._cross_entropy, ce, "ce/")]

    def _rows(self, now: State, step: int) -> list[Row]:
        rows = []
        for name, (objective, variables, _) in zip(_LOSSES, self._problems(now), strict=True):
            numbers = {"loss": float(objective(variables)), **measured(variables["features"], self._labels)}
            rows += [Row(name, float(step), key, value) for key, value in numbers.items()]
        return rows

    def _solve(self, begin: State) -> dict[str, Minimum]:
        return {
            name: minimise(objective, variables)
            for name, (objective, variables, _) in zip(_LOSSES, self._problems(begin), strict=True)
        }

    def _explored(self, state: State, value: float, ce_value: float) -> tuple[list[str], list[Comparison]]:
        """What is found where no simplex fits: nothing is predicted, the best codes known stand beside it."""
        s = self.settings
        known = best_known(s.classes, s.dim)
        stats = torch.stack([state["best/features"][self._labels == k].mean(dim=0) for k in range(s.classes)])
        within = measured(state["best/features"], self._labels, keys=("nc1/trace_ratio",))["nc1/trace_ratio"]
        margins = [one_vs_rest(unit_rows(code)).margin for code in (stats, state["best/ce/weight"])]
        cosines = [max_cosine(unit_rows(code)) for code in (stats, state["best/ce/weight"])]
        sentences = [
            f"An exploration, as no simplex of {s.classes} classes fits into d = {s.dim}: nothing is predicted. Class means of "
            f"supervised contrastive loss have margin {margins[0]:.5f}, the class directions of cross-entropy {margins[1]:.5f}"
            + (f"; the best code known has {known.margin:.5f}." if known.margin is not None else "."),
            f"Largest cosines: {cosines[0]:.5f} (supervised contrastive), {cosines[1]:.5f} (cross-entropy). Within classes the "
            f"trace ratio is {within:.1e}; losses {value:.8g} and {ce_value:.8g}.",
        ]
        collapsed = collapsed_loss(stats, s.samples, s.temperature)
        comparison = Comparison(
            "supervised contrastive loss",
            collapsed,
            value,
            "predicted: of the class means it found, if the classes are collapsed",
        )
        return sentences, [comparison]

    def _plots(self, rows: Sequence[Row]) -> list[Plot]:
        s = self.settings
        plots = []
        simplex = s.dim >= s.classes - 1
        minima = {
            "supcon": contrastive_minimum(s.classes, s.samples, s.temperature),
            "cross-entropy": cross_entropy_minimum(s.classes, s.temperature),
        }
        excess = []
        for name, minimum in minima.items():
            x, y = series(rows, "loss", name)
            excess.append(Line(name, x, [value - minimum for value in y]))
        bound = "the closed-form minimum" if simplex else "a lower bound, the closed form of d >= K-1"
        caption = f"How far each loss is above {bound}, under gradient descent from the same features."
        plots.append(Plot("Loss above its minimum", "step", "excess loss", excess, caption, log_y=True))
        captions = {
            "nc1/pinv": "Variability within classes against that between them: collapse is a fall to zero.",
            "nc2/etf_distance": "Distance of the class means to a simplex; zero where one fits.",
            "gnc2/margin": "One-vs-rest margin of the class means; the dashed line is the best there is, where it is known.",
        }
        best = best_known(s.classes, s.dim).margin
        for key in _KEYS:
            lines = [Line(name, *series(rows, key, name)) for name in minima]
            if key == "gnc2/margin" and best is not None:
                lines.append(Line("best known", [0.0, float(s.steps)], [best, best], "predicted"))
            plots.append(Plot(key, "step", key, lines, captions[key], log_y=key != "gnc2/margin", metric=key))
        return plots


def _best(values: Sequence[float]) -> int:
    return min(range(len(values)), key=values.__getitem__)


def _wrong(K: int, temperature: float) -> float:
    """Sum of e^((cos - 1)/temperature) over the other classes of a simplex."""
    return (K - 1) * math.exp(-K / ((K - 1) * temperature))


def _check(K: int, n: int, temperature: float) -> None:
    if K < 2 or n < 2 or not 0 < temperature < math.inf:
        raise InputError(
            f"expected at least 2 classes, 2 samples a class and a temperature above 0, got {K}, {n} and {temperature}"
        )


def _stationary(gradient: float) -> str:
    return f"The gradient norm at the best ends is at most {gradient:.1e}."
