r"""Hyperspherical uniformity of class directions, to be minimised: by energy, by the closest pair, by a determinant.

Everything here is computed in float64 and returned in float32 for narrower weights: K rows are few beside the samples,
and the distance of two near directions needs digits that float32 does not have.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .._errors import InputError
from .._types import Float, Int
from ..geometry import pair_tiles
from ._unit_rows import unit_rows

if TYPE_CHECKING:
    from ..heads import Head

KINDS = ("mhe", "mhs", "mgd")
_TILE = 1024  # rows: a tile of 8 MB
_NEAR = 1e-4  # squared distances below this share of the squared norms come from differences: 12 digits are left


def riesz_energy(weight: Tensor, s: float | int = 2.0, reduction: str = "mean", floor: float | int = 1e-3) -> Tensor:
    r"""Minimum hyperspherical energy (MHE): the Riesz or logarithmic energy of the directions of the rows.

    .. math:: \frac{2}{K(K-1)} \sum_{i<j} \operatorname{sign}(s) \, |u_i - u_j|^{-s} \quad (s \ne 0), \qquad
              \frac{2}{K(K-1)} \sum_{i<j} -\log |u_i - u_j| \quad (s = 0), \qquad u_i = w_i / |w_i|

    Range: for s = 2 from (K-1)/(2K), reached by the simplex (K <= d + 1), up; at K = 2d the least is that of the
    cross-polytope, 0.47222 at K = 10. Elsewhere see ``neucollapse.geometry.best_known_energy``.

    Two directions closer than ``floor`` are repelled as if they were almost that far apart, so that the value is finite
    and coincident rows still part, in fixed directions: their distance :math:`r` counts as
    :math:`\sqrt{f (f + r) / 2}`, with :math:`f` the floor. Memory is O(Kd) and a few tiles: K x K is never stored.

    Args:
        weight: ``(K, d)``, K >= 2, of any length; a zero row has no direction: it counts as the origin, without gradient.
        s: the exponent; 0 for the logarithmic energy.
        reduction: ``"mean"`` over the pairs or ``"sum"``, each pair once.
        floor: the distance below which the energy stops growing like a power. The push of two coincident rows is of the
            size :math:`f^{-s-1}`: clip gradients if proxies may coincide, or raise the floor.

    Returns:
        A scalar, of the type of ``weight``, at least float32.

    Raises:
        InputError: a weight that is not a floating matrix of two rows or more, an unknown reduction, or an exponent at
            which coincident rows would overflow.

    References:
        Liu et al., arXiv 2303.06484; Liu et al., "Learning towards Minimum Hyperspherical Energy", arXiv 1805.09298.

    Example:
        >>> import torch
        >>> cross = torch.cat([torch.eye(5), -torch.eye(5)])
        >>> round(riesz_energy(cross).item(), 5), round(riesz_energy(cross, s=0).item(), 5)
        (0.47222, -0.38508)
    """
    _check_weight(weight)
    _check_floor(floor)
    result = _result_type(weight)
    _check_size(s, floor, result)
    K = len(weight)
    unit = unit_rows(weight.double())
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
    return _reduced(total, K * (K - 1) / 2, reduction).to(result)


def closest_distance(weight: Tensor) -> Tensor:
    r"""Maximum hyperspherical separation (MHS): the smallest distance of two directions, to be maximised.

    .. math:: \min_{i<j} |u_i - u_j|, \qquad u_i = w_i / |w_i|

    Its gradient is a subgradient: that of one closest pair, and zero elsewhere. Coincident rows are at distance 0 and
    part in a fixed direction. As :math:`s \to \infty` the codes of least ``riesz_energy`` tend to its maximisers.

    Range: from 0, coincident rows, to :math:`\sqrt{2K/(K-1)}` at the simplex, or to the best known code of the size:
    :math:`\sqrt 2` for d + 2 <= K <= 2d.

    Args:
        weight: ``(K, d)``, K >= 2, of any length.

    Returns:
        A scalar, of the type of ``weight``, at least float32.

    Raises:
        InputError: a weight that is not a floating matrix of two rows or more.

    References:
        Liu et al., arXiv 2303.06484; "Learning with Hyperspherical Uniformity", arXiv 2103.01649.

    Example:
        >>> import torch
        >>> closest_distance(torch.tensor([[1.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]))
        tensor(1.4142)
    """
    _check_weight(weight)
    unit = unit_rows(weight.double())
    pair = _closest_pair(unit.detach())
    return _distances(unit, unit, pair, pair).squeeze(0).to(_result_type(weight))


def log_determinant(
    weight: Tensor,
    width: float | int = 1.0,
    reduction: str = "mean",
    jitter: float | int = 1e-6,
    floor: float | int = 1e-4,
) -> Tensor:
    r"""Maximum Gram determinant (MGD): log det of the Gaussian Gram matrix of the directions, to be maximised.

    .. math:: \log \det (G + \eta I), \qquad G_{ij} = \exp(-\epsilon^2 |u_i - u_j|^2), \qquad u_i = w_i / |w_i|

    Range: below :math:`K \log(1 + \eta)`, which is about 0. For K <= d + 1 the simplex has the most, about
    :math:`(K-1) \log(1 - g) + \log(1 + (K-1) g)` with :math:`g = \exp(-2 \epsilon^2 K/(K-1))`.

    The matrix itself, ``(K, K)``, is stored and factored: K up to some thousands.

    Args:
        weight: ``(K, d)``, K >= 2, of any length.
        width: :math:`\epsilon`, the inverse of the width of the kernel.
        reduction: ``"sum"``, the log-determinant itself, or ``"mean"``, that over K: per class.
        jitter: :math:`\eta`, which keeps the determinant of coincident rows above 0.
        floor: distances below it count as in ``riesz_energy``.

    Returns:
        A scalar, of the type of ``weight``, at least float32.

    Raises:
        InputError: a weight that is not a floating matrix of two rows or more, a width, jitter or floor that is not
            positive, an unknown reduction.

    References:
        Liu et al., arXiv 2303.06484; "Learning with Hyperspherical Uniformity", arXiv 2103.01649.

    Example:
        >>> import torch
        >>> round(log_determinant(torch.eye(3), reduction="sum").item(), 4)
        -0.0513
    """
    _check_weight(weight)
    _check_floor(floor)
    if not (width > 0 and jitter > 0):
        raise InputError(f"expected a width and a jitter above 0, got width={width}, jitter={jitter}")
    K = len(weight)
    unit = unit_rows(weight.double())
    points = unit - unit.mean(dim=0).detach()
    every = torch.arange(K, device=weight.device)
    pairs = torch.ones(K, K, dtype=torch.bool, device=weight.device).triu(diagonal=1)
    upper = torch.exp(-(width**2) * _squared_distances(points, points, every, every, pairs, floor)).where(pairs, 0)
    gram = upper + upper.mT + (1 + jitter) * torch.eye(K, dtype=torch.float64, device=weight.device)
    total = 2 * torch.linalg.cholesky(gram).diagonal().log().sum()
    return _reduced(total, K, reduction).to(_result_type(weight))


def uniformity(
    weight: Tensor,
    kind: str = "mhe",
    s: float | int = 2.0,
    width: float | int = 1.0,
    reduction: str = "mean",
    floor: float | None = None,
) -> Tensor:
    r"""How far the directions of the rows are from uniform, by one of three measures, each to be minimised.

    ======== ========================================== ===============================================
    kind     value                                      at the simplex
    ======== ========================================== ===============================================
    ``mhe``  ``riesz_energy(weight, s, reduction)``     s = 2: (K-1)/(2K)
    ``mhs``  ``-closest_distance(weight)``              :math:`-\sqrt{2K/(K-1)}`
    ``mgd``  ``-log_determinant(weight, width, ...)``   see there
    ======== ========================================== ===============================================

    Args:
        weight: ``(K, d)``, K >= 2; only directions count.
        kind: ``"mhe"``, ``"mhs"`` or ``"mgd"``.
        s: exponent of the energy, 0 for the logarithm.
        width: of the kernel of the determinant.
        reduction: ``"mean"`` or ``"sum"``, over pairs (mhe) or classes (mgd).
        floor: distances below it count as in ``riesz_energy``; None for its default, 1e-3, or 1e-4 for the determinant.

    Raises:
        InputError: an unknown kind, and as the function of that kind.

    Example:
        >>> import torch
        >>> [round(uniformity(torch.eye(4), kind).item(), 4) for kind in ("mhe", "mhs", "mgd")]
        [0.5, -1.4142, 0.0239]
    """
    check_kind(kind)
    if kind == "mhe":
        return riesz_energy(weight, s, reduction, 1e-3 if floor is None else floor)
    if kind == "mhs":
        return -closest_distance(weight)
    return -log_determinant(weight, width, reduction, floor=1e-4 if floor is None else floor)


class Uniformity(nn.Module):
    r"""Hyperspherical uniformity of a head's weight: ``loss(features, labels, head)``. See :func:`uniformity`.

    A regulariser: it reads neither features nor labels. Add it to a loss that does.

    Args:
        kind: ``"mhe"``, ``"mhs"`` or ``"mgd"``.
        s: exponent of the energy, 0 for the logarithm.
        width: of the kernel of the determinant.
        reduction: ``"mean"`` or ``"sum"``.
        floor: as there.

    Example:
        >>> import torch, neucollapse.heads as heads
        >>> head = heads.Cosine(dim=3, num_classes=4)
        >>> Uniformity()(torch.randn(2, 3), torch.tensor([0, 1]), head).item() > 0.375  # the simplex: (K-1)/(2K)
        True
    """

    def __init__(
        self,
        kind: str = "mhe",
        s: float | int = 2.0,
        width: float | int = 1.0,
        reduction: str = "mean",
        floor: float | None = None,
    ) -> None:
        super().__init__()
        check_kind(kind)
        self.kind, self.s, self.width, self.reduction, self.floor = kind, s, width, reduction, floor

    def forward(self, features: Tensor, labels: Tensor, head: "Head | None" = None) -> Tensor:  # noqa: ARG002
        """Uniformity of ``head.weight``; small is uniform."""
        if head is None:
            raise InputError("uniformity expected a head, whose weight it spreads, and got None")
        return uniformity(head.weight, self.kind, self.s, self.width, self.reduction, self.floor)


def check_kind(kind: str) -> None:
    """Raise ``InputError`` for a measure of uniformity that is not one of the three."""
    if kind not in KINDS:
        raise InputError(f"expected uniformity among {', '.join(KINDS)}, got {kind!r}")


def _tile_energy(
    points: Float[Tensor, "K d"], first: int, second: int, s: float | int, floor: float | int
) -> Float[Tensor, ""]:
    """Sum of the energies of the pairs i < j with i in the tile of ``first``, j in that of ``second``."""
    i = torch.arange(first, min(first + _TILE, len(points)), device=points.device)
    j = torch.arange(second, min(second + _TILE, len(points)), device=points.device)
    pairs = i[:, None] < j
    squares = _squared_distances(points[i], points[j], i, j, pairs, floor)
    if s == 0:
        return -0.5 * squares.where(pairs, 1).log().sum()
    return (1 if s > 0 else -1) * squares.pow(-s / 2).where(pairs, 0).sum()


def _squared_distances(
    x: Float[Tensor, "r d"],
    y: Float[Tensor, "c d"],
    i: Int[Tensor, " r"],
    j: Int[Tensor, " c"],
    pairs: Tensor,
    floor: float | int,
) -> Float[Tensor, "r c"]:
    """Squared distances of rows i with rows j, where ``pairs``: floored, and near ones from differences; 1 elsewhere."""
    sizes = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    squares = sizes - 2 * x @ y.mT
    with torch.no_grad():
        near = pairs & (squares < (_NEAR * sizes).clamp(min=2 * floor**2))
    a, b = near.nonzero(as_tuple=True)
    distances = _distances(x, y, torch.stack([a, b]), torch.stack([i[a], j[b]]))
    floored = torch.where(distances < floor, floor * (floor + distances) / 2, distances.square())
    return squares.where(pairs & ~near, 1).index_put((a, b), floored)


def _distances(
    x: Float[Tensor, "r d"], y: Float[Tensor, "c d"], places: Int[Tensor, "2 n"], names: Int[Tensor, "2 n"]
) -> Float[Tensor, " n"]:
    """Distances of row ``places[0]`` of x and row ``places[1]`` of y, whose numbers in the weight are ``names``.

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


def _closest_pair(points: Float[Tensor, "K d"]) -> Int[Tensor, "2 1"]:
    """Row numbers of one closest pair."""
    smallest, closest = torch.inf, (0, 1)
    for tile in pair_tiles(points - points.mean(dim=0)):
        squares = tile.fill(tile.squared_distances(), torch.inf)
        place = int(squares.argmin())
        row, column = divmod(place, squares.shape[1])
        if squares[row, column] < smallest:
            smallest, closest = float(squares[row, column]), (tile.rows.start + row, tile.columns.start + column)
    return torch.tensor(closest, device=points.device)[:, None]


def _result_type(weight: Tensor) -> torch.dtype:
    return torch.promote_types(weight.dtype, torch.float32)


def _reduced(total: Tensor, count: float | int, reduction: str) -> Tensor:
    if reduction not in ("mean", "sum"):
        raise InputError(f"expected reduction 'mean' or 'sum', got {reduction!r}")
    return total / count if reduction == "mean" else total


def _check_weight(weight: Tensor) -> None:
    if not weight.is_floating_point() or weight.dim() != 2 or len(weight) < 2:
        raise InputError(
            f"expected a floating weight (K, d) of at least two rows, got {weight.dtype} of {tuple(weight.shape)}"
        )


def _check_floor(floor: float | int) -> None:
    if not 0 < floor < 1:
        raise InputError(f"expected a floor between 0 and 1, a distance on the unit sphere, got {floor}")


def _check_size(s: float | int, floor: float | int, result: torch.dtype) -> None:
    if not -torch.inf < s < torch.inf:
        raise InputError(f"expected a finite exponent s (0 for the logarithm), got {s}")
    # The value at coincident rows is (floor^2/2)^(-s/2); the derivative has one more power, and 1e6 is room for sums.
    most = torch.finfo(result).max / 1e6
    least = 2**0.5 * most ** (-1 / (s + 1)) if s > 0 else 0.0
    if floor < least:
        raise InputError(
            f"expected a floor of at least {least:.2g} for s={s:g} in {result}, got {floor:g}: "
            "the energy of coincident rows would overflow; raise the floor or use float64 weights"
        )
