r"""Scatter within classes against scatter between them, after the best linear map: what VCI and the squared loss share.

With the rows :math:`X = U \operatorname{diag}(s) V^\top` of weighted class means, so that :math:`S_B = X^\top X`, and S_W in
blocks along V (1) and across it (2), everything follows from the Schur complement
:math:`C = W_{11} - W_{12} W_{22}^+ W_{21}`: for the total scatter, :math:`X S_T^+ X^\top = U (I + \hat C)^{-1} U^\top` with
:math:`\hat C = \operatorname{diag}(1/s)\, C \operatorname{diag}(1/s)`. Near collapse its eigenvalues are tiny, and exact.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .._types import Float
from ..statistics import Precision, summed_in_double
from ._linear_algebra import EPS, count_resolved, inverse, spectrum


@dataclass(frozen=True)
class Discriminant:
    """Eigenvalues c of C^ and what maps features to them; along the resolved directions alone.

    Attributes:
        ratios: c (r,), scatter within over scatter between along the r discriminant directions; 0 at collapse.
        maps: (r, d), the linear map to those directions, in which S_B is the identity and S_W is diag(c).
        dimensions: directions in which the features differ by more than rounding, within classes or between.
        error: what rounding in the sum S_W may have added to the mean of ``ratios``.
    """

    ratios: Float[Tensor, "r"]
    maps: Float[Tensor, "r d"]
    dimensions: int
    error: float


def discriminant(
    within_scatter: Float[Tensor, "d d"], weighted_means: Float[Tensor, "K d"], precision: Precision
) -> Discriminant:
    """Decompose S_W (d, d) against the rows sqrt(n_c / N) (mu_c - mu_G), (K, d), both averages over samples."""
    K, d = weighted_means.shape
    # In units of the rounding of each coordinate it is alike in all directions; nothing here depends on units.
    noise = precision.noise(K)
    units = inverse(noise)
    W = within_scatter * units[:, None] * units
    rows = weighted_means * units
    s, V = (part[..., : min(K - 1, d)] for part in spectrum(rows))
    r = count_resolved(s, K, d)
    s, V = s[:r], V[:, :r]
    C, across = V.T @ W @ V, None
    dimensions = r
    if r < d:
        outside = torch.linalg.qr(V, mode="complete").Q[:, r:]
        values, vectors = torch.linalg.eigh(outside.T @ W @ outside)
        rounding = float((precision.noise(precision.num_samples) * units).max()) ** 2
        kept = values > max(rounding, sum_error(W, precision))
        dimensions += int(kept.sum())
        outside = outside @ vectors[:, kept]
        across = outside / values[kept] @ (outside.T @ W @ V)  # W22^+ W21
        C = C - V.T @ W @ across
    ratios, Y = torch.linalg.eigh((C + C.T) / 2 / (s[:, None] * s))
    maps = V if across is None else V - across
    return Discriminant(
        ratios=ratios,
        maps=(maps / s @ Y).T * units,
        dimensions=dimensions,
        error=float((sum_error(W, precision) / s**2).mean()) if r else 0.0,
    )


def sum_error(scatter: Float[Tensor, "d d"], precision: Precision) -> float:
    """What rounding of the sum may have added to the scatter along any direction: in float32 0.1 to 3 eps of it, measured."""
    d = len(scatter)
    single = d * EPS if summed_in_double(precision.dtype, d) else 3 * torch.finfo(torch.float32).eps
    return single * float(torch.linalg.matrix_norm(scatter))
