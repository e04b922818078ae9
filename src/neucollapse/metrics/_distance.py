"""How far class means lie from the best code on record, as angles: what a share of its margin does not tell."""

from typing import NamedTuple

import torch
from torch import Tensor

from ._tables import Tables


class Distance(NamedTuple):
    """Angles in degrees between the directions of the class means and the code that was turned and numbered onto them.

    `closest` is the angle between the closest two points of the code, which is the measure of what is near.
    """

    mean: float
    largest: float
    closest: float


def distance_to_code(result: Tables, split: str) -> Distance | None:
    """The angles from the class means of a split to the target of a result, for K > 2d.

    None for d+2 <= K <= 2d, where the optimum is a family of codes and the one on record is an example
    (`geometry.orthogonal_blocks`), for K <= d+1, where the distance to a simplex tells, and where there is no target.
    """
    target = result.arrays.get("target")
    means = result.arrays.get(f"{split}/normalized_means" if split else "normalized_means")
    if target is None or means is None or target.shape != means.shape or len(target) <= 2 * target.shape[1]:
        return None
    target, means = target.to(torch.float64), means.to(torch.float64)
    if not bool(torch.isfinite(means).all()) or not bool(means.norm(dim=1).min() > 0):
        return None
    angles = _degrees(torch.nn.functional.normalize(means, dim=1), target)
    apart = (target @ target.T).fill_diagonal_(-1).argmax()
    i, j = divmod(int(apart), len(target))
    return Distance(float(angles.mean()), float(angles.max()), float(_degrees(target[[i]], target[[j]])))


def _degrees(one: Tensor, other: Tensor) -> Tensor:
    """Angles between unit rows, by the half-angle, which keeps its digits where they nearly agree."""
    return torch.rad2deg(2 * torch.atan2((one - other).norm(dim=1), (one + other).norm(dim=1)))
