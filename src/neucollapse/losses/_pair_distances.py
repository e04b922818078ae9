"""Distances of all pairs of directions, near and coincident ones included, and the checks that measures of them share.

Everything is computed in float64 and returned in float32 for narrower weights: K rows are few beside the samples, and the
distance of two near directions needs digits that float32 does not have.
"""

import torch
from torch import Tensor

from .._errors import InputError
from .._types import Float, Int

_NEAR = 1e-4  # squared distances below this share of the squared norms come from differences: 12 digits are left


def squared_distances(
    x: Float[Tensor, "r d"],
    y: Float[Tensor, "c d"],
    i: Int[Tensor, " r"],
    j: Int[Tensor, " c"],
    pairs: Tensor,
    floor: float | int,
) -> tuple[Float[Tensor, "r c"], Float[Tensor, ""]]:
    """Squared distances of rows i with rows j where `pairs`, 1 elsewhere: at least the floor's, near ones from differences.

    Beside them, the sum over pairs of how far they are below the floor.
    """
    sizes = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    squares = sizes - 2 * x @ y.mT
    with torch.no_grad():
        near = pairs & (squares < (_NEAR * sizes).clamp(min=2 * floor**2))
    a, b = near.nonzero(as_tuple=True)
    distances = pair_distances(x, y, torch.stack([a, b]), torch.stack([i[a], j[b]]))
    apart = distances >= floor
    floored = distances.where(apart, floor).square()
    below = (floor - distances).where(~apart, 0).sum()
    return squares.where(pairs & ~near, 1).index_put((a, b), floored), below


def pair_distances(
    x: Float[Tensor, "r d"], y: Float[Tensor, "c d"], places: Int[Tensor, "2 n"], names: Int[Tensor, "2 n"]
) -> Float[Tensor, " n"]:
    """Distances of row `places[0]` of x and row `places[1]` of y, which are rows `names` of the weight.

    The distance of coincident rows has no derivative; here it is a fixed unit vector, opposite for the two of a pair.
    """
    difference = x[places[0]] - y[places[1]]
    square = difference.square().sum(dim=1)
    zero = square == 0
    aside = _scattered(names[0], x) - _scattered(names[1], x)
    along = (difference * aside / aside.norm(dim=1, keepdim=True)).sum(dim=1)
    return torch.where(zero, along, square.where(~zero, 1).sqrt())


def _scattered(rows: Int[Tensor, " n"], like: Float[Tensor, "r d"]) -> Float[Tensor, "n d"]:
    """A fixed vector for each row number, no two alike."""
    frequencies = torch.arange(1, like.shape[1] + 1, dtype=like.dtype, device=like.device).sqrt()
    return torch.sin((rows[:, None] + 1) * frequencies)


def reduced(total: Tensor, count: float | int, reduction: str) -> Tensor:
    """Sum or mean; `InputError` for another reduction."""
    if reduction not in ("mean", "sum"):
        raise InputError(
            f"expected reduction 'mean' or 'sum', got {reduction!r}: it is a number of all classes together, "
            "and no sample has a part in it"
        )
    return total / count if reduction == "mean" else total


def check_weight(weight: Tensor) -> None:
    """Raise `InputError` for anything but a floating matrix of two rows or more."""
    if not weight.is_floating_point() or weight.dim() != 2 or len(weight) < 2:
        raise InputError(
            f"expected a floating weight (K, d) of at least two rows, got {weight.dtype} of {tuple(weight.shape)}"
        )


def check_floor(floor: float | int) -> None:
    """Raise `InputError` for a floor that is no distance between 0 and 1."""
    if not 0 < floor < 1:
        raise InputError(f"expected a floor between 0 and 1, a distance on the unit sphere, got {floor}")
