"""NC3, self-duality: classifier rows align with class means. Five formulas of the literature, each by its own name."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .._types import Float
from ._metric import Absent, Metric
from ._terms import Terms
from .nc2 import terms_distance


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


def _directions(terms: Terms) -> tuple[Tensor, Tensor]:
    return terms.weight.need_nonzero(centred=True), terms.means.need_nonzero(centred=True)


def _cosine_deviations(terms: Terms) -> Tensor:
    return terms.once("nc3/cosine", lambda: cosine_deviations(*_directions(terms)))


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
    citation: str = "papyan2020",
    at_collapse: str = "0",
    range_: str = "[0, 2]",
) -> Metric:
    def compute(terms: Terms) -> float:
        terms.need_pairs()
        return read(terms)

    return Metric(name, title, symbol, definition, range_, at_collapse, compute, citation, log=True)


METRICS = (
    _metric(
        "nc3/frobenius",
        "distance of classifier and means",
        "‖W/‖W‖ - M/‖M‖‖",
        "Frobenius distance of classifier rows and class means, both centred and at unit norm.",
        lambda terms: frobenius(terms.weight.centred, terms.means.centred),
    ),
    _metric(
        "nc3/frobenius_uncentred_weight",
        "distance of classifier and means, classifier uncentred",
        "‖W/‖W‖ - M/‖M‖‖, W as it is",
        "nc3/frobenius with classifier rows as they are, as in Papyan et al.",
        lambda terms: frobenius(terms.weight.raw, terms.means.centred),
    ),
    _metric(
        "nc3/frobenius_squared",
        "distance of classifier and means, squared",
        "‖W/‖W‖ - M/‖M‖‖²",
        "The square of nc3/frobenius, as the notebook of Papyan and Han prints it.",
        lambda terms: frobenius(terms.weight.centred, terms.means.centred) ** 2,
        range_="[0, 4]",
    ),
    _metric(
        "nc3/product",
        "distance of the product to a simplex",
        "‖WMᵀ/‖WMᵀ‖ - (I-11ᵀ/K)/√(K-1)‖",
        "Distance of the K x K product of centred rows and means to a simplex Gram matrix. It does not measure alignment "
        "alone: with perfect alignment it equals nc2/etf_distance of either.",
        lambda terms: terms_distance(terms, terms.weight.centred, terms.means.centred),
        "kothapalli2023",
        at_collapse="nc2/etf_floor",
    ),
    _metric(
        "nc3/product_uncentred_weight",
        "distance of the product to a simplex, classifier uncentred",
        "‖WMᵀ/‖WMᵀ‖ - (I-11ᵀ/K)/√(K-1)‖, W as it is",
        "nc3/product with classifier rows as they are.",
        lambda terms: terms_distance(terms, terms.weight.raw, terms.means.centred),
        "zhu2021",
        at_collapse="nc2/etf_floor",
    ),
    _metric(
        "nc3/cosine",
        "misalignment of classifier and means",
        "mean_k 1 - cos(w_k, μ_k - μ_G)",
        "One less the cosine of each classifier row with its class mean, both centred; mean over classes.",
        lambda terms: float(_cosine_deviations(terms).mean()),
    ),
    _metric(
        "nc3/cosine_max",
        "misalignment of the worst class",
        "max_k 1 - cos(w_k, μ_k - μ_G)",
        "nc3/cosine of the class where it is largest.",
        lambda terms: float(_cosine_deviations(terms).max()),
    ),
    _metric(
        "nc3/length",
        "distance of directions",
        "mean_k ‖w_k/‖w_k‖ - (μ_k-μ_G)/‖μ_k-μ_G‖‖",
        "Distance of each classifier row to its class mean, both centred and at unit norm; mean over classes.",
        _mean_length,
        "wu2024",
    ),
    _metric(
        "nc3/uniform",
        "spread of alignment over classes",
        "std_k cos(w_k, μ_k - μ_G)",
        "Standard deviation over classes of the cosine of a classifier row with its class mean: uniform duality.",
        _uniform,
        "wu2024",
        at_collapse="0",
        range_="[0, 1]",
    ),
)
