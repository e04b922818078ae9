"""Minimum hyperspherical energy (MHE): directions repel one another by a power of their distance."""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .._errors import InputError
from .._names import names_options
from .._types import Float
from ._normalised import normalised
from ._pair_distances import check_floor, check_weight, reduced, squared_distances
from ._rows import result_type

_TILE = 1024  # rows: a tile of 8 MB
_FLOORS = {torch.float32: 1e-5, torch.float64: 1e-8}  # some hundred times the rounding of a row


@names_options
def riesz_energy(
    weight: Tensor, *, s: float | int = 2.0, reduction: str = "mean", floor: float | int | None = None
) -> Tensor:
    r"""Minimum hyperspherical energy (MHE): the Riesz or logarithmic energy of the directions of the rows.

    $$ \frac{2}{K(K-1)} \sum_{i<j} \operatorname{sign}(s) \, |u_i - u_j|^{-s} \quad (s \ne 0), \qquad
       \frac{2}{K(K-1)} \sum_{i<j} -\log |u_i - u_j| \quad (s = 0), \qquad u_i = w_i / |w_i| $$

    Range: for s = 2 from (K-1)/(2K), reached by the simplex (K <= d + 1), up; at K = 2d the least is that of the
    cross-polytope, 0.47222 at K = 10. Elsewhere see `neucollapse.geometry.best_known_energy`.

    Two directions closer than the `floor` $f$ cannot be told from coincident ones by rows of their type. Such a pair is
    repelled as two directions at distance 1 are, with the slope $-1$ ($-|s|$): below the floor the energy
    goes on from its value there in a straight line of that slope. So value and gradient are exact down to the floor, pairs at
    distance 1e-4 have the energy 1e8 in every type, and coincident rows part, in fixed directions, by a push that is
    no larger than that of distant ones. (The authors' code drops a coincident pair, and its rows never part.)
    Memory is O(Kd) and a few tiles: K x K is never stored.

    Args:
        weight: `(K, d)`, K >= 2, of any length; a zero row has no direction: it counts as the origin, without gradient.
        s: the exponent; 0 for the logarithmic energy.
        reduction: `"mean"` over the pairs or `"sum"`, each pair once.
        floor: the distance below which the energy stops growing like a power; None for 1e-5 of float32 weights and
            narrower ones, 1e-8 of float64, or more where the energy would overflow (s above 5). The largest push of a
            pair is that at the floor, $|s| f^{-s-1}$, 2e15 by default in float32, which Adam remembers for thousands of
            steps. Where proxies may come that near, normalise gradients, or raise the floor to about half the
            distance of neighbours in the end: 0.35 for 4 proxies in 3 dimensions.

    Returns:
        A scalar, of the type of `weight`, at least float32.

    Raises:
        InputError: a weight that is not a floating matrix of two rows or more, a reduction without a meaning for pairs, or a
            floor at which coincident rows would overflow.

    References:
        Liu et al., arXiv 2303.06484; Liu et al., "Learning towards Minimum Hyperspherical Energy", arXiv 1805.09298.

    Examples:
        >>> import torch
        >>> cross = torch.cat([torch.eye(5), -torch.eye(5)])
        >>> round(riesz_energy(cross).item(), 5), round(riesz_energy(cross, s=0).item(), 5)
        (0.47222, -0.38508)
    """
    check_weight(weight)
    result = result_type(weight)
    least = _least_floor(s, result)
    if floor is None:
        floor = max(least, _FLOORS[result])
    check_floor(floor)
    if floor < least:
        raise InputError(
            f"expected a floor of at least {least:.2g} for s={s:g} in {result}, got {floor:g}: "
            "the energy of coincident rows would overflow; raise the floor or use float64 weights"
        )
    K = len(weight)
    unit = normalised(weight.double())
    # Their mean does not move distances; without it a common offset costs no digits.
    points = unit - unit.mean(dim=0).detach()
    total = points.new_zeros(())
    for first in range(0, K, _TILE):
        for second in range(first, K, _TILE):
            if K <= _TILE:
                total = total + _tile_energy(points, first, second, s, floor)
            else:  # tiles are made again on the way back, not kept
                total = total + checkpoint(
                    _tile_energy, points, first, second, s, floor, use_reentrant=False, preserve_rng_state=False
                )
    return reduced(total, K * (K - 1) / 2, reduction).to(result)


def _tile_energy(
    points: Float[Tensor, "K d"], first: int, second: int, s: float | int, floor: float | int
) -> Float[Tensor, ""]:
    """Sum of the energies of the pairs i < j with i in the tile of `first`, j in that of `second`."""
    i = torch.arange(first, min(first + _TILE, len(points)), device=points.device)
    j = torch.arange(second, min(second + _TILE, len(points)), device=points.device)
    pairs = i[:, None] < j
    squares, below = squared_distances(points[i], points[j], i, j, pairs, floor)
    if s == 0:
        total = -0.5 * squares.where(pairs, 1).log().sum()
    else:
        total = (1 if s > 0 else -1) * squares.pow(-s / 2).where(pairs, 0).sum()
    return total + (abs(s) if s else 1) * below


def _least_floor(s: float | int, result: torch.dtype) -> float:
    """The floor at which energy and push still are numbers of the type; `InputError` for an exponent without one."""
    if not -torch.inf < s < torch.inf:
        raise InputError(f"expected a finite exponent s (0 for the logarithm), got {s}")
    # The value at the floor is floor^-s; the derivative has one more power, and 1e6 is room for sums.
    most = torch.finfo(result).max / 1e6
    return most ** (-1 / (s + 1)) if s > 0 else 0.0
