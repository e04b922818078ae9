"""Cross-entropy whose value and gradient stay exact however small the loss becomes."""

from torch import Tensor

from ._log_odds import log_odds, rows_of_logits
from ._log_odds import negatives_logsumexp as negatives_logsumexp
from ._log_odds import softplus as softplus
from ._module import LogitLoss
from ._rows import Labels, RowOptions


def cross_entropy(
    logits: Tensor,
    labels: Labels,
    *,
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""Softmax cross-entropy, exact in the terminal phase.

    .. math:: \ell = -\log \frac{e^{z_y}}{\sum_j e^{z_j}} = \log(1 + e^m), \qquad m = \log\sum_{j \ne y} e^{z_j} - z_y

    The same function as ``torch.nn.functional.cross_entropy``, computed by the right-hand side. The target gradient
    is :math:`-\sigma(m)`, never :math:`p_y - 1`, so that it keeps its relative accuracy down to the smallest numbers
    of the type: about 1e-38 in float32, where the usual form is zero below 6e-8. What all logits have in common costs no
    digits.

    Range: from 0, which only infinite logits reach, up; :math:`\log K` at equal logits. A class masked with a logit of
    -inf is no class; where no wrong class is left, or K = 1, loss and gradient are 0; where the label is masked, +inf.

    Args:
        logits: ``(..., K)``, floating. Half precision is computed, and returned, in float32.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        reduction: ``"mean"`` over the samples not ignored (NaN when there are none, as in torch), ``"sum"``
            or ``"none"``.
        ignore_index: label of samples that neither count nor receive a gradient, whatever their logits.
        sample_weights: ``(...)``, at least 0, by which the loss of each sample is multiplied; 0 leaves it out.
        class_weights: ``(K,)``, at least 0: likewise, by the label.
        denominator: what ``"mean"`` divides by; None for the number of samples that count, or the sum of their weights.

    Returns:
        A scalar, or the losses of shape ``(...)`` with 0 at ignored samples for ``"none"``.

    Raises:
        InputError: logits that are not floating or have no class dimension, labels of another shape, of a type that
            is not integer or outside ``[0, K)``, negative weights, an unknown reduction.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[25.0, 0.0], [0.0, 0.0]], requires_grad=True)
        >>> loss = cross_entropy(logits, torch.tensor([0, 0]), reduction="sum")
        >>> loss.backward()
        >>> logits.grad[0]
        tensor([-1.3888e-11,  1.3888e-11])
    """
    rows = rows_of_logits(logits, labels, ignore_index, sample_weights, class_weights)
    losses = softplus(log_odds(rows.take(logits), rows.labels))
    return rows.reduce(losses, reduction, denominator)


class CrossEntropy(LogitLoss):
    r"""Cross-entropy of a head's logits: ``loss(features, labels, head)``. See :func:`cross_entropy`.

    With a :class:`neucollapse.heads.Cosine` head this is the loss of the sphere, ``spherical_cross_entropy``.

    Args:
        ignore_index: label of samples that do not count.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        class_weights: ``(K,)``, or None; weights of samples and a denominator are given at each call.

    Example:
        >>> import torch, neucollapse.heads as heads
        >>> loss = CrossEntropy()
        >>> head = heads.Linear(3, 2, bias=False)
        >>> _ = torch.nn.init.zeros_(head.weight)
        >>> round(loss(torch.ones(4, 3), torch.tensor([0, 1, 0, 1]), head).item(), 4)  # log 2
        0.6931
    """

    title = "cross-entropy"

    def __init__(
        self,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(reduction=reduction, ignore_index=ignore_index, class_weights=class_weights)

    def of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        """The loss of logits ``(..., K)``."""
        return cross_entropy(logits, labels, **options)
