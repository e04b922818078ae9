"""Spectra of (K, d) rows through the smaller of their two sides, cut where features are rounding; finite input only."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .._errors import NonFiniteError
from .._types import Float
from ..statistics import Precision

EPS = torch.finfo(torch.float64).eps
_EXACT = 1e-10  # relative error allowed to a trace through an inverse; the decomposition does better
_RESOLVED = 1 / 32  # of the largest singular value: above, squaring costs at most three digits of sixteen


def finite(matrix: Tensor, what: str) -> Tensor:
    """Return `matrix` if it is finite: torch.linalg promises nothing on NaN (it may even crash)."""
    if not bool(torch.isfinite(matrix).all()):
        raise NonFiniteError(f"expected finite {what}, got NaN or infinity among its {matrix.numel()} entries")
    return matrix


def spectrum(
    rows: Float[Tensor, "K d"], gram: Float[Tensor, "d d"] | None = None
) -> tuple[Float[Tensor, "r"], Float[Tensor, "d r"]]:
    """Singular values (descending) and right singular vectors, r = min(K, d): as exact as an SVD, and faster.

    Eigenvectors of the Gram matrix are exact for singular values close to the largest. Those below a share of it are
    found again, in their subspace alone. `gram` is rows^T rows, where it is known.
    """
    K, d = rows.shape
    outer, core = torch.linalg.qr(rows.T) if K < d else (None, rows.T)
    if outer is not None or gram is None:
        gram = core @ core.T
    rest, V = core.T, None  # rest = rows V, the columns not yet resolved; V None for the identity
    values, vectors = [], []
    while rest.shape[1]:
        squares, U = torch.linalg.eigh(gram)
        first = int((squares < _RESOLVED**2 * squares[-1]).sum())  # they ascend
        V = U if V is None else V @ U
        values.append(squares[first:].sqrt())
        vectors.append(V[:, first:])
        rest, V = rest @ U[:, :first], V[:, :first]
        gram = rest.T @ rest
    s, order = torch.cat(values).sort(descending=True)
    V = torch.cat(vectors, dim=1)[:, order]
    return s, V if outer is None else outer @ V


def singular_values(rows: Float[Tensor, "K d"], gram: Float[Tensor, "d d"] | None = None) -> Float[Tensor, "r"]:
    """The values of `spectrum`: without any vectors, where all of them are close to the largest."""
    K, d = rows.shape
    core = torch.linalg.qr(rows.T, mode="r").R.T if K < d else rows
    squares = torch.linalg.eigvalsh(core.T @ core if gram is None or K < d else gram)
    return squares.flip(0).sqrt() if squares[0] >= _RESOLVED**2 * squares[-1] else spectrum(rows, gram)[0]


def resolved_spectrum(
    rows: Float[Tensor, "K d"], precision: Precision, rank: int, gram: Float[Tensor, "d d"] | None = None
) -> tuple[Float[Tensor, "r"], Float[Tensor, "d r"]]:
    """`spectrum` without the directions along which the rows differ by no more than the features' rounding.

    The rows are scaled so that their singular values are spreads, as rows / sqrt(K) have them. At most `rank`
    directions are kept.
    """
    K, d = rows.shape
    noise = precision.noise(K)
    s, V = (part[..., :rank] for part in spectrum(rows, gram))
    if is_resolved(s, rows, precision):
        return s, V
    # Rounding differs between coordinates: in units of it, it is alike in all directions.
    scaled, W = spectrum(rows * torch.where(noise > 0, 1 / noise, 0.0))
    kept = int((scaled[:rank] > max(1.0, cut_off(scaled, K, d))).sum())
    if kept in (0, len(s)):
        return s[:kept], V[:, :kept]
    basis = torch.linalg.qr(noise[:, None] * W[:, :kept]).Q
    s, V = spectrum(rows @ basis)
    return s, basis @ V


def is_resolved(s: Float[Tensor, "r"], rows: Float[Tensor, "K d"], precision: Precision) -> bool:
    """Whether the least singular value stands out of the rounding of every coordinate."""
    return len(s) > 0 and float(s[-1]) > max(float(precision.noise(len(rows)).max()), cut_off(s, *rows.shape))


@dataclass(frozen=True)
class Inverse:
    """The inverse of a Gram matrix G, with the Frobenius norms of both."""

    matrix: Float[Tensor, "d d"]
    norm: float
    norm_of_gram: float

    def trace_with(self, scatter: Float[Tensor, "d d"]) -> float | None:
        """tr(S G^-1), or None where rounding may be felt: it is relative to the norm of G^-1, not to each entry."""
        value = float(torch.vdot(scatter.flatten(), self.matrix.flatten()))
        rounding = EPS * self.norm_of_gram * self.norm * self.norm * float(scatter.norm())
        return value if rounding <= _EXACT * value else None


def inverse_gram(gram: Float[Tensor, "d d"], K: int, noise: float) -> Inverse | None:
    """Invert the Gram matrix of the columns of K rows, faster than `spectrum` can.

    None unless all d singular values of the rows exceed `noise` for certain.
    """
    if K <= len(gram):
        return None
    factor, failed = torch.linalg.cholesky_ex(gram)
    if int(failed):
        return None
    inverse = torch.cholesky_inverse(factor)
    found = Inverse(inverse, float(inverse.norm()), float(gram.norm()))
    # Frobenius norms are at least the largest eigenvalues. A comparison with NaN is false.
    smallest, largest = found.norm**-0.5, found.norm_of_gram**0.5
    return found if smallest > max(noise, 4 * K * EPS * largest) else None


def cut_off(s: Tensor, K: int, d: int) -> float:
    """Singular values at or below 4 max(K, d) * EPS * s_max are rounding of `spectrum`, not directions."""
    return 4 * max(K, d) * EPS * float(s.max()) if s.numel() else 0.0
