"""First guesses of the weights of nearest points, for many classes at once by matrix products alone.

The active set that follows solves one system per class and round; a good guess saves most of the rounds.
"""

import torch
from torch import Tensor

from ..._types import Float, Int


def affine_weights(W: Float[Tensor, "K d"]) -> Float[Tensor, "K K"]:
    """For every class at once, the nearest point of the *affine* hull of the others, from one inverse.

    W is centred, with affinely independent rows. Then ``B = (W W^T)^+`` has null vector 1, and ``a = B e_k / B_kk``
    minimises ``|W^T a|`` subject to ``a_k = 1, sum(a) = 0``: the weights are ``-a_j``, j != k. Where all are positive,
    which they are near a simplex, the point is the nearest of the hull too. Rows without meaning come back as NaN.
    """
    K = len(W)
    mean = torch.full((K, K), 1 / K, dtype=W.dtype)
    L, failed = torch.linalg.cholesky_ex(W @ W.T + mean)
    if failed:
        return torch.full_like(mean, torch.nan)
    B = torch.cholesky_inverse(L) - mean
    weights = -B / B.diagonal()[:, None]
    return weights.fill_diagonal_(0)


def simplex_weights(
    W: Float[Tensor, "K d"], k: Int[Tensor, " B"], lipschitz: float, steps: int
) -> Float[Tensor, "B K"]:
    """Accelerated projected gradient on ``|w_k - sum_j lam_j w_j|^2`` over the simplex, for a few steps.

    In float32, with a projection exact only in the limit: this is a guess. The momentum of a class restarts when it
    points uphill (O'Donoghue and Candes, arXiv 1204.3982).
    """
    dtype = W.dtype
    W = W.to(torch.float32)
    here = torch.arange(len(k)), k
    weights = extrapolated = W.new_zeros(len(k), len(W))
    momentum = W.new_ones(len(k), 1)
    threshold = None
    for _ in range(steps):
        moved = extrapolated - ((extrapolated @ W - W[k]) / lipschitz) @ W.T
        moved[here] = -torch.inf
        new, threshold = project(moved, threshold)
        change = new - weights
        uphill = ((extrapolated - new) * change).sum(dim=1, keepdim=True) > 0
        momentum = torch.where(uphill, 1.0, momentum)
        following = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
        extrapolated = torch.addcmul(new, (momentum - 1) / following, change)
        weights, momentum = new, following
    return weights.to(dtype)


def project(
    values: Float[Tensor, "B K"], threshold: Float[Tensor, "B 1"] | None = None, passes: int = 3
) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B 1"]]:
    """The nearest point of the probability simplex to each row, ``max(values - threshold, 0)``, and the threshold.

    The threshold solves ``sum max(values - threshold, 0) = 1``, by Newton's method from a first guess. The sum is
    convex in it, so every step after the first comes from below.
    """
    highest = values.amax(dim=1, keepdim=True)
    lowest = highest - 1  # never above the root
    threshold = lowest if threshold is None else torch.where(threshold < highest, threshold, lowest)
    for _ in range(passes):
        excess = (values - threshold).clamp_(min=0)
        threshold = threshold + (excess.sum(dim=1, keepdim=True) - 1) / excess.count_nonzero(dim=1)[:, None]
    return (values - threshold).clamp_(min=0), threshold
