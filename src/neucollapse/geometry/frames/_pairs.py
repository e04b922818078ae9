"""All pairs of rows, a tile at a time: the one loop behind every pair quantity, so that K x K is never stored."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._errors import InputError
from ..._names import names_options
from ..._types import Bool, Float

_TILE = 512  # rows: a tile of 2 MB, which stays in cache through the few passes made over it
_LOST = 0.4  # share of its digits that a squared distance from the Gram matrix may lose: 6 of 16 in float64


@dataclass(frozen=True)
class Tile:
    """One tile of the upper triangle of the Gram matrix of some rows: all pairs of `rows` with `columns`.

    Attributes:
        rows: the first members of the pairs, a slice of the points.
        columns: the second members.
        gram: inner products (r, c).
        pairs: on the diagonal, where `rows == columns`, the mask of the pairs i < j; None elsewhere (all are pairs).
        points: all the points (K, d).
        squares: their squared norms (K,).
    """

    rows: slice
    columns: slice
    gram: Float[Tensor, "r c"]
    pairs: Bool[Tensor, "r c"] | None
    points: Float[Tensor, "K d"]
    squares: Float[Tensor, " K"]

    def select(self, values: Float[Tensor, "r c"]) -> Float[Tensor, " n"]:
        """The values of the pairs i < j of this tile, in one row: each pair of points comes up in one tile alone."""
        return values.flatten() if self.pairs is None else values.masked_select(self.pairs)

    def fill(self, values: Float[Tensor, "r c"], value: float | int) -> Float[Tensor, "r c"]:
        """The values with everything that is not a pair i < j replaced: by 0 before a sum, by -inf before a maximum."""
        return values if self.pairs is None else values.masked_fill(~self.pairs, value)

    def squared_distances(self) -> Float[Tensor, "r c"]:
        """`|x_i - x_j|^2` (r, c), near-coincident pairs from their differences, which lose nothing."""
        x, y = self.points[self.rows], self.points[self.columns]
        size_x, size_y = self.squares[self.rows, None], self.squares[self.columns]
        distances = self.gram.mul(-2).add_(size_x).add_(size_y)
        lossy = torch.finfo(x.dtype).eps ** _LOST
        if bool(distances.min() >= lossy * (size_x.max() + size_y.max())):
            return distances
        i, j = (distances < lossy * (size_x + size_y)).nonzero(as_tuple=True)
        for some in torch.arange(len(i)).split(max(1, _TILE * _TILE // x.shape[1])):
            distances[i[some], j[some]] = (x[i[some]] - y[j[some]]).square().sum(dim=1)
        return distances


@names_options
def pair_tiles(points: Float[Tensor, "K d"], *, tile: int = _TILE) -> Iterator[Tile]:
    """The tiles of the upper triangle of the Gram matrix of some rows, each made when it is asked for.

    For inner products and cosines, give the rows as they are. For distances, give them centred (subtract their mean,
    which moves no distance): a common offset then costs no digits.

    Args:
        points: rows (K, d), of any float type and device; the tiles are of the same.
        tile: rows of a tile; memory is a few times `tile^2` numbers, whatever K.

    Raises:
        InputError: if `tile` is not positive.

    Examples:
        >>> points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
        >>> [tile.select(tile.squared_distances()).sqrt().tolist() for tile in pair_tiles(points)]
        [[5.0, 10.0, 5.0]]
    """
    if tile < 1:
        raise InputError(f"expected a tile of at least one row, got {tile}")
    K, squares = len(points), torch.linalg.vecdot(points, points)
    for first in range(0, K, tile):
        rows = slice(first, min(first + tile, K))
        for second in range(first, K, tile):
            columns = slice(second, min(second + tile, K))
            gram = points[rows] @ points[columns].T
            pairs = torch.ones_like(gram, dtype=torch.bool).triu(diagonal=1) if first == second else None
            yield Tile(rows, columns, gram, pairs, points, squares)
