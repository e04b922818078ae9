"""Supervised contrastive loss without a matrix of all pairs: everything by tiles, pairs of one class in float64."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from .._errors import InputError
from .._names import names_options
from .._types import Float, Int
from ._log_odds import softplus
from ._module import HeadLike, Loss, ModuleOptions
from ._normalised import normalised
from ._rows import CountedRows, Labels, RowOptions, result_type

_ROWS = 128  # of a tile; few, as beside the diagonal it does both triangles
_COLUMNS = 16  # for each row, at most: 1 MB in float32
# No maximum is taken out: exponentials e^(1/temperature) of float64, and their sums over 1e40 samples, are normal numbers
# down to the second; down to the first those of float32 are, and have six digits.
_SAFE_IN_FLOAT32 = 1 / 40
LEAST_TEMPERATURE = 1 / 600


@names_options
def sup_con(
    features: Tensor, labels: Labels, *, temperature: float | int | Tensor = 0.1, **options: Unpack[RowOptions]
) -> Tensor:
    r"""Supervised contrastive loss (the form "out": the mean over positives stands outside the logarithm).

    $$ \ell_i = -\frac{1}{|P_i|} \sum_{p \in P_i} \log
       \frac{\exp(z_i \cdot z_p / \tau)}{\sum_{a \ne i} \exp(z_i \cdot z_a / \tau)}, \qquad z_i = x_i / |x_i| $$

    with $P_i$ the other samples of the label of i. A sample without any is no anchor: it counts only among the
    others. It is computed as two parts, each of which vanishes as its goal is reached,

    $$ \ell_i = \log |P_i| + \underbrace{\log \operatorname*{mean}_{p \in P_i} e^{t_{ip}}
       - \operatorname*{mean}_{p \in P_i} t_{ip}}_{\text{spread of the positives}}
       + \log\Big(1 + \sum_{a: y_a \ne y_i} e^{t_{ia}} \Big/ \sum_{p \in P_i} e^{t_{ip}}\Big),
       \qquad t_{ia} = z_i \cdot z_a / \tau $$

    The gradient of the first is made of differences $q_{ip} - 1/|P_i|$ of nearly equal shares: pairs of one class are
    therefore in float64, the others, formed without any difference, in the type of the features. All pairs are made by
    tiles, on the way back once more: memory is O(Bd) and a few tiles.

    Range: from 0 up. At collapse to a simplex of K classes with n samples each it is
    $\log(n - 1 + (K-1) n e^{-K/((K-1)\tau)})$, the least possible for K <= d + 1.

    Near collapse the gradient is the small tangential part of an almost radial vector: from float32 features its relative
    error is about 1e-7 over the distance of samples to their class mean.

    Args:
        features: `(..., d)`, one row a sample or view of a sample; of any length, a zero row stays zero.
        labels: `(...)`, of any integer type, from 0 up, or `ignore_index`.
        temperature: $\tau$, from 1/600 up, whatever the type of the features; a number or a scalar tensor, which may
            be trained. A number from 1/40 up has its pairs of two classes computed in float32 for float32 features; with
            smaller ones, and tensors, all pairs are in float64.
        **options: of every loss of samples, see `RowOptions`. The mean is over the anchors, and 0 without any. Ignored
            samples are left out altogether; those of weight 0 still count among the others.

    Returns:
        A scalar, or the losses `(...)` with 0 where there is no anchor for `"none"`; at least float32.

    Raises:
        InputError: features that are not floating `(..., d)`, labels of another shape, not integer or negative, a
            temperature out of range, an unknown reduction.

    References:
        Khosla et al., "Supervised Contrastive Learning", arXiv 2004.11362, equation 2.

    Examples:
        >>> import torch
        >>> x, y = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])  # two classes of two samples, collapsed
        >>> sup_con(x, y, temperature=0.5)  # log(1 + 2 e^-2)
        tensor(0.2395)
    """
    if not features.is_floating_point() or features.dim() < 1:
        raise InputError(f"expected floating features (..., d), got {features.dtype} of {tuple(features.shape)}")
    _check_temperature(temperature)
    rows = CountedRows(features, labels, None, options, coupled=True)
    result = result_type(features)
    _, y, counts = rows.labels.unique(return_inverse=True, return_counts=True)
    order = y.argsort()  # so that pairs of one class lie in a band beside the diagonal
    z = normalised(rows.take(features).index_select(0, order).double())
    narrow = not isinstance(temperature, Tensor) and temperature >= _SAFE_IN_FLOAT32
    losses = _losses(z, z.to(result) if narrow else z, y[order], counts, temperature)
    losses = torch.zeros_like(losses).index_copy(0, order, losses)
    return rows.reduce(losses, among=counts[y] > 1, empty=0.0).to(result)


def _check_temperature(temperature: float | int | Tensor) -> None:
    if isinstance(temperature, Tensor) and temperature.numel() != 1:
        raise InputError(f"expected a temperature that is one number, got shape {tuple(temperature.shape)}")
    value = float(temperature.detach() if isinstance(temperature, Tensor) else temperature)
    if not LEAST_TEMPERATURE <= value < torch.inf:
        raise InputError(f"expected a temperature of at least 1/600 = {LEAST_TEMPERATURE:.5f}, got {value}")


def _losses(
    z: Float[Tensor, "B d"],
    others: Float[Tensor, "B d"],
    y: Int[Tensor, " B"],
    counts: Int[Tensor, " C"],
    temperature: float | int | Tensor,
) -> Float[Tensor, " B"]:
    """The loss of each sample, 0 for one without positives; rows z in float64 and others in any type, sorted by label y."""
    anchor = counts[y] > 1
    number = (counts[y] - 1).clamp(min=1)
    # Class sums, of which a row is a part itself: that is taken out as a constant, because unit rows keep their length.
    sums = z.new_zeros(len(counts), z.shape[1]).index_add(0, y, z)
    itself = torch.linalg.vecdot(z.detach(), z.detach())
    mean = (torch.linalg.vecdot(z, sums.index_select(0, y)) - itself) / number / temperature
    # Both sides of a product take their share of the temperature, and its gradient.
    share = temperature**-0.5
    with torch.autocast(z.device.type, enabled=False):
        positives = _LogSumExp.apply(share * z, y, "positives").where(anchor, 0)
        negatives = _LogSumExp.apply((share * others).to(others.dtype), y, "negatives").double()
    spread = (positives - mean).where(number > 1, 0)  # of one positive exactly 0
    return (spread + softplus(negatives - positives)).where(anchor, 0)


class _LogSumExp(torch.autograd.Function):
    r"""$\log \sum_a e^{z_i \cdot z_a}$ over the positives, or over the negatives; -inf where there are none.

    The matrix is symmetric, so a tile serves its rows and its columns. Products are bounded, so no maximum is taken out.
    The backward is made of differentiable steps: second derivatives are right.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, y: Tensor, kind: str) -> Tensor:
        sums = z.new_zeros(len(z))
        for tile in _tiles(y, kind):
            pairs = _exponentials(z, y, tile, kind)
            sums[tile.rows] += pairs.sum(dim=1)
            sums[tile.mirrored] += pairs[:, tile.square :].sum(dim=0)
        lse = sums.log()
        ctx.save_for_backward(z, y, lse)
        ctx.kind = kind
        return lse

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        z, y, lse = ctx.saved_tensors
        some = lse > -torch.inf
        weights = gradients[0].where(some, 0) * (-lse.where(some, 0)).exp()
        gradient = torch.zeros_like(z)
        with torch.autocast(z.device.type, enabled=False):
            for tile in _tiles(y, ctx.kind):
                pairs = _exponentials(z, y, tile, ctx.kind)
                pairs = pairs * (weights[tile.rows, None] + weights[tile.columns])
                gradient[tile.rows].addmm_(pairs, z[tile.columns])
                gradient[tile.mirrored].addmm_(pairs[:, tile.square :].mT, z[tile.rows])
        return gradient, None, None


class _Tile(NamedTuple):
    """Rows and columns of the matrix of all pairs."""

    rows: slice
    columns: slice
    square: int  # leading columns that are rows of the tile too, where it has both triangles
    own: int  # leading columns that may share a label with a row

    @property
    def mirrored(self) -> slice:
        """The columns beyond the square, whose pairs count the other way round too."""
        return slice(self.columns.start + self.square, self.columns.stop)


def _tiles(y: Int[Tensor, " B"], kind: str) -> Iterator[_Tile]:
    """Tiles from the diagonal to the right that hold all pairs of the kind; labels y are sorted."""
    size = len(y)
    last = torch.arange(_ROWS - 1, size + _ROWS - 1, _ROWS, device=y.device).clamp(max=size - 1)
    ends = torch.searchsorted(y, y[last], right=True).tolist()  # of the class of the last row
    for first, end in zip(range(0, size, _ROWS), ends, strict=True):
        rows = slice(first, min(first + _ROWS, size))
        stop = end if kind == "positives" else size
        for start in range(first, stop, _COLUMNS * _ROWS):
            columns = slice(start, min(start + _COLUMNS * _ROWS, stop))
            yield _Tile(rows, columns, max(0, rows.stop - start), max(0, min(end, columns.stop) - start))


def _exponentials(z: Float[Tensor, "B d"], y: Int[Tensor, " B"], tile: _Tile, kind: str) -> Float[Tensor, "r c"]:
    r"""$e^{z_i \cdot z_a}$ of one tile, 0 for pairs of the other kind and a sample with itself."""
    pairs = z[tile.rows] @ z[tile.columns].mT
    rows, own = y[tile.rows, None], y[tile.columns][: tile.own]
    if kind == "positives":
        pairs = pairs.masked_fill_(rows != own, -torch.inf)
        pairs = pairs.fill_diagonal_(-torch.inf) if tile.square else pairs
    elif tile.own:
        pairs[:, : tile.own].masked_fill_(rows == own, -torch.inf)
    return pairs.exp_()


class SupCon(Loss):
    r"""Supervised contrastive loss: `loss(features, labels)`. See `sup_con`.

    A head given is not read: the loss shapes the features alone, and a head is fitted to them afterwards.

    Args:
        temperature: $\tau$; a `torch.nn.Parameter` is trained.
        **options: of every loss, see `ModuleOptions`.

    Examples:
        >>> import torch
        >>> loss = SupCon(temperature=0.1)
        >>> loss(torch.randn(8, 4), torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])).shape
        torch.Size([])
    """

    formula = "−mean over positives of log softmax(⟨x_i, x_p⟩ / τ) over all others"
    couples, source = "samples with samples", "arXiv 2004.11362, equation 2"

    def __init__(self, *, temperature: float | int | Tensor = 0.1, **options: Unpack[ModuleOptions]) -> None:
        super().__init__(**options)
        _check_temperature(temperature)
        self.temperature = temperature

    def _value(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> Tensor:
        del head
        return sup_con(features, labels, temperature=self.temperature, **options)
