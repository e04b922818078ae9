"""HardMax: the largest lead that a wrong class has over the right one."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .._errors import InputError
from .._types import Float, Int
from ._anchors import anchored_rows
from ._directions import DirectionLoss
from ._rows import Labels, check_no_denominator, check_reduction
from ._unit_rows import unit_rows

if TYPE_CHECKING:
    from ..heads import Head

_TILE = 2**19  # cosines of all samples with a block of classes: 2 MB in float32


REDUCTIONS = ("max", "mean", "sum", "none")


def hard_max(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    reduction: str = "max",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""The HardMax problem's loss: the largest gap of cosines by which a wrong class leads.

    .. math:: L = \max_i \max_{j \ne y_i} \langle \hat w_j - \hat w_{y_i}, \hat x_i \rangle

    It is what cross-entropy of cosines is about at a small temperature :math:`\tau = 1/s`: where all samples are on their
    side,

    .. math:: L - \tau \log 2n \le \tau \log \frac1n \sum_i \ell_i \le L + \tau \log (K - 1) \qquad (L < 0)

    with :math:`\ell_i` the loss of ``norm_face``; as :math:`\tau \to 0` the two agree. (Where a sample is on the wrong side,
    the middle tends to 0, not to L.)

    Range: from minus the best one-vs-rest margin of K classes in d dimensions, reached by softmax codes, to 2. That margin is
    :math:`K/(K-1)` at the simplex (K <= d + 1) and 1 up to K = 2d; see ``neucollapse.geometry.best_code``.

    The gradient is a subgradient: that of one closest wrong class a sample and, with ``"max"``, of one sample. It does not
    fade near the optimum, where the pair changes from step to step: let the step size decay. Memory is O(B d) and a tile.

    Args:
        features: ``(..., d)``, of any length.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        weight: ``(K, d)``, K >= 2, one row a class, of any length.
        reduction: ``"max"`` over the samples, the problem itself; ``"mean"``, the mean of each sample's largest gap (NaN
            without any sample), ``"sum"`` or ``"none"``. The maximum of no sample is 0.
        ignore_index: label of samples that do not count, whatever their features.
        sample_weights: ``(...)``, at least 0, by which the gap of each sample is multiplied; not with ``"max"``.
        class_weights: ``(K,)``, at least 0: likewise, by the label.
        denominator: what ``"mean"`` divides by; None for the number of samples that count, or the sum of their weights.

    Returns:
        A scalar, or gaps ``(...)`` with 0 at ignored samples for ``"none"``; at least float32.

    Raises:
        InputError: shapes that do not fit, a single class, labels out of range, an unknown reduction.

    References:
        Jiang et al., "Generalized Neural Collapse for a Large Number of Classes", arXiv 2310.05351; their code multiplies the
        maximum over the batch with 100.

    Example:
        >>> import torch
        >>> code = torch.tensor([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]])
        >>> round(hard_max(code, torch.arange(3), code).item(), 4)  # -K/(K-1)
        -1.5
    """
    rows = anchored_rows(features, weight, labels, ignore_index, sample_weights, class_weights)
    if len(weight) < 2:
        raise InputError(f"expected a weight of at least two classes, got {tuple(weight.shape)}")
    check_reduction(reduction, REDUCTIONS)
    if reduction == "max" and rows.weights is not None:
        raise InputError(
            "expected weights with reduction 'mean', 'sum' or 'none': the largest gap is that of one sample"
        )
    result = torch.promote_types(torch.promote_types(features.dtype, weight.dtype), torch.float32)
    x, W, y = unit_rows(rows.take(features).to(result)), weight.to(result), rows.labels
    rival = _closest_wrong_class(x.detach(), W.detach(), y)
    # The two rows are subtracted first: near classes keep their digits.
    gaps = ((unit_rows(W.index_select(0, rival)) - unit_rows(W.index_select(0, y))) * x).sum(dim=1)
    if reduction == "max":
        check_no_denominator(reduction, denominator)
        return gaps.max() if len(gaps) else gaps.sum()
    return rows.reduce(gaps, reduction, denominator)


def _closest_wrong_class(
    x: Float[Tensor, "n d"], weight: Float[Tensor, "K d"], labels: Int[Tensor, " n"]
) -> Int[Tensor, " n"]:
    """The wrong class of largest cosine for each sample; the first of several."""
    best, rival = x.new_full((len(x),), -torch.inf), torch.zeros_like(labels)
    block = max(1, _TILE // max(1, len(x)))
    with torch.autocast(x.device.type, enabled=False):
        for start in range(0, len(weight), block):
            U = unit_rows(weight[start : start + block])
            own = labels[:, None] == torch.arange(start, start + len(U), device=x.device)
            largest, place = (x @ U.mT).masked_fill(own, -torch.inf).max(dim=1)
            rival = torch.where(largest > best, start + place, rival)
            best = torch.maximum(best, largest)
    return rival


class HardMax(DirectionLoss):
    """HardMax: ``loss(features, labels, head=None)``. See :func:`hard_max`.

    Without a head it owns class directions, ``.weight`` ``(num_classes, dim)``, a parameter to be optimised; with one it uses
    ``head.weight``. A head's scale is not read.

    Args:
        dim: d, and ``num_classes``: K, of a weight of its own; neither, and a head is required.
        num_classes: see ``dim``.
        reduction: ``"max"``, ``"mean"``, ``"sum"`` or ``"none"``.
        ignore_index: label of samples that do not count.
        class_weights: ``(K,)``, or None; weights of samples and a denominator are given at each call.

    Example:
        >>> import torch
        >>> loss = HardMax(dim=3, num_classes=10)
        >>> loss.weight.shape, loss(torch.randn(4, 3), torch.tensor([0, 1, 2, 9])).shape
        (torch.Size([10, 3]), torch.Size([]))
    """

    reductions = REDUCTIONS

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        reduction: str = "max",
        ignore_index: int = -100,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(dim, num_classes, reduction=reduction, ignore_index=ignore_index, class_weights=class_weights)

    def forward(
        self,
        features: Tensor,
        labels: Labels,
        head: "Head | None" = None,
        *,
        sample_weights: Tensor | None = None,
        denominator: float | int | Tensor | None = None,
    ) -> Tensor:
        """The loss of features ``(..., d)`` with labels ``(...)``."""
        options = self.row_options(sample_weights, denominator)
        return hard_max(features, labels, self.directions(head), **options)

    def extra_repr(self) -> str:
        """Sizes and reduction, for ``repr``."""
        size = "" if self.weight is None else f"dim={self.weight.shape[1]}, num_classes={self.weight.shape[0]}, "
        return f"{size}reduction={self.reduction}"
