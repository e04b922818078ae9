"""The contacts of a code: its pairs at the largest cosine."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..._types import Float, Int
from ..frames import pair_tiles

MOST = 2_000_000  # contacts that are listed


@dataclass(frozen=True)
class Contacts:
    """The pairs of rows whose (absolute) cosine is within a tolerance of the largest.

    Attributes:
        pairs: (m, 2), i < j; none of them (0, 2) where there are too many to list.
        signs: (m,) of their cosines, for lines; ones for codes.
        count: how many there are.
        degrees: contacts of each row (K,).
    """

    pairs: Int[Tensor, "m 2"]
    signs: Float[Tensor, " m"]
    count: int
    degrees: Int[Tensor, " K"]


def find_contacts(
    rows: Float[Tensor, "K d"], largest: float, tolerance: float, *, absolute: bool, most: int = MOST
) -> Contacts:
    """All pairs with a cosine of at least ``largest - tolerance``, in tiles; up to ``most`` are listed."""
    pairs, signs, count = [], [], 0
    degrees = torch.zeros(len(rows), dtype=torch.int64)
    for tile in pair_tiles(rows):
        values = tile.fill(tile.gram.abs() if absolute else tile.gram, -torch.inf)
        if not float(values.max()) >= largest - tolerance:
            continue
        i, j = (values >= largest - tolerance).nonzero(as_tuple=True)
        count += len(i)
        cosine = tile.gram[i, j]
        i, j = i + tile.rows.start, j + tile.columns.start
        degrees += torch.bincount(i, minlength=len(rows)) + torch.bincount(j, minlength=len(rows))
        if count <= most:
            pairs.append(torch.stack([i, j], dim=1))
            # Orthogonal lines have no side on which they touch: their sign is rounding.
            signs.append(
                torch.where(cosine.abs() > tolerance, cosine.sign(), 0) if absolute else torch.ones_like(cosine)
            )
    if count > most or not pairs:
        return Contacts(torch.empty(0, 2, dtype=torch.int64), rows.new_empty(0), count, degrees)
    return Contacts(torch.cat(pairs), torch.cat(signs), count, degrees)
