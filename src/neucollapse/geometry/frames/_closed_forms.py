"""Codes and frames that are provably best for their size, exact to rounding: by a formula, in one case by projections."""

import math

import torch
from torch import Tensor

from ..._errors import InputError, SolverError
from ..._types import Float
from .._rows import check_size

_ROUNDS = 20_000


def simplex(K: int, d: int | None = None) -> Float[Tensor, "K d"]:
    r"""The simplex: K unit vectors with all inner products -1/(K-1), in any dimension d >= K-1.

    The best code for K <= d+1 in every sense (Rankin): largest margin K/(K-1), smallest maximal cosine, least energy.
    Centred and up to scale it is the simplex equiangular tight frame of neural collapse (arXiv 2008.08186). Row k is

    $$w_k = \sum_{i<k} \frac{-a_i}{K-1-i}\, e_i + a_k e_k, \qquad a_i = \sqrt{\tfrac{K\,(K-1-i)}{(K-1)(K-i)}},$$

    with indices from 0 and the last term absent for k = K-1: a triangular form, with zeros after K-1 coordinates.

    Args:
        K: number of points, at least 2.
        d: dimension, K-1 by default.

    Raises:
        InputError: if d < K-1, where no simplex fits.

    Examples:
        >>> W = simplex(4, 5)
        >>> (W @ W.T)[0].round(decimals=6).tolist()
        [1.0, -0.333333, -0.333333, -0.333333]
    """
    d = K - 1 if d is None else d
    check_size(K, d)
    if d < K - 1:
        raise InputError(f"expected d >= K-1 = {K - 1} for a simplex of {K} points, got d = {d}; see best_known(K, d)")
    left = torch.arange(K - 1, 0, -1, dtype=torch.float64)  # K-1-i
    height = (K * left / ((K - 1) * (left + 1))).sqrt()
    W = torch.zeros(K, d, dtype=torch.float64)
    W[:, : K - 1] = (-height / left).expand(K, K - 1).tril(diagonal=-1)
    W[: K - 1, : K - 1].diagonal().copy_(height)
    return W


def orthoplex(K: int, d: int) -> Float[Tensor, "K d"]:
    """K <= 2d vertices of the cross-polytope: K - d pairs e_i, -e_i first, then single e_i.

    For d+2 <= K <= 2d it is *one* code of margin 1 and maximal cosine 0, the best values there (arXiv 2310.05351). The
    best codes of that range are a family (arXiv 2603.20587): score a code by its margin, never by its distance to this one.

    Raises:
        InputError: if K > 2d.

    Examples:
        >>> orthoplex(5, 3).tolist()  # K-d pairs, then 2d-K single vectors
        [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    check_size(K, d)
    if 2 * d < K:
        raise InputError(
            f"expected K <= 2d = {2 * d} vertices of the cross-polytope in d = {d} dimensions, got K = {K}"
        )
    k, pairs = torch.arange(K), max(K - d, 0)
    paired = k < 2 * pairs
    W = torch.zeros(K, d, dtype=torch.float64)
    W[k, torch.where(paired, k // 2, k - pairs)] = torch.where(paired & (k % 2 == 1), -1.0, 1.0).double()
    return W


def orthonormal(K: int, d: int) -> Float[Tensor, "K d"]:
    """K <= d orthonormal rows: absolute coherence 0, so the best lines; as a code, the simplex is further apart.

    Raises:
        InputError: if K > d.

    Examples:
        >>> orthonormal(2, 3).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    check_size(K, d)
    if d < K:
        raise InputError(f"expected K <= d = {d} orthonormal rows, got K = {K}")
    return torch.eye(K, d, dtype=torch.float64)


def polygon(K: int) -> Float[Tensor, "K 2"]:
    """The regular polygon, the best code in the plane: margin 1 - cos(2 pi / K), for K >= 3 (arXiv 2310.05351).

    Examples:
        >>> polygon(4).round(decimals=6).abs().tolist()
        [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    check_size(K, 2)
    angles = [2 * math.pi * k / K for k in range(K)]
    return torch.tensor([[math.cos(angle), math.sin(angle)] for angle in angles], dtype=torch.float64)


def icosahedron() -> Float[Tensor, "12 3"]:
    """The 12 vertices of the icosahedron, the best code for (d, K) = (3, 12): margin 1 - 1/sqrt(5).

    Examples:
        >>> W = icosahedron()
        >>> round(float((W @ W.T)[0, 1:].max()) * 5**0.5, 12)
        1.0
    """
    golden = (1 + 5**0.5) / 2
    corners = [(a, b * golden) for a in (1, -1) for b in (1, -1)]
    points = [point for a, b in corners for point in ((0, a, b), (a, b, 0), (b, 0, a))]
    return torch.tensor(points, dtype=torch.float64) / math.sqrt(1 + golden**2)


def tight_frame(K: int, d: int) -> Float[Tensor, "K d"]:
    r"""K > d unit vectors with $W^\top W = (K/d) I$ and zero sum.

    All eigenvalues of the Gram matrix are then equal, which maximises their product, by the inequality of arithmetic and
    geometric means: `MaximumGramDeterminant`. Columns are cosines and sines of d/2 frequencies (a harmonic frame), and
    alternating signs where d is odd; where d and K are both odd, which leaves no such column, alternating projections
    from there.

    Raises:
        InputError: unless K > d; for d = 1, unless K is even.

    Examples:
        >>> W = tight_frame(7, 4)
        >>> bool(torch.allclose(W.T @ W, 7 / 4 * torch.eye(4, dtype=torch.float64)))
        True
    """
    check_size(K, d)
    if d >= K:
        raise InputError(f"expected more than d = {d} rows of a tight frame of zero sum, got K = {K}")
    if d == 1 and K % 2:
        raise InputError(f"expected an even number of unit vectors of zero sum on a line, got K = {K}")
    angle = 2 * math.pi / K * torch.outer(torch.arange(K), torch.arange(1, d // 2 + 1)).double()
    columns = [angle.cos(), angle.sin()]
    if d % 2 == 0:
        return torch.cat(columns, dim=1) * (2 / d) ** 0.5
    signs = 1 - 2 * (torch.arange(K, dtype=torch.float64) % 2)[:, None]
    if K % 2 == 0:
        return torch.cat([*(math.sqrt(2) * column for column in columns), signs], dim=1) / math.sqrt(d)
    return _project(torch.cat([*columns, 0.7 * signs + 0.1 * angle[:, :1].sin()], dim=1))


def _project(W: Tensor) -> Tensor:
    """Alternate between unit rows and tight frames of zero sum."""
    K, d = W.shape
    tight = W
    for _ in range(_ROUNDS):
        W = W / W.norm(dim=1, keepdim=True)
        U, _, Vh = torch.linalg.svd(W - W.mean(dim=0), full_matrices=False)
        tight = (K / d) ** 0.5 * U @ Vh
        if float((tight - W).abs().max()) < 1e-15:
            return W
        W = tight
    if float((tight.norm(dim=1) - 1).abs().max()) > 1e-12:
        raise SolverError(f"no unit-norm tight frame of zero sum was reached for K = {K}, d = {d}")
    return tight / tight.norm(dim=1, keepdim=True)
