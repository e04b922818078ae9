"""Class-distance normalised variance: how wide two classes are, for how far apart they lie."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .._types import Float
from ..geometry import pair_tiles
from ._metric import Absent, Metric
from ._terms import Terms

_BINS_A_DECADE = 256  # quantiles from a logarithmic histogram are within 0.5 %
_DECADES = (-40, 10)


@dataclass(frozen=True)
class CDNV:
    """Summary of V(i, j) over the pairs i < j of classes, and the worst partner of each class."""

    mean: float
    maximum: float
    median: float
    p95: float
    worst: Tensor  # (K,) largest V of each class
    worst_partner: Tensor  # (K,) the class it is reached with


def class_distance_normalized_variance(class_variances: Float[Tensor, "K"], class_means: Float[Tensor, "K d"]) -> CDNV:
    r"""V(i, j) over all pairs of classes, in tiles: nothing of size K x K is stored.

    .. math:: V(i, j) = \frac{\operatorname{var}_i + \operatorname{var}_j}{2 \lVert \mu_i - \mu_j \rVert^2},
        \qquad \operatorname{var}_i = \mathbb E\, \lVert h - \mu_i \rVert^2 \ (\text{divided by } n_i)

    Args:
        class_variances: var (K,).
        class_means: mu (K, d); subtract their mean beforehand where a common offset is large.

    Returns:
        Mean, maximum, median and 95 % quantile over pairs (quantiles to 0.5 %), and each class's worst partner. In
        [0, inf), 0 at collapse, infinite where two classes with spread have one mean, NaN where they have none.

    Reference:
        Galanti, Gyorgy, Hutter 2022 (arXiv 2112.15121), Definition 3.

    Example:
        >>> means = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
        >>> class_distance_normalized_variance(torch.ones(3, dtype=torch.float64), means).maximum
        0.25
    """
    K = len(class_means)
    low, high = _DECADES
    histogram = torch.zeros((high - low) * _BINS_A_DECADE, dtype=torch.float64)
    total, worst = 0.0, torch.full((K,), -1.0, dtype=torch.float64)
    partner = torch.zeros(K, dtype=torch.int64)
    for tile in pair_tiles(class_means):
        rows, columns = tile.rows, tile.columns
        values = (class_variances[rows, None] + class_variances[None, columns]) / (2 * tile.squared_distances())
        chosen = tile.select(values)
        total += float(chosen.sum())
        place = chosen.log10().sub_(low).mul_(_BINS_A_DECADE).clamp_(0, len(histogram) - 1).nan_to_num_(0)
        histogram += torch.bincount(place.long(), minlength=len(histogram))
        values = tile.fill(values, -1.0)
        for side, own, others in ((1, rows, columns), (0, columns, rows)):
            best, where = values.max(dim=side)
            better = best > worst[own]
            worst[own] = torch.where(better, best, worst[own])
            partner[own] = torch.where(better, where + others.start, partner[own])
    pairs = K * (K - 1) / 2
    quantiles = torch.searchsorted(histogram.cumsum(0), torch.tensor([0.5, 0.95]) * pairs)
    median, p95 = (10 ** (low + (quantiles + 0.5) / _BINS_A_DECADE)).tolist()
    maximum = float(worst.max())
    return CDNV(total / pairs, maximum, min(median, maximum), min(p95, maximum), worst, partner)


def _cdnv(terms: Terms, what: str) -> float:
    terms.need_pairs()
    if terms.cdnv is None:
        variances = terms.stats.class_variances.cpu()[terms.present]
        terms.cdnv = class_distance_normalized_variance(variances, terms.means.centred)
    value = getattr(terms.cdnv, what)
    if not torch.isfinite(torch.tensor(value)):
        raise Absent("two classes have the same mean, and the ratio to their distance has no value")
    return value


def _metric(name: str, title: str, what: str, words: str) -> Metric:
    return Metric(
        name,
        title,
        f"{words} over i<j of (var_i + var_j) / (2‖μ_i - μ_j‖²)",
        f"Variance of two classes against their squared distance: {words} over all pairs of classes.",
        "[0, ∞)",
        "0",
        lambda terms: _cdnv(terms, what),
        "galanti2022",
        log=True,
    )


METRICS = (
    _metric("nc1/cdnv", "class-distance normalised variance", "mean", "mean"),
    _metric("nc1/cdnv_max", "class-distance normalised variance of the worst pair", "maximum", "maximum"),
    _metric("nc1/cdnv_median", "class-distance normalised variance of the median pair", "median", "median"),
    _metric("nc1/cdnv_p95", "class-distance normalised variance of the pair at 95 %", "p95", "95 % quantile"),
)
