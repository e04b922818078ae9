"""Cross-entropy whose value and gradient stay exact however small the loss becomes."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .._errors import InputError
from .._types import Float, Int
from ._labels import check_labels, reduce

if TYPE_CHECKING:
    from ..heads import Head


def softplus(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    r""":math:`\log(1 + e^x)`, exact to rounding in value and in first and second derivative at every ``x``.

    ``torch.nn.functional.softplus`` is linear above 20, and second derivatives elsewhere are formed as ``1 - sigmoid``.
    """
    negative = x <= 0
    size = torch.where(negative, -x, x)  # |x|, with a derivative at 0 (where the max below has the other half)
    return torch.where(negative, torch.zeros_like(x), x) + torch.log1p(torch.exp(-size))


def negatives_logsumexp(logits: Float[Tensor, "n K"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    r""":math:`\log \sum_{j \ne y} e^{z_j}` of each row; -inf where the label is the only class."""
    return logits.scatter(1, labels[:, None], -torch.inf).logsumexp(dim=1)


def flat_logits(logits: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (n, K) and labels (n,), zero in rows that do not count, and the mask ``(...)``; half precision in float32."""
    if not logits.is_floating_point() or logits.dim() < 1 or logits.shape[-1] < 1:
        raise InputError(f"expected floating logits of shape (..., K), got {logits.dtype} of {tuple(logits.shape)}")
    K = logits.shape[-1]
    counted = check_labels(labels, logits.shape[:-1], K, ignore_index)
    z = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    # Masked rows, not a mask on the losses alone: 0 times the gradient of a NaN row would be NaN.
    z = z.reshape(-1, K).where(counted.reshape(-1, 1), 0)
    y = labels.where(counted, 0).reshape(-1).long()
    return z, y, counted


def cross_entropy(logits: Tensor, labels: Tensor, reduction: str = "mean", ignore_index: int = -100) -> Tensor:
    r"""Softmax cross-entropy, exact in the terminal phase.

    .. math:: \ell = -\log \frac{e^{z_y}}{\sum_j e^{z_j}} = \log(1 + e^m), \qquad m = \log\sum_{j \ne y} e^{z_j} - z_y

    The same function as ``torch.nn.functional.cross_entropy``, computed by the right-hand side. The target gradient
    is :math:`-\sigma(m)`, never :math:`p_y - 1`, so that it keeps its relative accuracy down to the smallest numbers
    of the type: about 1e-38 in float32, where the usual form is zero below 6e-8.

    Range: from 0, which only infinite logits reach, up; :math:`\log K` at equal logits.

    Args:
        logits: ``(..., K)``, floating. Half precision is computed, and returned, in float32.
        labels: ``(...)``, integers in ``[0, K)`` or ``ignore_index``.
        reduction: ``"mean"`` over the samples not ignored (NaN when there are none, as in torch), ``"sum"``
            or ``"none"``.
        ignore_index: label of samples that neither count nor receive a gradient, whatever their logits.

    Returns:
        A scalar, or the losses of shape ``(...)`` with 0 at ignored samples for ``"none"``.

    Raises:
        InputError: logits that are not floating or have no class dimension, labels of another shape, of a type that
            is not integer or outside ``[0, K)``, an unknown reduction.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[25.0, 0.0], [0.0, 0.0]], requires_grad=True)
        >>> loss = cross_entropy(logits, torch.tensor([0, 0]), reduction="sum")
        >>> loss.backward()
        >>> logits.grad[0]
        tensor([-1.3888e-11,  1.3888e-11])
    """
    z, y, counted = flat_logits(logits, labels, ignore_index)
    margin = negatives_logsumexp(z, y) - z.gather(1, y[:, None]).squeeze(1)
    losses = softplus(margin).reshape(labels.shape).where(counted, 0)
    return reduce(losses, counted, reduction)


class CrossEntropy(nn.Module):
    r"""Cross-entropy of a head's logits: ``loss(features, labels, head)``. See :func:`cross_entropy`.

    With a :class:`neucollapse.heads.Cosine` head this is the loss of the sphere, ``spherical_cross_entropy``.

    Args:
        ignore_index: label of samples that do not count.

    Example:
        >>> import torch, neucollapse.heads as heads
        >>> loss = CrossEntropy()
        >>> head = heads.Linear(3, 2, bias=False)
        >>> _ = torch.nn.init.zeros_(head.weight)
        >>> round(loss(torch.ones(4, 3), torch.tensor([0, 1, 0, 1]), head).item(), 4)  # log 2
        0.6931
    """

    def __init__(self, ignore_index: int = -100) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, features: Tensor, labels: Tensor, head: "Head | None" = None) -> Tensor:
        """Mean cross-entropy of ``head.logits(features)`` ``(..., K)`` against ``labels`` ``(...)``."""
        if head is None:
            raise InputError("cross-entropy expected a head, whose logits it compares with the labels, and got None")
        return cross_entropy(head.logits(features), labels, ignore_index=self.ignore_index)
