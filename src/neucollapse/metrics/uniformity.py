"""Hyperspherical uniformity: energies of the directions of class means or classifier rows, and their excess.

An energy is not zero at the optimum, so beside each stands its excess over the best known energy for (K, d).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .._types import Float
from ..geometry import best_known_energy
from ._absent import Absent
from ._metric import Metric, on_weight
from ._range import NONNEGATIVE, Bound, Range
from ._shared import shared
from ._terms import Need, Terms


def log_gram_determinant(unit: Float[Tensor, "K d"]) -> float:
    r"""Mean of log(eigenvalue) over the r = min(K - 1, d) largest eigenvalues of the Gram matrix of centred unit rows.

    The eigenvalues sum to K, so the mean is at most log(K / r), reached by a simplex (K <= d + 1) and by any centred
    unit-norm tight frame (K > d + 1). Range (-inf, log(K / r)].

    Example:
        >>> from neucollapse.geometry import simplex
        >>> abs(log_gram_determinant(simplex(4)) - math.log(4 / 3)) < 1e-12
        True
    """
    K, d = unit.shape
    if K > d:  # no eigenvalue is left out
        sign, total = torch.linalg.slogdet(unit.T @ unit)
        total = total if sign > 0 else -total.new_tensor(math.inf)
    else:
        total = torch.linalg.eigvalsh(unit @ unit.T)[1:].clamp(min=0).log().sum()
    if not bool(torch.isfinite(total)):
        raise Absent("the directions span less than min(K-1, d) dimensions: the determinant is zero")
    return float(total) / min(K - 1, d)


_SIDES = {"": "normalized_means", "@weight": "weight"}


def _energy(terms: Terms, side: str, what: str) -> float:
    terms.need_pairs()
    value = getattr(getattr(terms, side).pairs, what)
    if not math.isfinite(value):
        raise Absent("two rows coincide in direction: the energy is infinite")
    return value


def _best(terms: Terms, s: float) -> float:
    if not terms.find_optimum:
        raise Absent("optima were not asked for")
    best = best_known_energy(terms.K, terms.d, s)
    if best.value is None:
        raise Absent(best.source)
    return best.value


def energy_optimum(s: float) -> Callable[[Terms], float | None]:
    """The least mean energy known for K and d."""

    def optimum(terms: Terms) -> float | None:
        try:
            return _best(terms, s)
        except Absent:
            return None

    return optimum


def energy_range(s: float) -> Range:
    """From the energy at the distances of a simplex, which no K points can beat: the energy is convex in squares."""
    if s == 0:
        return Range(Bound("-½ log(2K/(K-1))", lambda K, _: -math.log(2 * K / (K - 1)) / 2), math.inf)
    least = {1.0: "√((K-1)/(2K))", 2.0: "(K-1)/(2K)"}[s]
    return Range(Bound(least, lambda K, _: ((K - 1) / (2 * K)) ** (s / 2)), math.inf)


def _excess_range(s: float) -> Range:
    def least(K: int, d: int) -> float:
        return 0.0 if best_known_energy(K, d, s).status == "proved" else -math.inf

    return Range(Bound("0 where the least energy is proved", least), math.inf)


def _pair(stem: str, s: float, what: str, symbol: str, words: str) -> tuple[Metric, Metric]:
    energy = Metric(
        stem,
        f"{words} energy",
        symbol,
        f"Mean {words} energy over pairs of class directions (unit-norm features, uncentred).",
        energy_range(s),
        "the least possible",
        lambda terms: _energy(terms, "normalized_means", what),
        "liu2023",
        optimum=energy_optimum(s),
        needs=("unit norm",),
    )
    excess = Metric(
        f"{stem}_excess",
        f"excess {words} energy",
        f"{symbol} less the best known",
        f"Mean {words} energy over pairs, less the least energy known for this K and d. Below 0 it beats what is known.",
        _excess_range(s),
        "0",
        lambda terms: _energy(terms, "normalized_means", what) - _best(terms, s),
        "liu2023",
        log=True,
        needs=("unit norm",),
    )
    return energy, excess


_ENERGIES = (
    *_pair("gnc2/energy", 0.0, "log_mean", "mean log(1/‖u_i - u_j‖)", "logarithmic"),
    *_pair("gnc2/energy_riesz1", 1.0, "riesz1", "mean 1/‖u_i - u_j‖", "Riesz s=1"),
    *_pair("gnc2/energy_riesz2", 2.0, "riesz2", "mean 1/‖u_i - u_j‖²", "Riesz s=2"),
)
_OF_WEIGHT = {
    metric.name: (metric.name.removesuffix("_excess"), metric.name.endswith("_excess")) for metric in _ENERGIES
}
_WHAT = {"gnc2/energy": (0.0, "log_mean"), "gnc2/energy_riesz1": (1.0, "riesz1"), "gnc2/energy_riesz2": (2.0, "riesz2")}


def _weight_energy(metric: Metric) -> Callable[[Terms], float]:
    stem, excess = _OF_WEIGHT[metric.name]
    s, what = _WHAT[stem]
    if excess:
        return lambda terms: _energy(terms, "weight", what) - _best(terms, s)
    return lambda terms: _energy(terms, "weight", what)


@shared
def _log_determinant(terms: Terms, side: str) -> float:
    return log_gram_determinant(getattr(terms, side).need_nonzero(centred=True))


def _determinant(side: str, *, deficit: bool) -> Callable[[Terms], float]:
    def compute(terms: Terms) -> float:
        terms.need_pairs()
        value = _log_determinant(terms, side)
        return _most(terms) - value if deficit else value

    return compute


def _most(terms: Terms) -> float:
    return math.log(terms.K / min(terms.K - 1, terms.d))


def _determinants(suffix: str, side: str) -> tuple[Metric, Metric]:
    needs: tuple[Need, ...] = ("classifier",) if suffix else ("unit norm",)
    return (
        Metric(
            f"gnc2/gram_logdet{suffix}",
            "log-determinant of the Gram matrix",
            "mean log λ_i(UUᵀ), i ≤ min(K-1, d)",
            "Mean logarithm of the min(K-1, d) largest eigenvalues of the Gram matrix of centred directions.",
            Range(-math.inf, Bound("log(K/min(K-1, d))", lambda K, d: math.log(K / min(K - 1, d)))),
            "log(K/min(K-1, d))",
            _determinant(side, deficit=False),
            "liu2023",
            optimum=_most,
            of_classifier=bool(suffix),
            needs=needs,
        ),
        Metric(
            f"gnc2/gram_logdet_excess{suffix}",
            "what the log-determinant lacks",
            "log(K/r) - mean log λ_i",
            "How far gnc2/gram_logdet stays below its largest possible value.",
            NONNEGATIVE,
            "0",
            _determinant(side, deficit=True),
            "liu2023",
            log=True,
            of_classifier=bool(suffix),
            needs=needs,
        ),
    )


METRICS = (
    *_ENERGIES,
    *on_weight(_ENERGIES, _weight_energy),
    *_determinants("", "normalized_means"),
    *_determinants("@weight", "weight"),
)
