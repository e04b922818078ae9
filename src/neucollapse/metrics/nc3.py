"""NC3, self-duality: classifier rows align with class means. Five formulas of the literature, each by its own name."""

import math

import torch
from torch import Tensor

from .._types import Float
from ._absent import Absent
from ._metric import Metric
from ._range import SHARE, UP_TO_2, Range
from ._rows import directions
from ._shared import shared
from ._terms import Need, Terms
from .nc2 import FROM_FLOOR, distance_to_target, floor


def frobenius(weight: Float[Tensor, "K d"], means: Float[Tensor, "K d"]) -> float:
    """|| W/||W||_F - M/||M||_F ||_F: distance of the two matrices at unit norm.

    Range [0, 2], 0 at collapse. Papyan, Han, Donoho 2020 (arXiv 2008.08186), Figure 5.

    Examples:
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

    Examples:
        >>> cosine_deviations(torch.eye(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64)).tolist()
        [0.0, 0.0]
    """
    return (weight - means).square().sum(dim=1) / 2


def _means(terms: Terms, about: str) -> Tensor:
    """Class means about the mean over classes, or over samples; `Absent` where the features cannot tell them apart."""
    terms.features.need_distinct_means()
    return terms.features.centred_means(about)


def _weight(terms: Terms, *, centred: bool) -> Tensor:
    return terms.weight.need_spread() if centred else terms.weight.raw


@shared
def _cosine_deviations(terms: Terms, about: str = "class") -> Tensor:
    W = terms.weight.need_nonzero(centred=True)
    if about == "class" or terms.features.is_balanced:
        return cosine_deviations(W, terms.means.need_nonzero(centred=True))
    means = _means(terms, about)
    if bool(terms.features.precision.coincide(means).any()):
        raise Absent("a class mean equals the sample mean and has no direction")
    return cosine_deviations(W, directions(means))


def _frobenius(terms: Terms, *, centred: bool = True, about: str = "class") -> float:
    return frobenius(_weight(terms, centred=centred), _means(terms, about))


def _product(terms: Terms, *, centred: bool = True, about: str = "class") -> float:
    return distance_to_target(
        _weight(terms, centred=centred),
        _means(terms, about),
        lambda: (terms.weight.gram(centred=centred), terms.features.gram(about)),
    )


_NEEDS: tuple[Need, ...] = ("classifier", "pairs")
_ABOUT_SAMPLES = "μ_G = Σ n_c μ_c / N"

METRICS = (
    Metric(
        "nc3/frobenius", "distance of classifier and means", "‖W/‖W‖ - M/‖M‖‖",
        "Frobenius distance of classifier rows and class means, both centred and at unit norm.",
        _frobenius, "papyan2020", range=UP_TO_2, needs=_NEEDS,
    ),
    Metric(
        "nc3/frobenius_uncentred_weight", "distance of classifier and means, classifier uncentred",
        "‖W/‖W‖ - M/‖M‖‖, W as it is",
        "nc3/frobenius with classifier rows as they are, as in Papyan et al.",
        lambda terms: _frobenius(terms, centred=False), "papyan2020", range=UP_TO_2, needs=_NEEDS,
    ),
    Metric(
        "nc3/frobenius_sample_mean", "distance of classifier and means, about the sample mean",
        f"‖W/‖W‖ - M/‖M‖‖, {_ABOUT_SAMPLES}",
        "nc3/frobenius with class means about the mean of all samples. Equal for balanced classes.",
        lambda terms: _frobenius(terms, about="sample"), "zhu2021", range=UP_TO_2, needs=_NEEDS,
    ),
    Metric(
        "nc3/frobenius_squared", "distance of classifier and means, squared", "‖W/‖W‖ - M/‖M‖‖²",
        "The square of nc3/frobenius, as the notebook of Papyan and Han prints it.",
        lambda terms: _frobenius(terms) ** 2, "papyan2020", range=Range(0, 4), needs=_NEEDS,
    ),
    Metric(
        "nc3/product", "distance of the product to a simplex", "‖WMᵀ/‖WMᵀ‖ - (I-11ᵀ/K)/√(K-1)‖",
        "Distance of the K x K product of centred rows and means to a simplex Gram matrix. It does not measure alignment "
        "alone: with perfect alignment it equals nc2/etf_distance of either.",
        _product, "kothapalli2023", range=FROM_FLOOR, at_collapse="nc2/etf_floor", optimum=floor, needs=_NEEDS,
    ),
    Metric(
        "nc3/product_uncentred_weight", "distance of the product to a simplex, classifier uncentred",
        "‖WMᵀ/‖WMᵀ‖ - (I-11ᵀ/K)/√(K-1)‖, W as it is",
        "nc3/product with classifier rows as they are.",
        lambda terms: _product(terms, centred=False), "zhu2021",
        range=FROM_FLOOR, at_collapse="nc2/etf_floor", optimum=floor, needs=_NEEDS,
    ),
    Metric(
        "nc3/product_sample_mean", "distance of the product to a simplex, about the sample mean",
        f"‖WMᵀ/‖WMᵀ‖ - (I-11ᵀ/K)/√(K-1)‖, {_ABOUT_SAMPLES}",
        "nc3/product with class means about the mean of all samples. Equal for balanced classes.",
        lambda terms: _product(terms, about="sample"), "zhu2021",
        range=FROM_FLOOR, at_collapse="nc2/etf_floor", optimum=floor, needs=_NEEDS,
    ),
    Metric(
        "nc3/product_sample_mean_uncentred_weight",
        "distance of the product to a simplex, about the sample mean, classifier uncentred",
        f"‖WMᵀ/‖WMᵀ‖ - (I-11ᵀ/K)/√(K-1)‖, W as it is, {_ABOUT_SAMPLES}",
        "The form of the paper and its code: class means about the mean of all samples, classifier rows as they are.",
        lambda terms: _product(terms, centred=False, about="sample"), "zhu2021",
        range=FROM_FLOOR, at_collapse="nc2/etf_floor", optimum=floor, needs=_NEEDS,
    ),
    Metric(
        "nc3/cosine", "misalignment of classifier and means", "mean_k 1 - cos(w_k, μ_k - μ_G)",
        "One less the cosine of each classifier row with its class mean, both centred; mean over classes.",
        lambda terms: float(_cosine_deviations(terms).mean()), "papyan2020", range=UP_TO_2, needs=_NEEDS,
    ),
    Metric(
        "nc3/cosine_sample_mean", "misalignment of classifier and means, about the sample mean",
        f"mean_k 1 - cos(w_k, μ_k - μ_G), {_ABOUT_SAMPLES}",
        "nc3/cosine with class means about the mean of all samples. Equal for balanced classes.",
        lambda terms: float(_cosine_deviations(terms, "sample").mean()), "zhu2021", range=UP_TO_2, needs=_NEEDS,
    ),
    Metric(
        "nc3/cosine_max", "misalignment of the worst class", "max_k 1 - cos(w_k, μ_k - μ_G)",
        "nc3/cosine of the class where it is largest.",
        lambda terms: float(_cosine_deviations(terms).max()), "papyan2020", range=UP_TO_2, needs=_NEEDS,
    ),
    Metric(
        "nc3/length", "distance of directions", "mean_k ‖w_k/‖w_k‖ - (μ_k-μ_G)/‖μ_k-μ_G‖‖",
        "Distance of each classifier row to its class mean, both centred and at unit norm; mean over classes.",
        lambda terms: float((2 * _cosine_deviations(terms)).sqrt().mean()), "wu2024", range=UP_TO_2, needs=_NEEDS,
    ),
    Metric(
        "nc3/uniform", "spread of alignment over classes", "std_k cos(w_k, μ_k - μ_G)",
        "Standard deviation over classes of the cosine of a classifier row with its class mean: uniform duality.",
        lambda terms: math.sqrt(float(_cosine_deviations(terms).var(correction=0))), "wu2024", range=SHARE, needs=_NEEDS,
    ),
)  # fmt: skip
