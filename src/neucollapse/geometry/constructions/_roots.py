"""Root systems, the shortest vectors of A_n, D_n, E6, E7, E8 and what is cut out of them; the snub cube and the 600-cell."""

from itertools import combinations, permutations, product
from math import sqrt

import numpy as np
from torch import Tensor

from ..._types import Float
from .._rows import check_whole
from ._exact import onto_sum_zero, signs, unit

TRIBONACCI = (1 + (19 + 3 * sqrt(33)) ** (1 / 3) + (19 - 3 * sqrt(33)) ** (1 / 3)) / 3  # t^3 = t^2 + t + 1
_FANO = (np.arange(7)[:, None] + [0, 1, 3]) % 7  # the lines of the Fano plane


def a_roots(n: int) -> Float[Tensor, "K n"]:
    """The n(n+1) roots e_i - e_j of A_n, in n >= 2 dimensions: maximal cosine 1/2.

    Examples:
        >>> a_roots(3).shape
        torch.Size([12, 3])
    """
    check_whole(n, "n (dimension)", 2)
    eye = np.eye(n + 1)
    return unit(onto_sum_zero(np.stack([eye[i] - eye[j] for i, j in permutations(range(n + 1), 2)])))


def d_roots(n: int) -> Float[Tensor, "K n"]:
    """The 2n(n-1) roots ±e_i ± e_j of D_n, in n >= 3 dimensions: maximal cosine 1/2.

    D4 is the 24-cell, the best code of its size; D5 has the most points known at 60 degrees in d = 5.

    Examples:
        >>> d_roots(4).shape
        torch.Size([24, 4])
    """
    check_whole(n, "n (dimension)", 3)
    return unit(_on_supports(_pairs(n), n))


def e6_roots() -> Float[Tensor, "72 6"]:
    """The 72 roots of E6: those of D5, and its half-spins with a last coordinate ±sqrt(3)/2. Maximal cosine 1/2."""
    spins = np.c_[signs(5), sqrt(3) * signs(5).prod(axis=1)] / 2
    return unit(np.r_[np.pad(_on_supports(_pairs(5), 5), ((0, 0), (0, 1))), spins])


def e7_roots() -> Float[Tensor, "126 7"]:
    """The 126 roots of E7: ±2 e_i, and all signs on the complements of the lines of the Fano plane. Maximal cosine 1/2."""
    off_lines = np.array([sorted(set(range(7)) - set(line)) for line in _FANO.tolist()])
    return unit(np.r_[2 * np.eye(7), -2 * np.eye(7), _on_supports(off_lines, 7)])


def e8_roots() -> Float[Tensor, "240 8"]:
    """The 240 roots of E8: those of D8, and half all sign patterns with an even number of minuses. Maximal cosine 1/2.

    The best code of its size, and the most points at 60 degrees in d = 8 (Levenshtein; Odlyzko and Sloane 1979).

    Examples:
        >>> from neucollapse.geometry import max_cosine
        >>> round(max_cosine(e8_roots()), 12)
        0.5
    """
    return unit(np.r_[2 * _on_supports(_pairs(8), 8), signs(8, even=True)])


def gosset() -> Float[Tensor, "56 7"]:
    """The 56 points of the Gosset polytope 3_21 in d = 7: all signs on the lines of the Fano plane. Maximal cosine 1/3.

    The half with a first plus sign are the 28 equiangular lines of d = 7. Neighbours of a point of E8, seen from it.
    """
    return unit(_on_supports(_FANO, 7))


def six_dimensional_lines() -> Float[Tensor, "16 6"]:
    """16 equiangular lines in d = 6 of coherence 1/3, the most there can be: those of `gosset` that avoid a coordinate."""
    points = gosset()
    return points[(points[:, 6] == 0) & (points.sum(dim=1) > 0)][:, :6]


def schlaefli() -> Float[Tensor, "27 6"]:
    """The 27 points of the Schlaefli configuration in d = 6, maximal cosine 1/4: neighbours of a point of `gosset`."""
    # 27 = 1 + 10 + 16 under D5: a pole, the vectors and the half-spins, each on its own latitude
    vectors = np.c_[np.r_[np.eye(5), -np.eye(5)], np.full(10, -1 / sqrt(3))]
    spins = np.c_[signs(5, even=True) / 2, np.full(16, 1 / (2 * sqrt(3)))]
    return unit(np.r_[[[0, 0, 0, 0, 0, 1]], vectors, spins])


def clebsch() -> Float[Tensor, "16 5"]:
    """The 16 points of the Clebsch configuration in d = 5: half the vertices of the cube. Maximal cosine 1/5."""
    return unit(signs(5, even=True))


def petersen() -> Float[Tensor, "10 4"]:
    """The 10 points of the Petersen code in d = 4: midpoints of the edges of the simplex. Maximal cosine 1/6."""
    points = np.full((10, 5), -2)
    for row, edge in zip(points, combinations(range(5), 2), strict=True):
        row[list(edge)] = 3
    return unit(onto_sum_zero(points))


def barnes_wall() -> Float[Tensor, "4320 16"]:
    """The 4320 shortest vectors of the Barnes-Wall lattice in d = 16: maximal cosine 1/2.

    ±2 e_i ± 2 e_j, and an even number of minuses on the 30 words of weight 8 of the Reed-Muller code of length 16: the
    affine hyperplanes of a 4-dimensional space over two elements.
    """
    cube = (np.arange(16)[:, None] >> np.arange(4)) & 1
    words = [cube @ normal % 2 == side for normal in cube[1:] for side in (0, 1)]
    planes = np.stack([word.nonzero()[0] for word in words])
    pairs = 2 * _on_supports(_pairs(16), 16)
    return unit(np.r_[pairs, _on_supports(planes, 16, even=True)])


def snub_cube() -> Float[Tensor, "24 3"]:
    """The 24 vertices of the snub cube, the best code for (d, K) = (3, 24) (Robinson 1961).

    Even permutations of (±1, ±1/t, ±t) with an even number of minuses, odd ones with an odd number, where t is the
    tribonacci constant. The maximal cosine is t^2 / (1 + 1/t^2 + t^2) = 0.7230784...
    """
    points = [
        [sign * (1, 1 / TRIBONACCI, TRIBONACCI)[axis] for sign, axis in zip(pattern, order, strict=True)]
        for order in permutations(range(3))
        for pattern in product((1, -1), repeat=3)
        if np.prod(pattern) == _parity(order)
    ]
    return unit(np.array(points))


def hexacosichoron() -> Float[Tensor, "120 4"]:
    """The 120 vertices of the 600-cell, the best code for (d, K) = (4, 120): maximal cosine (1 + sqrt 5)/4.

    ±e_i, all signs over 2, and the even permutations of (±φ, ±1, ±1/φ, 0)/2 with the golden ratio φ.
    """
    golden = (1 + sqrt(5)) / 2
    even = [order for order in permutations(range(4)) if _parity(order) == 1]
    corner = np.c_[signs(3) * (golden, 1, 1 / golden), np.zeros(8)]
    return unit(np.concatenate([2 * np.eye(4), -2 * np.eye(4), signs(4), *(corner[:, order] for order in even)]))


def _pairs(n: int) -> np.ndarray:
    return np.array(list(combinations(range(n), 2)))


def _on_supports(supports: np.ndarray, n: int, *, even: bool = False) -> np.ndarray:
    """All sign patterns on each set of coordinates, zeros elsewhere: int8 (sets * patterns, n)."""
    size = supports.shape[1]
    patterns = signs(size, even=even)
    points = np.zeros((len(supports), len(patterns), n), dtype=np.int8)
    np.put_along_axis(points, supports[:, None, :].repeat(len(patterns), axis=1), patterns[None], axis=2)
    return points.reshape(-1, n)


def _parity(order: tuple[int, ...]) -> int:
    """1 for an even permutation, -1 for an odd one."""
    return round(np.linalg.det(np.eye(len(order))[list(order)]))
