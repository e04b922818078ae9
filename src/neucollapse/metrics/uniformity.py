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
from ._rows import Rows
from ._shared import shared
from ._terms import Terms


def log_gram_determinant(unit: Float[Tensor, "K d"]) -> float:
    r"""Mean of log(eigenvalue) over the r = min(K - 1, d) largest eigenvalues of the Gram matrix of centred unit rows.

    The eigenvalues sum to K, so the mean is at most log(K / r), reached by a simplex (K <= d + 1) and by any centred
    unit-norm tight frame (K > d + 1). Range (-inf, log(K / r)].

    Examples:
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


def _energy(rows: Rows, what: str) -> float:
    value = getattr(rows.pairs, what)
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
    return (
        Metric(
            stem, f"{words} energy", symbol,
            f"Mean {words} energy over pairs of class directions (unit-norm features, uncentred).",
            lambda _, rows: _energy(rows, what), "liu2023",
            range=energy_range(s), at_collapse="the least possible", log=False, optimum=energy_optimum(s),
            side="normalized_means", needs=("unit norm", "pairs"),
        ),
        Metric(
            f"{stem}_excess", f"excess {words} energy", f"{symbol} less the best known",
            f"Mean {words} energy over pairs, less the least energy known for this K and d. Below 0 it beats what is known.",
            lambda terms, rows: _energy(rows, what) - _best(terms, s), "liu2023",
            range=_excess_range(s), side="normalized_means", needs=("unit norm", "pairs"),
        ),
    )  # fmt: skip


_ENERGIES = (
    *_pair("gnc2/energy", 0.0, "log_mean", "mean log(1/‖u_i - u_j‖)", "logarithmic"),
    *_pair("gnc2/energy_riesz1", 1.0, "riesz1", "mean 1/‖u_i - u_j‖", "Riesz s=1"),
    *_pair("gnc2/energy_riesz2", 2.0, "riesz2", "mean 1/‖u_i - u_j‖²", "Riesz s=2"),
)


@shared
def _log_determinant(rows: Rows) -> float:
    return log_gram_determinant(rows.need_nonzero(centred=True))


def _most(terms: Terms) -> float:
    return math.log(terms.K / min(terms.K - 1, terms.d))


_DETERMINANTS = (
    Metric(
        "gnc2/gram_logdet", "log-determinant of the Gram matrix", "mean log λ_i(UUᵀ), i ≤ min(K-1, d)",
        "Mean logarithm of the min(K-1, d) largest eigenvalues of the Gram matrix of centred directions.",
        lambda _, rows: _log_determinant(rows), "liu2023",
        range=Range(-math.inf, Bound("log(K/min(K-1, d))", lambda K, d: math.log(K / min(K - 1, d)))),
        at_collapse="log(K/min(K-1, d))", log=False, optimum=_most, side="normalized_means", needs=("unit norm", "pairs"),
    ),
    Metric(
        "gnc2/gram_logdet_excess", "what the log-determinant lacks", "log(K/r) - mean log λ_i",
        "How far gnc2/gram_logdet stays below its largest possible value.",
        lambda terms, rows: _most(terms) - _log_determinant(rows), "liu2023",
        range=NONNEGATIVE, side="normalized_means", needs=("unit norm", "pairs"),
    ),
)  # fmt: skip

METRICS = (*_ENERGIES, *on_weight(_ENERGIES), *_DETERMINANTS, *on_weight(_DETERMINANTS))
