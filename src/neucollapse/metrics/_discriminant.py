r"""Scatter within classes against scatter between them, after the best linear map: what VCI and the squared loss share.

With the rows $X = U \operatorname{diag}(s) V^\top$ of weighted class means, so that $S_B = X^\top X$, and S_W in
blocks along V (1) and across it (2), everything follows from the Schur complement
$C = W_{11} - W_{12} W_{22}^+ W_{21}$: for the total scatter, $X S_T^+ X^\top = U (I + \hat C)^{-1} U^\top$ with
$\hat C = \operatorname{diag}(1/s)\, C \operatorname{diag}(1/s)$. Near collapse its eigenvalues are tiny, and exact.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .._types import Float
from ..statistics import Precision, summed_in_double
from ._linear_algebra import EPS


@dataclass(frozen=True)
class Discriminant:
    """Eigenvalues c of C^ and what maps features to them; along the resolved directions alone.

    Attributes:
        ratios: c (r,), scatter within over scatter between along the r discriminant directions; 0 at collapse.
        maps: (r, d), the linear map to those directions, in which S_B is the identity and S_W is diag(c).
        dimensions: directions in which the features differ by more than rounding, within classes or between.
        error: what rounding in the sum S_W may have added to the mean of `ratios`.
    """

    ratios: Float[Tensor, "r"]
    maps: Float[Tensor, "r d"]
    dimensions: int
    error: float


def discriminant(
    within_scatter: Float[Tensor, "d d"], s: Float[Tensor, "r"], V: Float[Tensor, "d r"], precision: Precision
) -> Discriminant:
    """Decompose S_W (d, d) against S_B = V diag(s^2) V^T of the resolved directions, both averages over samples."""
    W, (d, r) = within_scatter, V.shape
    C, maps, dimensions = V.T @ W @ V, V, r
    if r < d:
        outside = torch.linalg.qr(V, mode="complete").Q[:, r:]
        values, vectors = torch.linalg.eigh(outside.T @ W @ outside)
        outside = outside @ vectors
        rounding = outside.square().T @ precision.noise(precision.num_samples).square()
        rounding = torch.maximum(rounding, sum_error(W, outside, precision))
        kept = values > rounding.clamp(min=4 * d * EPS * float(W.diagonal().max()))  # or that of the eigenvalues
        dimensions += int(kept.sum())
        outside = outside[:, kept]
        across = outside / values[kept] @ (outside.T @ W @ V)  # W22^+ W21
        C, maps = C - V.T @ W @ across, V - across
    ratios, Y = torch.linalg.eigh((C + C.T) / 2 / (s[:, None] * s))
    error = float((sum_error(W, V, precision) / s**2).mean()) if r else 0.0
    return Discriminant(ratios=ratios, maps=(maps / s @ Y).T, dimensions=dimensions, error=error)


def sum_error(
    scatter: Float[Tensor, "d d"], directions: Float[Tensor, "d r"], precision: Precision
) -> Float[Tensor, "r"]:
    """What rounding of the sum may have added to the scatter along unit vectors: 8 eps of what its coordinates hold there.

    Each entry (i, j) is rounded in proportion to the spreads of its two coordinates. Measured: 1 to 7 eps.
    """
    return directions.square().T @ entry_error(scatter, precision)


def entry_error(scatter: Float[Tensor, "d d"], precision: Precision) -> Float[Tensor, "d"]:
    """What rounding of the sum may have added to each entry of the scatter's diagonal."""
    double = summed_in_double(precision.dtype, len(scatter))
    eps = EPS if double else torch.finfo(torch.float32).eps
    return 8 * eps * scatter.diagonal().clamp(min=0)
