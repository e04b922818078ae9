"""Label smoothing of plain logits, exact in the terminal phase."""

from torch import Tensor

from .._errors import InputError
from ._log_odds import above_mean, log_odds, rows_of_logits, softplus
from ._module import LogitLoss
from ._rows import Labels, RowOptions


def check_smoothing(smoothing: float) -> None:
    """Raise ``InputError`` unless the smoothing is a share in [0, 1)."""
    if not 0 <= smoothing < 1:
        raise InputError(f"expected a smoothing from 0 to below 1, got {smoothing}")


def label_smoothing(
    logits: Tensor,
    labels: Labels,
    *,
    smoothing: float = 0.1,
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy against labels of which a share :math:`\epsilon` is spread over all K classes (arXiv 1512.00567, section 7).

    .. math:: \ell = -(1 - \epsilon) \log p_y - \frac{\epsilon}{K} \sum_j \log p_j
                   = \log(1 + e^m) + \epsilon \Big(z_y - \frac1K \sum_j z_j\Big), \qquad
              m = \log\sum_{j \ne y} e^{z_j} - z_y

    The same function as ``torch.nn.functional.cross_entropy(..., label_smoothing=epsilon)``, by the last form, which keeps
    the digits of :math:`p_j` however small epsilon is.

    Range: from the entropy of the smoothed label, reached at finite logits with
    :math:`m = \log (\epsilon (K-1) / K) - \log (1 - \epsilon + \epsilon / K)`, up; :math:`\log K` at equal logits. Unlike
    cross-entropy it has a finite minimiser: collapse without ever growing logits (arXiv 2210.02192). The share is spread
    over the classes that are not masked with -inf (torch's loss is infinite there); without a wrong one, the loss is 0.

    Args:
        logits: ``(..., K)``, floating. Half precision is computed, and returned, in float32.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        smoothing: :math:`\epsilon` in ``[0, 1)``.
        reduction: ``"mean"`` over the samples that count, ``"sum"`` or ``"none"``.
        ignore_index: label of samples that neither count nor receive a gradient.
        sample_weights: ``(...)``, at least 0, by which the loss of each sample is multiplied; 0 leaves it out.
        class_weights: ``(K,)``, at least 0: likewise, by the label, the smoothed part included
            (torch weights that part by class).
        denominator: what ``"mean"`` divides by; None for the number of samples that count, or the sum of their weights.

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
    rows = rows_of_logits(logits, labels, ignore_index, sample_weights, class_weights)
    z, y = rows.take(logits), rows.labels
    losses = softplus(log_odds(z, y))
    if smoothing:
        losses = losses + smoothing * above_mean(z, y)
    return rows.reduce(losses, reduction, denominator)


class LabelSmoothing(LogitLoss):
    """Label-smoothed cross-entropy of a head's logits: ``loss(features, labels, head)``. See :func:`label_smoothing`.

    Example:
        >>> import torch, neucollapse.heads as heads
        >>> head = heads.Linear(3, 2)
        >>> LabelSmoothing(smoothing=0.1)(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]), head).shape
        torch.Size([])
    """

    title = "label smoothing"

    def __init__(
        self,
        *,
        smoothing: float = 0.1,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(reduction=reduction, ignore_index=ignore_index, class_weights=class_weights)
        check_smoothing(smoothing)
        self.smoothing = smoothing

    def of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        """The loss of logits ``(..., K)``."""
        return label_smoothing(logits, labels, smoothing=self.smoothing, **options)
