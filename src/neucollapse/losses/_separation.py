"""Maximum hyperspherical separation (MHS): the distance of the closest pair of directions."""

import torch
from torch import Tensor

from .._names import names_options
from .._types import Float, Int
from ._normalised import normalised
from ._pair_distances import check_weight, pair_distances
from ._rows import result_type


@names_options
def closest_distance(weight: Tensor) -> Tensor:
    r"""Maximum hyperspherical separation (MHS): the smallest distance of two directions, to be maximised.

    $$ \min_{i<j} |u_i - u_j|, \qquad u_i = w_i / |w_i| $$

    Its gradient is a subgradient: that of one closest pair, and zero elsewhere. Coincident rows are at distance 0 and
    part in a fixed direction. As $s \to \infty$ the codes of least `riesz_energy` tend to its maximisers.

    Range: from 0, coincident rows, to $\sqrt{2K/(K-1)}$ at the simplex, or to the best known code of the size:
    $\sqrt 2$ for d + 2 <= K <= 2d.

    Args:
        weight: `(K, d)`, floating, K >= 2, of any length; an `InputError` for another.

    Returns:
        A scalar, of the type of `weight`, at least float32.

    References:
        Liu et al., arXiv 2303.06484; "Learning with Hyperspherical Uniformity", arXiv 2103.01649.

    Examples:
        >>> import torch
        >>> closest_distance(torch.tensor([[1.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]))
        tensor(1.4142)
    """
    check_weight(weight)
    unit = normalised(weight.double())
    pair = _closest_pair(unit.detach())
    return pair_distances(unit, unit, pair, pair).squeeze(0).to(result_type(weight))


def _closest_pair(points: Float[Tensor, "K d"]) -> Int[Tensor, "2 1"]:
    """Row numbers of one closest pair."""
    from ..geometry import pair_tiles  # the room of geometry takes longer to load than this one

    smallest, closest = torch.inf, (0, 1)
    for tile in pair_tiles(points - points.mean(dim=0)):
        squares = tile.fill(tile.squared_distances(), torch.inf)
        place = int(squares.argmin())
        row, column = divmod(place, squares.shape[1])
        if squares[row, column] < smallest:
            smallest, closest = float(squares[row, column]), (tile.rows.start + row, tile.columns.start + column)
    return torch.tensor(closest, device=points.device)[:, None]
