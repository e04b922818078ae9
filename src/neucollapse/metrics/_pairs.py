"""Sums over all pairs of unit rows, in one pass over tiles of their Gram matrix: K = 50,000 never allocates K x K."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .._types import Float
from ..geometry import pair_tiles


@dataclass(frozen=True)
class PairSums:
    """Means over the pairs i < j of K unit rows u; `off` is cos + 1/(K-1), zero for every pair of a simplex."""

    max_cosine: float
    closest: tuple[int, int]
    mean_absolute_off: float
    cosine_variance: float
    distance_variance: float
    log_mean: float
    log_variance: float
    riesz1: float
    riesz2: float


def pair_sums(unit: Float[Tensor, "K d"]) -> PairSums:
    """Everything NC2, GNC2 and the energies need of the pairs of `unit` (K >= 2)."""
    K = len(unit)
    simplex = 1 / (K - 1)
    # Deviations from the values of a simplex: variances of nearly equal numbers keep their digits.
    typical_distance = (2 + 2 * simplex) ** 0.5
    typical_log = -torch.tensor(typical_distance, dtype=torch.float64).log().item()
    sums = torch.zeros(9, dtype=torch.float64)
    nearest, closest = torch.inf, (0, 1)
    for tile in pair_tiles(unit):
        squares = tile.squared_distances()
        least = int(tile.fill(squares, torch.inf).argmin())
        i, j = divmod(least, squares.shape[1])
        if float(squares[i, j]) < nearest:
            nearest, closest = float(squares[i, j]), (tile.rows.start + i, tile.columns.start + j)
        square = tile.select(squares)
        riesz1 = square.rsqrt()
        deep = riesz1.log().sub_(typical_log)
        far = square.sqrt().sub_(typical_distance)
        off = square.mul_(-0.5).add_(1 + simplex)
        sums += torch.stack(
            [
                torch.linalg.vector_norm(off, 1), off.sum(), off @ off, far.sum(), far @ far, deep.sum(), deep @ deep,
                riesz1.sum(), riesz1 @ riesz1,
            ]
        )  # fmt: skip
    absolute, off, off2, far, far2, deep, deep2, riesz1, riesz2 = (sums / (K * (K - 1) / 2)).tolist()
    return PairSums(
        max_cosine=1 - nearest / 2,  # from the distance: exact also where two rows nearly coincide
        closest=closest,
        mean_absolute_off=absolute,
        cosine_variance=max(0.0, off2 - off**2),
        distance_variance=max(0.0, far2 - far**2),
        log_mean=deep + typical_log,
        log_variance=max(0.0, deep2 - deep**2),
        riesz1=riesz1,
        riesz2=riesz2,
    )
