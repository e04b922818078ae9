"""Lower bounds on the coherence of K lines, the largest absolute cosine."""

import math
from typing import Any

from ..._errors import InputError
from .._rows import check_size


def welch(K: int, d: int) -> float:
    r"""Welch's lower bound on the coherence mu of K lines in d dimensions, real or complex.

    $$
    \mu \ge \sqrt{\frac{K-d}{d\,(K-1)}} \quad (K \ge d), \qquad \mu \ge 0 \quad (K \le d).
    $$

    Valid for every K and d. Tight for orthogonal lines (K <= d) and for equiangular tight frames, which need
    K <= d(d+1)/2 in real and K <= d^2 in complex space; beyond, `orthoplex_lines` and `levenshtein_lines` are better.

    `InputError` is raised if K < 2 or d < 1.

    References:
        Welch, "Lower bounds on the maximum cross correlation of signals", 1974.

    Examples:
        >>> round(welch(6, 3) * 5**0.5, 12), welch(3, 4)
        (1.0, 0.0)
    """
    check_size(K, d)
    return math.sqrt(max(K - d, 0) / (d * (K - 1)))


def orthoplex_lines(K: int, d: int) -> float:
    r"""The orthoplex bound on the coherence of many real lines: $\mu \ge 1/\sqrt d$ for K > d(d+1)/2.

    Tight for real mutually unbiased bases, which exist for d = 4^m and K up to d(d/2 + 1).

    `InputError` is raised if K <= d(d+1)/2, where the bound does not hold.

    References:
        Conway, Hardin and Sloane, "Packing lines, planes, etc.", arXiv math/0208004.

    Examples:
        >>> orthoplex_lines(144, 16)
        0.25
    """
    _check_many(K, d)
    return 1 / math.sqrt(d)


def levenshtein_lines(K: int, d: int) -> float:
    r"""Levenshtein's lower bound on the coherence of many real lines.

    $$
    \mu^2 \ge \frac{3K - d^2 - 2d}{(d+2)(K-d)} \qquad (K > d(d+1)/2).
    $$

    Below `orthoplex_lines` until K = d(d+2)/2, where the two agree, and above it beyond. Tight for the lines of the root
    systems E6, E7 and E8, and for d/2 + 1 mutually unbiased bases (K = d(d+2)/2, d = 4^m).

    `InputError` is raised if K <= d(d+1)/2, where the bound is not claimed.

    References:
        Levenshtein, "Bounds on the maximal cardinality of a code with bounded modulus of the inner product", 1982.

    Examples:
        >>> round(levenshtein_lines(120, 8), 12)
        0.5
    """
    _check_many(K, d)
    return math.sqrt(max(3 * K - d * d - 2 * d, 0) / ((d + 2) * (K - d)))


def higher_welch(K: int, d: int, k: int, *, field: str = "complex") -> float:
    r"""Welch's bound of order k on the coherence of K lines in d dimensions.

    $$
    \mu^{2k} \ge \frac{K m_k - 1}{K - 1}, \qquad m_k = \binom{d+k-1}{k}^{-1} \text{ (complex)}, \quad
    m_k = \prod_{i<k} \frac{2i+1}{d+2i} \text{ (real)},
    $$

    where m_k is the mean of $|\langle x, y \rangle|^{2k}$ over the sphere; 0 where the right side is negative. The
    complex form, as usually printed, holds for real lines too; the real one (Sidelnikov) is larger for k >= 2. Valid for
    every K and d; k = 1 is `welch`. Tight for equiangular lines that form a design of strength 2k.

    Raises:
        InputError: if K < 2, d < 1, k < 1 or the field is unknown.

    References:
        Welch, "Lower bounds on the maximum cross correlation of signals", 1974.

    Examples:
        >>> higher_welch(276, 23, 2) < higher_welch(276, 23, 2, field="real")
        True
        >>> round(higher_welch(276, 23, 2, field="real"), 12)
        0.2
    """
    check_size(K, d)
    if not isinstance(k, int) or k < 1:
        raise InputError(f"expected the order k as a whole number >= 1, got {k!r}")
    if field == "complex":
        mean = 1 / math.comb(d + k - 1, k)
    elif field == "real":
        mean = math.prod((2 * i + 1) / (d + 2 * i) for i in range(k))
    else:
        raise InputError(f'expected field "complex" or "real", got {field!r}')
    return (max(K * mean - 1, 0) / (K - 1)) ** (1 / (2 * k))


def _check_many(K: Any, d: Any) -> None:
    check_size(K, d)
    if d * (d + 1) // 2 >= K:
        raise InputError(
            f"expected K > d(d+1)/2 = {d * (d + 1) // 2} lines for this bound, got K = {K} in d = {d}; see welch(K, d)"
        )
