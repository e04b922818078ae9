"""Supervised contrastive loss without a matrix of all pairs: positives by class sums, the rest by tiles."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .._errors import InputError
from .._types import Float
from ._labels import check_labels
from ._unit_rows import unit_rows

if TYPE_CHECKING:
    from ..heads import Head

_TILE = 512  # rows: a tile of 1 MB in float32, which stays in cache
_SAFE_IN_FLOAT32 = 2 / 80  # temperatures at which exp(-2/temperature) and its inverse are normal numbers
_SAFE_IN_FLOAT64 = 2 / 600


def sup_con(
    features: Tensor, labels: Tensor, temperature: float | int = 0.1, reduction: str = "mean", ignore_index: int = -100
) -> Tensor:
    r"""Supervised contrastive loss (the form "out": the mean over positives stands outside the logarithm).

    .. math:: \ell_i = -\frac{1}{|P_i|} \sum_{p \in P_i} \log
              \frac{\exp(z_i \cdot z_p / \tau)}{\sum_{a \ne i} \exp(z_i \cdot z_a / \tau)}, \qquad z_i = x_i / |x_i|

    with :math:`P_i` the other samples of the label of i. A sample without any is no anchor: it counts only among the
    others. The sum over positives is :math:`z_i \cdot S_{y_i} - z_i \cdot z_i` with :math:`S_c` the sum of class c, and
    the sum below the logarithm is made by tiles, on the way back once more: memory is O(Bd) and a few tiles.

    Range: from 0 up. At collapse to a simplex of K classes with n samples each it is
    :math:`\log(n - 1 + (K-1) n e^{-K/((K-1)\tau)})`, the least possible for K <= d + 1.

    Unlike cross-entropy it is not near 0 at collapse unless classes are pairs, so values keep their digits. Its gradient
    there is a small tangential part of an almost radial vector, with an absolute error of about 1e-7 / temperature in
    float32.

    Args:
        features: ``(..., d)``, one row a sample or view of a sample; of any length, a zero row stays zero.
        labels: ``(...)``, integers or ``ignore_index``.
        temperature: :math:`\tau`, at least 0.0034; below 0.025 the pairs are computed in float64.
        reduction: ``"mean"`` over the anchors, ``"sum"`` or ``"none"``. The mean without any anchor is 0.
        ignore_index: label of samples that are left out altogether.

    Returns:
        A scalar, or the losses ``(...)`` with 0 where there is no anchor for ``"none"``; at least float32.

    Raises:
        InputError: features that are not floating ``(..., d)``, labels of another shape, not integer or negative, a
            temperature out of range, an unknown reduction.

    References:
        Khosla et al., "Supervised Contrastive Learning", arXiv 2004.11362, equation 2.

    Example:
        >>> import torch
        >>> x, y = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])  # two classes of two samples, collapsed
        >>> sup_con(x, y, temperature=0.5)  # log(1 + 2 e^-2)
        tensor(0.2395)
    """
    if not features.is_floating_point() or features.dim() < 1:
        raise InputError(f"expected floating features (..., d), got {features.dtype} of {tuple(features.shape)}")
    if not _SAFE_IN_FLOAT64 <= temperature < math.inf:
        raise InputError(f"expected a temperature of at least {_SAFE_IN_FLOAT64:.4f}, got {temperature}")
    counted = check_labels(labels, features.shape[:-1], 2**31 - 1, ignore_index)
    z = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
    z = unit_rows(z[counted])
    _, y, counts = labels[counted].unique(return_inverse=True, return_counts=True)
    losses = _losses(z, y, counts, temperature)
    anchors = counts[y] > 1
    if reduction == "none":
        return losses.new_zeros(labels.shape).masked_scatter(counted, losses)
    if reduction not in ("mean", "sum"):
        raise InputError(f"expected reduction 'mean', 'sum' or 'none', got {reduction!r}")
    return losses.sum() / anchors.sum().clamp(min=1) if reduction == "mean" else losses.sum()


def _losses(z: Float[Tensor, "B d"], y: Tensor, counts: Tensor, temperature: float | int) -> Float[Tensor, " B"]:
    """The loss of each sample, 0 for one without positives."""
    positives = counts[y] - 1
    # Not a product of matrices, so that autocast does not narrow it.
    sums = z.new_zeros(len(counts), z.shape[1]).index_add(0, y, z)
    mean = (z * (sums[y] - z)).sum(dim=1) / positives.clamp(min=1)
    wide = z if temperature >= _SAFE_IN_FLOAT32 else z.double()
    with torch.autocast(z.device.type, enabled=False):
        others = _OthersLogSumExp.apply(wide, temperature)
    return (others - mean / temperature).where(positives > 0, 0).to(z.dtype)


class _OthersLogSumExp(torch.autograd.Function):
    r""":math:`\log \sum_{a \ne i} e^{z_i \cdot z_a / \tau}` of unit rows, each pair of tiles formed once.

    The matrix is symmetric, so a tile serves its rows and its columns. Cosines are bounded, so the shift is
    :math:`1/\tau`, known beforehand. The backward is made of differentiable steps: second derivatives are right.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, temperature: float | int) -> Tensor:
        sums = z.new_zeros(len(z))
        for rows, columns in _tiles(len(z)):
            similarity = _exponentials(z, rows, columns, temperature)
            sums[rows] += similarity.sum(dim=1)
            if rows != columns:
                sums[columns] += similarity.sum(dim=0)
        result = sums.log() + 1 / temperature
        ctx.save_for_backward(z, result)
        ctx.temperature = temperature
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        z, result = ctx.saved_tensors
        # Where a row has no others, its sum is 0 and its gradient too.
        lonely = result.isinf()
        shares = (gradients[0] * torch.exp(1 / ctx.temperature - result.where(~lonely, 0))).where(~lonely, 0)
        gradient = torch.zeros_like(z)
        with torch.autocast(z.device.type, enabled=False):
            for rows, columns in _tiles(len(z)):
                pairs = _exponentials(z, rows, columns, ctx.temperature) * (shares[rows, None] + shares[columns])
                gradient[rows] += pairs @ z[columns]
                if rows != columns:
                    gradient[columns] += pairs.mT @ z[rows]
        return gradient / ctx.temperature, None


def _tiles(size: int) -> list[tuple[slice, slice]]:
    """Tiles of the upper triangle, those of the diagonal whole."""
    blocks = [slice(first, min(first + _TILE, size)) for first in range(0, size, _TILE)]
    return [(rows, columns) for i, rows in enumerate(blocks) for columns in blocks[i:]]


def _exponentials(
    z: Float[Tensor, "B d"], rows: slice, columns: slice, temperature: float | int
) -> Float[Tensor, "r c"]:
    r""":math:`e^{(z_i \cdot z_a - 1) / \tau}` of one tile, 0 for a sample with itself."""
    pairs = torch.exp((z[rows] @ z[columns].mT - 1) / temperature)
    return pairs - pairs.diagonal().diag_embed() if rows == columns else pairs


class SupCon(nn.Module):
    r"""Supervised contrastive loss: ``loss(features, labels)``. See :func:`sup_con`.

    A head given is not read: the loss shapes the features alone, and a head is fitted to them afterwards.

    Args:
        temperature: :math:`\tau`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        ignore_index: label of samples that do not count.

    Raises:
        InputError: when called, as :func:`sup_con`.

    Example:
        >>> import torch
        >>> loss = SupCon(temperature=0.1)
        >>> loss(torch.randn(8, 4), torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])).shape
        torch.Size([])
    """

    def __init__(self, temperature: float | int = 0.1, reduction: str = "mean", ignore_index: int = -100) -> None:
        super().__init__()
        self.temperature, self.reduction, self.ignore_index = temperature, reduction, ignore_index

    def forward(self, features: Tensor, labels: Tensor, head: "Head | None" = None) -> Tensor:  # noqa: ARG002
        """The loss of ``features`` ``(..., d)`` with ``labels`` ``(...)``."""
        return sup_con(features, labels, self.temperature, self.reduction, self.ignore_index)
