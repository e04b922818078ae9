"""Large codes from binary words: Kerdock and Delsarte-Goethals sets, dual BCH codes, Gold sequences.

A binary word of length d is the unit vector of its signs over sqrt(d), and the cosine of two is 1 - 2 (their distance)/d. So
binary codes of known distances are spherical codes of known maximal cosine, for millions of classes, without a look at any
pair. The words here come in blocks: the rows of a Hadamard matrix, all times one row of signs. Every function makes the
first `count` points without the rest, and every subset of a code is a code at least as good. Numbers out of range raise
`InputError`.
"""

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import chain, product
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..._errors import InputError
from ..._types import Float
from .._rows import as_rows, check_whole
from ._exact import check_count
from ._galois import galois_field


def kerdock(m: int, count: int | None = None, *, lines: bool = False) -> Float[Tensor, "K d"]:
    r"""The d(d+2) points ± of d/2+1 mutually unbiased bases in d = 4^m dimensions: maximal cosine 1/sqrt(d).

    (d, K): (4, 24), (16, 288), (64, 4224), (256, 66048), (1024, 1050624). No antipodal code of more than d(d+1) points has a
    smaller maximal cosine (orthoplex bound), and no real set of lines has more unbiased bases. The bases are the axes, and
    for each s in the field F of d/2 elements the signs

    $$(-1)^{f_s(x, \varepsilon) + \lambda\cdot(x, \varepsilon)}, \qquad
      f_s = \sum_{i=1}^{m-1} \mathrm{Tr}\,(sx)^{2^i+1} + \varepsilon\,\mathrm{Tr}(sx),$$

    over all linear forms $\lambda$, on the d points $(x, \varepsilon)$ of $F \times \{0, 1\}$: a Kerdock set, quadratic
    forms whose differences have full rank (Cameron and Seidel 1973; Calderbank, Cameron, Kantor and Seidel 1997). Points come
    basis by basis, d points, then their opposites: the first 2d are the orthoplex, so that small counts are best possible too.

    Args:
        m: half the exponent of d = 4^m, at least 1.
        count: how many points, in 1..K; all by default.
        lines: without the opposites: d(d/2+1) lines of coherence 1/sqrt(d).

    Examples:
        >>> from neucollapse.geometry import max_cosine
        >>> W = kerdock(3, 1000)
        >>> W.shape, round(max_cosine(W), 12)
        (torch.Size([1000, 64]), 0.125)
    """
    d = 4 ** check_whole(m, "m (half the exponent of d)", 1)
    K = d * (d // 2 + 1) * (1 if lines else 2)
    count = check_count(count, K)
    return _fill(count, d, _bases(d, _quadratic_signs(m, 1), axes=True, opposites=not lines))


def delsarte_goethals(m: int, r: int, count: int | None = None, *, lines: bool = False) -> Float[Tensor, "K d"]:
    r"""The 2d (d/2)^r points of a Delsarte-Goethals code in d = 4^m dimensions: maximal cosine 2^(r-1)/sqrt(d).

    r = 1 is `kerdock` without its axes. Each step of r takes d/2 times the points and doubles the cosine: (64, 131072) at
    1/4, (256, 8388608) at 1/8. The forms are those of `kerdock` with the sum from i = r on, plus $\mathrm{Tr}(s_i x^{2^i+1})$
    with any $s_i \in F$ for each i < r (Delsarte and Goethals 1975, "Alternating bilinear forms over GF(q)").

    Args:
        m: half the exponent of d = 4^m, at least 1.
        r: from 1 (Kerdock) to m (all quadratic forms: the second-order Reed-Muller code).
        count: how many points, in 1..K; all by default.
        lines: without the opposites.

    Examples:
        >>> from neucollapse.geometry import max_cosine
        >>> round(max_cosine(delsarte_goethals(3, 2, 1000)), 12)
        0.25
    """
    d = 4 ** check_whole(m, "m (half the exponent of d)", 1)
    check_whole(r, "r (number of free coefficients)", 1, m)
    count = check_count(count, (1 if lines else 2) * d * (d // 2) ** r)
    return _fill(count, d, _bases(d, _quadratic_signs(m, r), opposites=not lines))


def dual_bch(m: int, t: int, count: int | None = None, *, lines: bool = False) -> Float[Tensor, "K d"]:
    r"""The 2^(mt+1) signed words of the extended dual BCH code in d = 2^m dimensions: maximal cosine of order (t-1) 2/sqrt(d).

    The words $\pm(-1)^{\mathrm{Tr}(c_1 x + c_3 x^3 + \dots + c_{2t-1} x^{2t-1})}$, x in the field of d elements
    (MacWilliams and Sloane, "The Theory of Error-Correcting Codes", chapters 9 and 15).

    | t | points             | maximal cosine                                                |
    | - | ------------------ | ------------------------------------------------------------- |
    | 1 | 2d: the orthoplex  | 0; the positive half is the Sylvester-Hadamard matrix         |
    | 2 | 2 d^2              | sqrt(2/d) for odd m, 2/sqrt(d) for even m                     |
    | 3 | 2 d^3              | 2 sqrt(2/d) for odd m, 4/sqrt(d) for even m                   |
    | t | 2 d^t              | at most 2(t-1)/sqrt(d) (Weil)                                 |

    Args:
        m: the exponent of d = 2^m.
        t: designed number of errors: 2t-1 <= 2^ceil(m/2), where all words differ.
        count: how many points, in 1..K; all by default.
        lines: without the opposites.

    Examples:
        >>> from neucollapse.geometry import max_cosine
        >>> round(max_cosine(dual_bch(5, 2)), 12)
        0.25
    """
    d = 2 ** check_whole(m, "m (exponent of d)", 1)
    check_whole(t, "t (designed number of errors)", 1, (2 ** ((m + 1) // 2) + 1) // 2)
    count = check_count(count, (1 if lines else 2) * d**t)
    return _fill(count, d, _bases(d, _power_signs(m, t), opposites=not lines))


def gold(m: int, count: int | None = None) -> Float[Tensor, "K d"]:
    r"""All cyclic shifts of the 2^m + 1 Gold sequences of length d = 2^m - 1: d(d+2) points.

    Maximal cosine (2^((m+1)/2) - 1)/d for odd m, (2^(m/2+1) - 1)/d for even m: (d, K) = (31, 1023) at 7/31, (127, 16383) at
    15/127, (511, 262143) at 31/511 (Gold 1967). The words $(-1)^{\mathrm{Tr}(ax + bx^3)}$, over the nonzero x of the field of
    2^m elements in the order of powers, for all (a, b) but (0, 0): `dual_bch(m, 2)` without its opposites and the point x = 0.
    The first d points, b = 0, are the shifts of one maximal sequence: all cosines -1/d.

    Args:
        m: the exponent, at least 3.
        count: how many points, in 1..K; all by default.

    Examples:
        >>> from neucollapse.geometry import max_cosine
        >>> round(31 * max_cosine(gold(5)), 12)
        7.0
    """
    d = 2 ** check_whole(m, "m (exponent of d + 1)", 3) - 1
    count = check_count(count, d * (d + 2))
    time = galois_field(d + 1).powers  # the order in which multiplying x by a primitive element is a cyclic shift
    blocks = (block[:, time] * sqrt((d + 1) / d) for block in _bases(d + 1, _power_signs(m, 2)))
    return _fill(count, d, chain([next(blocks)[1:]], blocks))  # without the word of zeros


def binary_code(words: Any) -> Float[Tensor, "K d"]:
    """Unit vectors of binary words: coordinates 1/sqrt(d) for 0 and -1/sqrt(d) for 1.

    Words at Hamming distance at least D give a maximal cosine of at most 1 - 2D/d.

    Args:
        words: (K, d) of zeros and ones, any array-like.

    Raises:
        InputError: if it is not a matrix of zeros and ones.

    Examples:
        >>> binary_code([[0, 0, 0, 0], [0, 1, 0, 1]]).tolist()
        [[0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, -0.5]]
    """
    bits = as_rows(words, "words")
    if not bool(((bits == 0) | (bits == 1)).all()):
        raise InputError("expected words of zeros and ones, got other numbers among them")
    return (1 - 2 * bits) / sqrt(bits.shape[1])


def _quadratic_signs(m: int, r: int) -> Iterator[np.ndarray]:
    """The Delsarte-Goethals forms on F x {0, 1} as signs; for r = 1 the Kerdock set."""
    field = galois_field(2 ** (2 * m - 1))
    x = np.arange(field.q)
    trace = field.trace(x)
    tail = reduce(np.bitwise_xor, (trace[field.power(x, 2**i + 1)] for i in range(r, m)), 0 * x)
    heads = [field.power(x, 2**i + 1) for i in range(1, r)]
    for *free, s in product(range(field.q), repeat=r):
        u = field.multiply(s, x)
        form = reduce(np.bitwise_xor, (trace[field.multiply(c, y)] for c, y in zip(free, heads, strict=True)), tail[u])
        yield 1.0 - 2 * np.r_[form, form ^ trace[u]]


def _power_signs(m: int, t: int) -> Iterator[np.ndarray]:
    """The words Tr(c_3 x^3 + ... + c_{2t-1} x^{2t-1}) over the field of 2^m elements, as signs."""
    field = galois_field(2**m)
    x = np.arange(field.q)
    trace = field.trace(x)
    powers = [field.power(x, 2 * i + 1) for i in range(1, t)]
    for coefficients in product(range(field.q), repeat=t - 1):
        terms = (trace[field.multiply(c, y)] for c, y in zip(coefficients, powers, strict=True))
        yield 1.0 - 2 * reduce(np.bitwise_xor, terms, 0 * x)


def _bases(d: int, rows: Iterable[np.ndarray], *, axes: bool = False, opposites: bool = False) -> Iterator[np.ndarray]:
    """Orthonormal bases (d, d): the axes if asked for, then the Sylvester-Hadamard matrix times each row of signs."""
    from scipy.linalg import hadamard

    sylvester = hadamard(d) / sqrt(d)
    for basis in chain([np.eye(d)] if axes else [], (sylvester * row for row in rows)):
        yield basis
        if opposites:
            yield -basis


def _fill(count: int, d: int, blocks: Iterable[np.ndarray]) -> Float[Tensor, "K d"]:
    """The first `count` rows of the blocks; no block is made that is not needed."""
    points = torch.empty(count, d, dtype=torch.float64)
    start = 0
    for block in blocks:
        part = points[start : start + len(block)]
        part.copy_(torch.from_numpy(block[: len(part)]))
        start += len(part)
        if start == count:
            break
    return points
