"""Levenshtein's universal bound on spherical codes."""

import math
from typing import Any

import numpy as np

from ..._errors import InputError
from .._rows import check_size

_HALVINGS = 100  # of an interval shorter than 2: to the last bit


def levenshtein(K: int, d: int) -> float:
    r"""Levenshtein's lower bound on the largest cosine s of K unit vectors in d >= 2 dimensions.

    No more than $L_m(d, s)$ unit vectors have all their cosines at most s, where, with the Gegenbauer polynomials
    $P_k(1) = 1$ of the sphere,

    $$
    L_{2k-1}(d, s) &= \binom{k+d-3}{k-1} \Big[ \frac{2k+d-3}{d-1} - \frac{P_{k-1}(s) - P_k(s)}{(1-s) P_k(s)} \Big], \\
    L_{2k}(d, s) &= \binom{k+d-2}{k} \Big[ \frac{2k+d-1}{d-1}
    - \frac{(1+s)(P_k(s) - P_{k+1}(s))}{(1-s)(P_k(s) + P_{k+1}(s))} \Big],
    $$

    for s between the largest zeros of adjacent Jacobi polynomials. The pieces join to one increasing function; this is
    its inverse, the s at which it equals K. The kinks are at the sizes of tight designs,
    $2\binom{d+k-2}{k-1}$ and $\binom{d+k-1}{k} + \binom{d+k-2}{k-1}$, so K alone tells m.

    Valid for every K >= 2 and d >= 2; computed in floating point, to about 1e-14. Tight for the sharp codes: simplex,
    cross-polytope, polygons, icosahedron, E8 roots, Leech lattice and the others; not for the 600-cell. Between d+2 and
    2d-1 it is below Rankin's 0. `delsarte` is at least as good wherever its degree is at least m.

    `InputError` is raised if K < 2 or d < 2.

    References:
        Levenshtein, "On bounds for packings in n-dimensional Euclidean space", 1979; "Universal bounds for codes and
        designs", Handbook of Coding Theory, 1998.

    Examples:
        >>> round(levenshtein(240, 8), 14), round(levenshtein(196560, 24), 14)
        (0.5, 0.5)
    """
    check_sphere(K, d)
    if d == 2:
        return math.cos(2 * math.pi / K)
    m = 1
    while design_size(d, m + 1) < K:
        m += 1
    low, high = largest_zero(m // 2, d, 1, m % 2), largest_zero((m + 1) // 2, d, 1, 1 - m % 2)
    return _inverse(K, d, m, low, high)


def check_sphere(K: Any, d: Any) -> None:
    """Refuse sizes on a line, where no polynomial method applies: there s = 1 for every K >= 3."""
    check_size(K, d)
    if d < 2:
        raise InputError(f"expected d >= 2 dimensions for this bound, got d = {d}; see best_bound(K, 1)")


def design_size(d: int, strength: int) -> int:
    """The least size of a spherical design of that strength (Delsarte, Goethals and Seidel 1977)."""
    k = strength // 2
    if strength % 2:
        return 2 * math.comb(d + k - 1, k)
    return math.comb(d + k - 1, k) + (math.comb(d + k - 2, k - 1) if k else 0)


def largest_zero(k: int, d: int, a: int, b: int) -> float:
    """The largest zero of the Jacobi polynomial P_k^(a + (d-3)/2, b + (d-3)/2), as an eigenvalue (Golub and Welsch)."""
    from scipy.linalg import eigvalsh_tridiagonal

    if k == 0:
        return -1.0
    alpha, beta = a + (d - 3) / 2, b + (d - 3) / 2
    i = np.arange(1, k, dtype=np.float64)
    total = 2 * i + alpha + beta
    diagonal = np.append((beta - alpha) / (alpha + beta + 2), (beta**2 - alpha**2) / (total * (total + 2)))
    square = 4 * i * (i + alpha) * (i + beta) * (i + alpha + beta) / (total**2 * (total + 1) * (total - 1))
    return float(eigvalsh_tridiagonal(diagonal, np.sqrt(square), select="i", select_range=(k - 1, k - 1))[0])


def _inverse(K: int, d: int, m: int, low: float, high: float) -> float:
    """The s in [low, high] with L_m(d, s) = K, by halving: L_m increases there."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if _function(d, m, middle) < K else (low, middle)
    return (low + high) / 2


def _function(d: int, m: int, s: float) -> float:
    k = (m + 1) // 2
    before, at, after = _three(k, d, s)
    if m % 2:
        bracket = (2 * k + d - 3) / (d - 1) - (before - at) / ((1 - s) * at)
        return math.comb(k + d - 3, k - 1) * bracket
    bracket = (2 * k + d - 1) / (d - 1) - (1 + s) * (at - after) / ((1 - s) * (at + after))
    return math.comb(k + d - 2, k) * bracket


def _three(k: int, d: int, s: float) -> tuple[float, float, float]:
    """P_{k-1}(s), P_k(s), P_{k+1}(s) for k >= 1."""
    before, at = 1.0, s
    for i in range(1, k):
        before, at = at, ((2 * i + d - 2) * s * at - i * before) / (i + d - 2)
    return before, at, ((2 * k + d - 2) * s * at - k * before) / (k + d - 2)
