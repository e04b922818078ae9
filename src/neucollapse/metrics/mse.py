"""Where a squared loss comes from: the decomposition along the central path of Han, Papyan and Donoho.

The loss of a linear classifier on one-hot targets, 1/(2N) sum_i ||W h_i + b - e_{y_i}||^2, is split exactly into what
the best classifier for these features would leave (of which one part is variability within classes, the other the
position of class means) and what this classifier loses against that best one.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .._types import Float
from ._linear_algebra import EPS, finite
from ._metric import Absent, Metric
from ._terms import Terms


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
) -> Decomposition:
    r"""Split the mean squared loss of (W, b) on one-hot targets.

    With features extended by a one, h~ = (h, 1), W~ = (W, b), and W~_LS the least-squares classifier (of least norm),

    .. math::
        \underbrace{\tfrac{1}{2N}\sum_i \lVert \tilde W \tilde h_i - e_{y_i} \rVert^2}_{\text{loss}} =
        \underbrace{\tfrac12 \operatorname{tr}(W_{LS} S_W W_{LS}^\top)}_{\text{within (NC1)}} +
        \underbrace{\tfrac12 \sum_c \tfrac{n_c}{N} \lVert \tilde W_{LS} \tilde\mu_c - e_c \rVert^2}_{\text{means (NC2, NC3)}} +
        \underbrace{\tfrac12 \operatorname{tr}\big(\Delta \tilde S \Delta^\top\big)}_{\text{off path}},
        \qquad \Delta = \tilde W - \tilde W_{LS},

    where S~ is the second moment of h~. All terms are averages over samples, so the identity holds without balance.

    Returns:
        Four numbers in [0, inf). All are 0 at collapse with a least-squares classifier and K <= d + 1.

    Reference:
        Han, Papyan, Donoho 2022 (arXiv 2106.02073), without weight decay.
    """
    # About the mean of the features, where the bias is a problem of its own: a common offset then costs no digits.
    d, mean = class_means.shape[1], class_weights @ class_means
    M = class_means - mean
    targets = class_weights[:, None] * M  # sum_i e_{y_i} (h_i - mean)^T / N
    between = targets.T @ M
    S = within_scatter + between
    W_LS = targets @ torch.linalg.pinv(finite(S, "second moments"), hermitian=True, rtol=d * EPS)
    products = W_LS.T @ W_LS
    within = max(0.0, float((products * within_scatter).sum())) / 2
    if len(M) <= d + 1:  # the misfit of class means can be tiny: from the misfits themselves
        misfit = W_LS @ M.T + class_weights[:, None] - torch.eye(len(M), dtype=M.dtype)
        position = float(class_weights @ misfit.square().sum(0)) / 2
    else:  # more targets than dimensions leave the smallest class weight or so: nothing of size K x K is needed
        hits = class_weights @ (torch.linalg.vecdot(W_LS, M) + class_weights)
        position = float((products * between).sum() + class_weights @ class_weights - 2 * hits + 1) / 2
    offset = weight @ mean + bias - class_weights  # at the mean, the best classifier says how frequent a class is
    off_path = _quadratic(weight - W_LS, S) + float(offset.square().sum()) / 2
    return Decomposition(within + position + off_path, within, position, off_path)


def _quadratic(A: Tensor, S: Tensor) -> float:
    return max(0.0, float(((A @ S) * A).sum())) / 2


def _part(terms: Terms, name: str) -> float:
    if terms.mse is None:
        if terms.stats.num_classes > terms.K:
            raise Absent("the decomposition needs samples of every class")
        bias = terms.full_bias if terms.full_bias is not None else torch.zeros(terms.K, dtype=torch.float64)
        weights = terms.class_weights("sample")
        terms.mse = mse_decomposition(terms.within_scatter("sample"), terms.means.raw, weights, terms.weight.raw, bias)
    return getattr(terms.mse, name)


_ZERO_FOR_FEW = "0 for K ≤ d+1 only"  # more one-hot targets are not an affine image of the class means


def _metric(name: str, part: str, title: str, symbol: str, definition: str, at_collapse: str = "0") -> Metric:
    def compute(terms: Terms) -> float:
        return _part(terms, part)

    return Metric(name, title, symbol, definition, "[0, ∞)", at_collapse, compute, "han2022", log=True)


METRICS = (
    _metric(
        "mse/loss",
        "loss",
        "squared loss",
        "½ mean‖Wh + b - e_y‖²",
        "Mean squared loss of the classifier on one-hot targets.",
        _ZERO_FOR_FEW,
    ),
    _metric(
        "mse/within",
        "within",
        "squared loss, part from variability",
        "½ tr(W_LS S_W W_LSᵀ)",
        "What scatter within classes costs the least-squares classifier (L_NC1).",
    ),
    _metric(
        "mse/means",
        "means",
        "squared loss, part from class means",
        "½ Σ_c (n_c/N) ‖W_LS μ_c + b_LS - e_c‖²",
        "What the position of class means costs the least-squares classifier (L_NC2/3).",
        _ZERO_FOR_FEW,
    ),
    _metric(
        "mse/off_path",
        "off_path",
        "squared loss, part from the classifier",
        "½ tr((W-W_LS) S (W-W_LS)ᵀ)",
        "What this classifier loses against the least-squares one: distance from the central path (L_perp).",
    ),
)
