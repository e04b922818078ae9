"""Where a squared loss comes from: the decomposition along the central path of Han, Papyan and Donoho.

The loss of a linear classifier on one-hot targets, 1/(2N) sum_i ||W h_i + b - e_{y_i}||^2, is split exactly into what
the best classifier for these features would leave (of which one part is variability within classes, the other the
position of class means) and what this classifier loses against that best one.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .._types import Float
from ..statistics import Precision
from ._absent import Absent
from ._discriminant import Discriminant, discriminant
from ._linear_algebra import finite, resolved_spectrum
from ._metric import Metric
from ._shared import shared
from ._terms import Need, Terms

_BLOCK = 256  # classes whose scores are formed at a time


class Decomposition(NamedTuple):
    """loss = within + means + off_path; the first two belong to the least-squares classifier."""

    loss: float
    within: float
    means: float
    off_path: float


def mse_decomposition(
    within_scatter: Float[Tensor, "d d"],
    class_means: Float[Tensor, "K d"],
    class_weights: Float[Tensor, "K"],
    weight: Float[Tensor, "K d"],
    bias: Float[Tensor, "K"],
    *,
    precision: Precision | None = None,
) -> Decomposition:
    r"""Split the mean squared loss of (W, b) on one-hot targets.

    With features extended by a one, h~ = (h, 1), W~ = (W, b), and W~_LS the least-squares classifier,

    $$
    \underbrace{\tfrac{1}{2N}\sum_i \lVert \tilde W \tilde h_i - e_{y_i} \rVert^2}_{\text{loss}} =
    \underbrace{\tfrac12 \operatorname{tr}(W_{LS} S_W W_{LS}^\top)}_{\text{within (NC1)}} +
    \underbrace{\tfrac12 \sum_c \tfrac{n_c}{N} \lVert \tilde W_{LS} \tilde\mu_c - e_c \rVert^2}_{\text{means (NC2, NC3)}} +
    \underbrace{\tfrac12 \operatorname{tr}\big(\Delta \tilde S \Delta^\top\big)}_{\text{off path}},
    \qquad \Delta = \tilde W - \tilde W_{LS},
    $$

    where S~ is the second moment of h~. All terms are averages over samples, so the identity holds without balance.
    The least-squares classifier uses the directions that the features resolve, and no others. The loss is formed
    directly, and the first two parts from the discriminant ratios c, so that they stay exact near collapse.

    Args:
        within_scatter: S_W (d, d), over samples.
        class_means: mu (K, d); `class_weights`: n_c / N (K,).
        weight: W (K, d); `bias`: b (K,).
        precision: of the features; by default float64 features of the size of these means and scatter.

    Returns:
        Four numbers in [0, inf). All are 0 at collapse with a least-squares classifier and K <= d + 1.

    Reference:
        Han, Papyan, Donoho 2022 (arXiv 2106.02073), without weight decay.
    """
    # About the mean of the features, where the bias is a problem of its own: a common offset then costs no digits.
    mean = class_weights @ class_means
    M = class_means - mean
    if precision is None:
        variances = within_scatter.diagonal()
        precision = Precision.of(torch.float64, class_means, class_weights, variances, num_samples=len(M))
    root = class_weights.sqrt()[:, None]
    between = resolved_spectrum(finite(root * M, "class means"), precision, min(len(M) - 1, M.shape[1]))
    split = discriminant(finite(within_scatter, "within-class scatter"), *between, precision)
    return _decomposition(split, within_scatter, M, class_weights, weight, weight @ mean + bias)


def _decomposition(
    split: Discriminant, within_scatter: Tensor, M: Tensor, class_weights: Tensor, weight: Tensor, at_mean: Tensor
) -> Decomposition:
    root = class_weights.sqrt()[:, None]
    U = (root * M) @ split.maps.T
    hit = 1 / (1 + split.ratios)
    delta = torch.addmm(weight, root * U * hit, split.maps, alpha=-1)  # W - W_LS
    U.square_()
    lengths = class_weights @ U
    within = float(lengths @ (split.ratios * hit**2)) / 2
    means = float(lengths @ (split.ratios * hit) ** 2) / 2
    if len(split.ratios) < len(M) - 1:  # with K - 1 directions every target can be hit
        means += float(class_weights @ (1 - class_weights - U.sum(1))) / 2
    offset = at_mean - class_weights  # at the mean, the best classifier says how frequent a class is
    # The parts of the loss within classes, then what class means add: from the means, which costs no digits near collapse.
    loss, off_path = (float(torch.vdot((A @ within_scatter).flatten(), A.flatten())) for A in (weight, delta))
    for start in range(0, len(M), _BLOCK):  # so that nothing of size K x K is kept
        own = slice(start, start + _BLOCK)
        scores = M[own] @ weight.T + at_mean
        scores[:, own].diagonal().sub_(1)
        loss += float(class_weights[own] @ torch.linalg.vecdot(scores, scores))
        torch.mm(M[own], delta.T, out=scores)
        off_path += float(class_weights[own] @ torch.linalg.vecdot(scores, scores))
    return Decomposition(loss / 2, within, means, (off_path + float(offset.square().sum())) / 2)


@shared
def _parts(terms: Terms) -> Decomposition:
    if terms.stats.num_classes > terms.K:
        raise Absent("the decomposition needs samples of every class")
    bias = terms.full_bias if terms.full_bias is not None else torch.zeros(terms.K, dtype=torch.float64)
    features, head = terms.features, terms.weight
    weights, W, M = (
        features.class_weights("sample"),
        head.raw * (head.unit * features.unit),
        features.centred_means("sample"),
    )
    at_mean = W @ (features.means.raw[0] - M[0]) + bias
    return _decomposition(features.discriminant, features.within_scatter("sample"), M, weights, W, at_mean)


def _part(terms: Terms, name: str) -> float:
    value = getattr(_parts(terms), name)
    if value < 0:
        raise Absent("the scatter within classes that it measures is below the rounding of its sum")
    return value


_EIGENVALUES_UP_TO = 1000


def _least(terms: Terms) -> float | None:
    """The least loss of any features in d dimensions, 0 for K <= d+1: what a map of rank d leaves of the one-hot targets.

    Their scatter is diag(p) - p p^T for class shares p; the d largest eigenvalues can be reached (Eckart, Young), and half the
    sum of the others is left. All are 1/K for balanced classes.
    """
    K, left = terms.K, terms.K - 1 - terms.d
    if left <= 0:
        return 0.0
    if terms.features.is_balanced:
        return left / (2 * K)
    if K > _EIGENVALUES_UP_TO:
        return None
    p = terms.features.class_weights("sample")
    return float(torch.linalg.eigvalsh(torch.diag(p) - p[:, None] * p)[1 : 1 + left].sum()) / 2


_NEEDS: tuple[Need, ...] = ("classifier", "scatter")
_ZERO_FOR_FEW = "0 for K ≤ d+1 only"  # more one-hot targets are not an affine image of the class means

METRICS = (
    Metric(
        "mse/loss", "squared loss", "½ mean‖Wh + b - e_y‖²",
        "Mean squared loss of the classifier on one-hot targets.",
        lambda terms: _part(terms, "loss"), "han2022", at_collapse=_ZERO_FOR_FEW, optimum=_least, needs=_NEEDS,
    ),
    Metric(
        "mse/within", "squared loss, part from variability", "½ tr(W_LS S_W W_LSᵀ)",
        "What scatter within classes costs the least-squares classifier (L_NC1).",
        lambda terms: _part(terms, "within"), "han2022", needs=_NEEDS,
    ),
    Metric(
        "mse/means", "squared loss, part from class means", "½ Σ_c (n_c/N) ‖W_LS μ_c + b_LS - e_c‖²",
        "What the position of class means costs the least-squares classifier (L_NC2/3).",
        lambda terms: _part(terms, "means"), "han2022", at_collapse=_ZERO_FOR_FEW, optimum=_least, needs=_NEEDS,
    ),
    Metric(
        "mse/off_path", "squared loss, part from the classifier", "½ tr((W-W_LS) S (W-W_LS)ᵀ)",
        "What this classifier loses against the least-squares one: distance from the central path (L_perp).",
        lambda terms: _part(terms, "off_path"), "han2022", needs=_NEEDS,
    ),
)  # fmt: skip
