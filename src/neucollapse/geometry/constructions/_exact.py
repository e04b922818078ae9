"""What all constructions share: from exact coordinates, or an exact Gram matrix, to unit rows in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..._types import Float
from .._rows import check_whole


def unit(points: np.ndarray) -> Float[Tensor, "K d"]:
    """Rows of exact (mostly integer) coordinates over their norms, as float64."""
    rows = torch.from_numpy(points.astype(np.float64))
    return rows / rows.norm(dim=1, keepdim=True)


def check_count(count: Any, K: int) -> int:
    """`count`, the number of points asked for out of K; all of them where it is None."""
    if count is None:
        return K
    return check_whole(count, "count (number of points)", 1, K)


def signs(n: int, *, even: bool = False) -> np.ndarray:
    """All sign patterns of n coordinates, int8 (2^n, n), the all-plus one first; `even`: with an even number of minuses."""
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    if even:
        bits = bits[bits.sum(axis=1) % 2 == 0]
    return (1 - 2 * bits).astype(np.int8)


def onto_sum_zero(points: np.ndarray) -> np.ndarray:
    """Vectors (K, n+1) of sum zero in n coordinates, isometrically: the reflection that takes 1 to the last axis."""
    size = points.shape[1] ** 0.5
    return points[:, :-1] + points[:, -1:] / (size - 1)


def from_gram(column: Callable[[int], np.ndarray], K: int, rank: int) -> Float[Tensor, "K d"]:
    """K unit vectors in `rank` dimensions with a given Gram matrix, a multiple of a projection, by pivoted Cholesky.

    The Gram matrix is asked for one column at a time, `rank` of them: K x K is never stored.
    """
    columns = np.zeros((rank, K))  # coordinate by coordinate, so that each step reads memory in order
    left = np.ones(K)  # squared norms of what the coordinates so far leave out
    for r in range(rank):
        pivot = int(left.argmax())
        rest = column(pivot) - columns[:r, pivot] @ columns[:r]
        columns[r] = rest / rest[pivot] ** 0.5
        left -= columns[r] ** 2
    points = columns.T
    # A tight frame: X^T X = (K/d) I. One Newton step towards it takes away what pivoting lost, two digits at d = 657.
    return unit(1.5 * points - points @ (points.T @ points) * (rank / (2 * K)))
