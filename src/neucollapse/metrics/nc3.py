"""NC3, self-duality: classifier rows align with class means. Five formulas of the literature, each by its own name."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .._types import Float
from ._absent import Absent
from ._metric import Metric
from ._range import SHARE, UP_TO_2, Range
from ._rows import directions
from ._shared import shared
from ._terms import Terms
from .nc2 import FROM_FLOOR, floor, terms_distance


def frobenius(weight: Float[Tensor, "K d"], means: Float[Tensor, "K d"]) -> float:
    """|| W/||W||_F - M/||M||_F ||_F: distance of the two matrices at unit norm.

    Range [0, 2], 0 at collapse. Papyan, Han, Donoho 2020 (arXiv 2008.08186), Figure 5.

    Example:
        >>> rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
        >>> frobenius(5 * rows, rows)
        0.0
    """
    norms = [torch.linalg.matrix_norm(rows) for rows in (weight, means)]
    if not all(bool(norm) for norm in norms):
        raise Absent("the classifier or the class means are all zero")
    return float(torch.linalg.matrix_norm(weight / norms[0] - means / norms[1]))


def cosine_deviations(weight: Float[Tensor, "K d"], means: Float[Tensor, "K d"]) -> Float[Tensor, "K"]:
    """1 - cos(w_k, mu_k) for each class, from rows at unit norm, as half the squared chord: exact near zero.

    Range [0, 2], 0 at collapse.

    Example:
        >>> cosine_deviations(torch.eye(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)).tolist()
        [0.0, 0.0]
    """
    return (weight - means).square().sum(dim=1) / 2


def _means(terms: Terms, about: str) -> Tensor:
    """Class means about the mean over classes, or over samples; ``Absent`` where the features cannot tell them apart."""
    terms.need_distinct_means()
    return terms.centred_means(about)


@shared
def _cosine_deviations(terms: Terms, about: str = "class") -> Tensor:
    W = terms.weight.need_nonzero(centred=True)
    if about == "class" or terms.is_balanced:
        return cosine_deviations(W, terms.means.need_nonzero(centred=True))
    means = _means(terms, about)
    if bool(terms.precision.coincide(means).any()):
        raise Absent("a class mean equals the sample mean and has no direction")
    return cosine_deviations(W, directions(means))


def _frobenius(terms: Terms, *, centred: bool = True, about: str = "class") -> float:
    return frobenius(terms.weight.need_spread() if centred else terms.weight.raw, _means(terms, about))


def _product(terms: Terms, *, centred: bool = True, about: str = "class") -> float:
    return terms_distance(terms, terms.weight.need_spread() if centred else terms.weight.raw, _means(terms, about))


def _mean_length(terms: Terms) -> float:
    return float((2 * _cosine_deviations(terms)).sqrt().mean())


def _uniform(terms: Terms) -> float:
    return math.sqrt(float(_cosine_deviations(terms).var(correction=0)))


def _metric(
    name: str,
    title: str,
    symbol: str,
    definition: str,
    read: Callable[[Terms], float],
    *,
    citation: str = "papyan2020",
    range_: Range = UP_TO_2,
) -> Metric:
    def compute(terms: Terms) -> float:
        terms.need_pairs()
        return read(terms)

    product = name.startswith("nc3/product")  # it inherits the floor of NC2
    return Metric(
        name,
        title,
        symbol,
        definition,
        FROM_FLOOR if product else range_,
        "nc2/etf_floor" if product else "0",
        compute,
        citation,
        log=True,
        optimum=floor if product else None,
        needs=("classifier",),
    )


_ABOUT_SAMPLES = "μ_G = Σ n_c μ_c / N"

METRICS = (
    _metric(
        "nc3/frobenius", "distance of classifier and means", "‖W/‖W‖ - M/‖M‖‖",
        "Frobenius distance of classifier rows and class means, both centred and at unit norm.",
        _frobenius,
    ),
    _metric(
        "nc3/frobenius_uncentred_weight", "distance of classifier and means, classifier uncentred",
        "‖W/‖W‖ - M/‖M‖‖, W as it is",
        "nc3/frobenius with classifier rows as they are, as in Papyan et al.",
        partial(_frobenius, centred=False),
    ),
    _metric(
        "nc3/frobenius_sample_mean", "distance of classifier and means, about the sample mean",
        f"‖W/‖W‖ - M/‖M‖‖, {_ABOUT_SAMPLES}",
        "nc3/frobenius with class means about the mean of all samples. Equal for balanced classes.",
        partial(_frobenius, about="sample"), citation="zhu2021",
    ),
    _metric(
        "nc3/frobenius_squared", "distance of classifier and means, squared", "‖W/‖W‖ - M/‖M‖‖²",
        "The square of nc3/frobenius, as the notebook of Papyan and Han prints it.",
        lambda terms: _frobenius(terms) ** 2, range_=Range(0, 4),
    ),
    _metric(
        "nc3/product", "distance of the product to a simplex", "‖WMᵀ/‖WMᵀ‖ - (I-11ᵀ/K)/√(K-1)‖",
        "Distance of the K x K product of centred rows and means to a simplex Gram matrix. It does not measure alignment "
        "alone: with perfect alignment it equals nc2/etf_distance of either.",
        _product, citation="kothapalli2023",
    ),
    _metric(
        "nc3/product_uncentred_weight", "distance of the product to a simplex, classifier uncentred",
        "‖WMᵀ/‖WMᵀ‖ - (I-11ᵀ/K)/√(K-1)‖, W as it is",
        "nc3/product with classifier rows as they are.",
        partial(_product, centred=False), citation="zhu2021",
    ),
    _metric(
        "nc3/product_sample_mean", "distance of the product to a simplex, about the sample mean",
        f"‖WMᵀ/‖WMᵀ‖ - (I-11ᵀ/K)/√(K-1)‖, {_ABOUT_SAMPLES}",
        "nc3/product with class means about the mean of all samples. Equal for balanced classes.",
        partial(_product, about="sample"), citation="zhu2021",
    ),
    _metric(
        "nc3/product_sample_mean_uncentred_weight",
        "distance of the product to a simplex, about the sample mean, classifier uncentred",
        f"‖WMᵀ/‖WMᵀ‖ - (I-11ᵀ/K)/√(K-1)‖, W as it is, {_ABOUT_SAMPLES}",
        "The form of the paper and its code: class means about the mean of all samples, classifier rows as they are.",
        partial(_product, centred=False, about="sample"), citation="zhu2021",
    ),
    _metric(
        "nc3/cosine", "misalignment of classifier and means", "mean_k 1 - cos(w_k, μ_k - μ_G)",
        "One less the cosine of each classifier row with its class mean, both centred; mean over classes.",
        lambda terms: float(_cosine_deviations(terms).mean()),
    ),
    _metric(
        "nc3/cosine_sample_mean", "misalignment of classifier and means, about the sample mean",
        f"mean_k 1 - cos(w_k, μ_k - μ_G), {_ABOUT_SAMPLES}",
        "nc3/cosine with class means about the mean of all samples. Equal for balanced classes.",
        lambda terms: float(_cosine_deviations(terms, "sample").mean()), citation="zhu2021",
    ),
    _metric(
        "nc3/cosine_max", "misalignment of the worst class", "max_k 1 - cos(w_k, μ_k - μ_G)",
        "nc3/cosine of the class where it is largest.",
        lambda terms: float(_cosine_deviations(terms).max()),
    ),
    _metric(
        "nc3/length", "distance of directions", "mean_k ‖w_k/‖w_k‖ - (μ_k-μ_G)/‖μ_k-μ_G‖‖",
        "Distance of each classifier row to its class mean, both centred and at unit norm; mean over classes.",
        _mean_length, citation="wu2024",
    ),
    _metric(
        "nc3/uniform", "spread of alignment over classes", "std_k cos(w_k, μ_k - μ_G)",
        "Standard deviation over classes of the cosine of a classifier row with its class mean: uniform duality.",
        _uniform, citation="wu2024", range_=SHARE,
    ),
)  # fmt: skip
