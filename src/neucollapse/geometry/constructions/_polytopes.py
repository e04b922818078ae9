"""Regular and uniform polytopes that are the best codes of their sizes: the snub cube and the 600-cell."""

from itertools import permutations, product
from math import sqrt

import numpy as np
from torch import Tensor

from ..._types import Float
from ._exact import signs, unit

TRIBONACCI = (1 + (19 + 3 * sqrt(33)) ** (1 / 3) + (19 - 3 * sqrt(33)) ** (1 / 3)) / 3  # t^3 = t^2 + t + 1


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


def _parity(order: tuple[int, ...]) -> int:
    """1 for an even permutation, -1 for an odd one."""
    return round(np.linalg.det(np.eye(len(order))[list(order)]))
