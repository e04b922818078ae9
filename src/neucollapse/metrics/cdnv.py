"""Class-distance normalised variance: how wide two classes are, for how far apart they lie."""

import math
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from .._types import Float
from ..geometry import pair_tiles
from ._absent import Absent
from ._metric import Metric
from ._shared import shared
from ._tables import Tables
from ._terms import Terms

_BINS_A_DECADE = 256  # quantiles from a logarithmic histogram are within 0.5 %
_DECADES = (-330, 310)  # all that double precision holds: nothing falls off an end
_LAST = (_DECADES[1] - _DECADES[0]) * _BINS_A_DECADE + 1


@dataclass(frozen=True)
class CDNV:
    """Summary of V(i, j) over the pairs i < j of classes, and the worst partner of each class.

    Mean, maximum and quantiles are infinite or NaN where two classes have one mean; `closest` is the pair of the
    nearest means.
    """

    mean: float
    maximum: float
    median: float
    p95: float
    worst: Tensor  # (K,) largest V of each class
    worst_partner: Tensor  # (K,) the class it is reached with
    closest: tuple[int, int]
    closeness: Tensor  # (2, K) sums over the other classes of the squared distance of means to the power -1, and to -2


def class_distance_normalized_variance(
    class_variances: Float[Tensor, "K"], class_means: Float[Tensor, "K d"], *, exponent: float = 1.0
) -> CDNV:
    r"""V(i, j) over all pairs of classes, in tiles: nothing of size K x K is stored.

    $$
    V(i, j) = \frac{\operatorname{var}_i + \operatorname{var}_j}{2 \lVert \mu_i - \mu_j \rVert^{2p}},
    \qquad \operatorname{var}_i = \mathbb E\, \lVert h - \mu_i \rVert^2 \ (\text{divided by } n_i)
    $$

    Args:
        class_variances: var (K,).
        class_means: mu (K, d); subtract their mean beforehand where a common offset is large.
        exponent: p; 1 in the paper. With another one the number depends on the scale of the features.

    Returns:
        Mean, maximum, median and 95 % quantile over pairs (quantiles to 0.5 %), and each class's worst partner. In
        [0, inf), 0 at collapse. Where two classes with spread have one mean, the mean and the maximum are infinite; where
        they have no spread either, everything is NaN, for no order is left.

    Reference:
        Galanti, Gyorgy, Hutter 2022 (arXiv 2112.15121), Definition 3.

    Examples:
        >>> means = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
        >>> class_distance_normalized_variance(torch.ones(3, dtype=torch.float64), means).maximum
        0.25
    """
    K = len(class_means)
    histogram = torch.zeros(_LAST + 1, dtype=torch.float64)
    total, worst = 0.0, torch.full((K,), -torch.inf, dtype=torch.float64)
    nearest, closest = torch.inf, (0, 0)
    partner, closeness = torch.zeros(K, dtype=torch.int64), torch.zeros(2, K, dtype=torch.float64)
    for tile in pair_tiles(class_means):
        rows, columns = tile.rows, tile.columns
        squares = tile.squared_distances()
        apart = tile.fill(squares, torch.inf)
        i, j = divmod(int(apart.argmin()), squares.shape[1])
        if float(squares[i, j]) < nearest and columns.start + j > rows.start + i:
            nearest, closest = float(squares[i, j]), (rows.start + i, columns.start + j)
        inverse = apart.reciprocal()
        for sums in closeness:
            sums[rows] += inverse.sum(dim=1)
            sums[columns] += inverse.sum(dim=0)
            inverse.square_()
        values = class_variances[rows, None] + class_variances[None, columns]
        values /= 2 * (squares if exponent == 1 else squares**exponent)
        chosen = tile.select(values)
        total += float(chosen.sum())
        _count(histogram, chosen)
        values = tile.fill(values.nan_to_num(nan=torch.inf, posinf=torch.inf), -torch.inf)
        for side, own, others in ((1, rows, columns), (0, columns, rows)):
            best, where = values.max(dim=side)
            better = best > worst[own]
            worst[own] = torch.where(better, best, worst[own])
            partner[own] = torch.where(better, where + others.start, partner[own])
    if math.isnan(total):  # 0/0: a pair without distance and without spread stands nowhere in the order of pairs
        return CDNV(math.nan, math.nan, math.nan, math.nan, worst, partner, closest, closeness)
    pairs, maximum = K * (K - 1) / 2, float(worst.max())
    median, p95 = (min(_quantile(histogram, share * pairs), maximum) for share in (0.5, 0.95))
    return CDNV(total / pairs, maximum, median, p95, worst, partner, closest, closeness)


def _count(histogram: Tensor, values: Tensor) -> None:
    """Add values to a logarithmic histogram, whose first place is for zero and whose last for what is infinite."""
    place = values.log10().sub_(_DECADES[0]).mul_(_BINS_A_DECADE).add_(1).clamp_(0, _LAST).nan_to_num_(0).long()
    if place.numel():
        first = int(place.min())
        counts = torch.bincount(place - first)
        histogram[first : first + len(counts)] += counts


def _quantile(histogram: Tensor, rank: float) -> float:
    place = int(torch.searchsorted(histogram.cumsum(0), rank))
    if place == 0:
        return 0.0
    return math.inf if place >= _LAST else 10 ** (_DECADES[0] + (place - 0.5) / _BINS_A_DECADE)


@shared
def _summary(terms: Terms) -> CDNV:
    terms.need("pairs")
    return class_distance_normalized_variance(terms.features.class_variances, terms.means.centred)


def measured_pairs(terms: Terms, result: Tables) -> CDNV | None:
    """The summary over pairs of classes, where a metric of `result` was read from it."""
    if any(f"nc1/cdnv{form}" in {**result.numbers, **result.absent} for form in ("", "_max", "_median", "_p95")):
        with suppress(Absent):
            return _summary(terms)
    return None


def are_one(terms: Terms, i: int, j: int) -> bool:
    """Whether the means of two classes coincide, to within the rounding of the features."""
    return bool(terms.features.precision.coincide(terms.means.centred[i] - terms.means.centred[j]))


def _read(terms: Terms, what: str) -> float:
    cdnv = _summary(terms)
    value = getattr(cdnv, what)
    if math.isnan(value) or (
        (what in ("mean", "maximum") or not math.isfinite(value)) and are_one(terms, *cdnv.closest)
    ):
        i, j = terms.means.classes[list(cdnv.closest)].tolist()
        raise Absent(f"classes {i} and {j} have the same mean, and the ratio to their distance has no value")
    return value


def _mean(terms: Terms, variances: Tensor, *, exponent: int = 1) -> float:
    """The mean over pairs for these variances, which it is linear in."""
    _read(terms, "mean")  # which has a value where this one has
    return float(variances @ _summary(terms).closeness[exponent - 1]) / (terms.K * (terms.K - 1))


def _unbiased(terms: Terms) -> float:
    terms.need("pairs")
    counts = terms.features.counts
    if int(counts.min()) < 2:
        raise Absent("a class has one sample only, whose variance divided by n_c - 1 has no value")
    return _mean(terms, terms.features.class_variances * counts / (counts - 1))


def _exponent_2(terms: Terms) -> float:
    terms.need("pairs")
    return _mean(terms, terms.features.class_variances, exponent=2) / terms.features.unit**2


_FORMULA = "over i<j of (var_i + var_j) / (2‖μ_i - μ_j‖²)"
_WORDS = "Variance of two classes against their squared distance"

METRICS = (
    Metric(
        "nc1/cdnv", "class-distance normalised variance", f"mean {_FORMULA}", f"{_WORDS}: mean over all pairs of classes.",
        lambda terms: _read(terms, "mean"), "galanti2022",
    ),
    Metric(
        "nc1/cdnv_max", "class-distance normalised variance of the worst pair", f"maximum {_FORMULA}",
        f"{_WORDS}: maximum over all pairs of classes.",
        lambda terms: _read(terms, "maximum"), "galanti2022",
    ),
    Metric(
        "nc1/cdnv_median", "class-distance normalised variance of the median pair", f"median {_FORMULA}",
        f"{_WORDS}: median over all pairs of classes.",
        lambda terms: _read(terms, "median"), "galanti2022",
    ),
    Metric(
        "nc1/cdnv_p95", "class-distance normalised variance of the pair at 95 %", f"95 % quantile {_FORMULA}",
        f"{_WORDS}: 95 % quantile over all pairs of classes.",
        lambda terms: _read(terms, "p95"), "galanti2022",
    ),
    Metric(
        "nc1/cdnv_unbiased", "class-distance normalised variance, unbiased", f"mean {_FORMULA}",
        "nc1/cdnv with variances divided by n_c - 1 instead of n_c, as some code has them.",
        _unbiased, "galanti2022",
    ),
    Metric(
        "nc1/cdnv_exponent2", "class-distance normalised variance, distance exponent 2",
        "mean over i<j of (var_i + var_j) / (2‖μ_i - μ_j‖⁴)",
        "nc1/cdnv with the squared distance to the power of two: pairs that are far apart count even less. It has "
        "the unit of one over a squared length, so that it depends on the scale of the features.",
        _exponent_2, "wu2024",
    ),
)  # fmt: skip
