"""Spectra of (K, d) rows through the smaller of their two sides, with one stated cut-off, and finite input only."""

import torch
from torch import Tensor

from .._errors import NonFiniteError
from .._types import Float

EPS = torch.finfo(torch.float64).eps
_RESOLVED = 1 / 32  # of the largest singular value: above, squaring costs at most three digits of sixteen


def finite(matrix: Tensor, what: str) -> Tensor:
    """Return ``matrix`` if it is finite: torch.linalg promises nothing on NaN (it may even crash)."""
    if not bool(torch.isfinite(matrix).all()):
        raise NonFiniteError(f"expected finite {what}, got NaN or infinity among its {matrix.numel()} entries")
    return matrix


def spectrum(rows: Float[Tensor, "K d"]) -> tuple[Float[Tensor, "r"], Float[Tensor, "d r"]]:
    """Singular values (descending) and right singular vectors, r = min(K, d): as exact as an SVD, and faster.

    Eigenvectors of the Gram matrix are exact for singular values close to the largest. Those below a share of it are
    found again, in their subspace alone.
    """
    K, d = rows.shape
    outer, core = torch.linalg.qr(rows.T) if K < d else (None, rows.T)
    rest, V = core.T, None  # rest = rows V, the columns not yet resolved; V None for the identity
    values, vectors = [], []
    while rest.shape[1]:
        squares, U = torch.linalg.eigh(rest.T @ rest)
        first = int((squares < _RESOLVED**2 * squares[-1]).sum())  # they ascend
        rest, V = rest @ U, U if V is None else V @ U
        values.append(torch.linalg.vector_norm(rest[:, first:], dim=0))
        vectors.append(V[:, first:])
        rest, V = rest[:, :first], V[:, :first]
    s, order = torch.cat(values).sort(descending=True)
    V = torch.cat(vectors, dim=1)[:, order]
    return s, V if outer is None else outer @ V


def cut_off(s: Tensor, K: int, d: int) -> float:
    """Singular values at or below max(K, d) * EPS * s_max are rounding, not directions."""
    return max(K, d) * EPS * float(s.max()) if s.numel() else 0.0
