"""Spectra of (K, d) rows through the smaller of their two sides, with one stated cut-off, and finite input only."""

import torch
from torch import Tensor

from .._errors import NonFiniteError
from .._types import Float

EPS = torch.finfo(torch.float64).eps


def finite(matrix: Tensor, what: str) -> Tensor:
    """Return ``matrix`` if it is finite: torch.linalg promises nothing on NaN (it may even crash)."""
    if not bool(torch.isfinite(matrix).all()):
        raise NonFiniteError(f"expected finite {what}, got NaN or infinity among its {matrix.numel()} entries")
    return matrix


def spectrum(rows: Float[Tensor, "K d"]) -> tuple[Float[Tensor, "r"], Float[Tensor, "d r"]]:
    """Singular values (descending) and right singular vectors, r = min(K, d)."""
    tall = rows.shape[0] > rows.shape[1]
    core = torch.linalg.qr(rows, mode="r").R if tall else rows  # the triangle has the same right side, and d rows
    _, s, Vh = torch.linalg.svd(core, full_matrices=False)
    return s, Vh.T


def singular_values(rows: Float[Tensor, "K d"]) -> Float[Tensor, "r"]:
    """Singular values, descending, r = min(K, d)."""
    tall = rows.shape[0] > rows.shape[1]
    return torch.linalg.svdvals(torch.linalg.qr(rows, mode="r").R if tall else rows)


def gram_eigenvalues(rows: Float[Tensor, "K d"]) -> Float[Tensor, "r"]:
    """Squares of the singular values, ascending, to an absolute error of EPS times the largest."""
    K, d = rows.shape
    return torch.linalg.eigvalsh(rows @ rows.T if d >= K else rows.T @ rows).clamp(min=0)


def cut_off(s: Tensor, K: int, d: int) -> float:
    """Singular values at or below max(K, d) * EPS * s_max are rounding, not directions."""
    return max(K, d) * EPS * float(s.max()) if s.numel() else 0.0
