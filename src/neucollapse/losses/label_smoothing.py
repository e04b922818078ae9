"""Label smoothing of plain logits, exact in the terminal phase."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from .._errors import InputError
from ._labels import reduce
from ._log_odds import log_odds
from .cross_entropy import softplus

if TYPE_CHECKING:
    from ..heads import Head


def check_smoothing(smoothing: float) -> None:
    """Raise ``InputError`` unless the smoothing is a share in [0, 1)."""
    if not 0 <= smoothing < 1:
        raise InputError(f"expected a smoothing from 0 to below 1, got {smoothing}")


def label_smoothing(
    logits: Tensor, labels: Tensor, smoothing: float = 0.1, reduction: str = "mean", ignore_index: int = -100
) -> Tensor:
    r"""Cross-entropy against labels of which a share :math:`\epsilon` is spread over all K classes (arXiv 1512.00567, section 7).

    .. math:: \ell = -(1 - \epsilon) \log p_y - \frac{\epsilon}{K} \sum_j \log p_j
                   = \log(1 + e^m) + \epsilon \Big(z_y - \frac1K \sum_j z_j\Big), \qquad
              m = \log\sum_{j \ne y} e^{z_j} - z_y

    The same function as ``torch.nn.functional.cross_entropy(..., label_smoothing=epsilon)``, by the last form, which keeps
    the digits of :math:`p_j` however small epsilon is.

    Range: from the entropy of the smoothed label, reached at finite logits with
    :math:`m = \log (\epsilon (K-1) / K) - \log (1 - \epsilon + \epsilon / K)`, up; :math:`\log K` at equal logits. Unlike
    cross-entropy it has a finite minimiser: collapse without ever growing logits (arXiv 2210.02192).

    Args:
        logits: ``(..., K)``, floating. Half precision is computed, and returned, in float32.
        labels: ``(...)``, integers in ``[0, K)`` or ``ignore_index``.
        smoothing: :math:`\epsilon` in ``[0, 1)``.
        reduction: ``"mean"`` over the samples that count, ``"sum"`` or ``"none"``.
        ignore_index: label of samples that neither count nor receive a gradient.

    Returns:
        A scalar, or losses of shape ``(...)``.

    Raises:
        InputError: as ``cross_entropy``, and for a smoothing outside ``[0, 1)``.

    Example:
        >>> import torch
        >>> round(label_smoothing(torch.zeros(1, 3), torch.tensor([0])).item(), 4)  # log 3
        1.0986
    """
    check_smoothing(smoothing)
    m, above_mean, counted = log_odds(logits, labels, ignore_index)
    losses = softplus(m) + smoothing * above_mean if smoothing else softplus(m)  # 0 times an infinite logit is NaN
    return reduce(losses.reshape(labels.shape).where(counted, 0), counted, reduction)


class LabelSmoothing(nn.Module):
    """Label-smoothed cross-entropy of a head's logits: ``loss(features, labels, head)``. See :func:`label_smoothing`.

    Example:
        >>> import torch, neucollapse.heads as heads
        >>> head = heads.Linear(3, 2)
        >>> LabelSmoothing(0.1)(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]), head).shape
        torch.Size([])
    """

    def __init__(self, smoothing: float = 0.1, ignore_index: int = -100) -> None:
        super().__init__()
        check_smoothing(smoothing)
        self.smoothing = smoothing
        self.ignore_index = ignore_index

    def forward(self, features: Tensor, labels: Tensor, head: "Head | None" = None) -> Tensor:
        """Mean smoothed loss of ``head.logits(features)`` ``(..., K)`` against ``labels`` ``(...)``."""
        if head is None:
            raise InputError("label smoothing expected a head, whose logits it compares with labels, and got None")
        return label_smoothing(head.logits(features), labels, self.smoothing, ignore_index=self.ignore_index)
