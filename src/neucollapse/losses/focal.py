"""The focal loss, exact in the terminal phase."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from .._errors import InputError
from .._types import Float
from ._labels import reduce
from ._log_odds import log_odds
from .cross_entropy import softplus

if TYPE_CHECKING:
    from ..heads import Head


def check_gamma(gamma: float) -> None:
    """Raise ``InputError`` for an exponent that no focal loss has."""
    if not 0 <= gamma < float("inf"):
        raise InputError(f"expected a focal exponent gamma of at least 0, got {gamma}")


def focal_factor(m: Float[Tensor, "*n"], gamma: float) -> Float[Tensor, "*n"]:
    r""":math:`(1 - p_y)^\gamma = \sigma(m)^\gamma`, through the logarithm of the odds m, so that nothing is subtracted from 1."""
    return (-gamma * softplus(-m)).exp()


def focal_loss(
    logits: Tensor, labels: Tensor, gamma: float = 2.0, reduction: str = "mean", ignore_index: int = -100
) -> Tensor:
    r"""Cross-entropy that turns away from samples already right (arXiv 1708.02002, equation 4, over K classes).

    .. math:: \ell = -(1 - p_y)^\gamma \log p_y = \sigma(m)^\gamma \log(1 + e^m), \qquad
              m = \log\sum_{j \ne y} e^{z_j} - z_y

    Range: from 0 up; :math:`(1 - 1/K)^\gamma \log K` at equal logits. In the terminal phase it falls as
    :math:`e^{(1 + \gamma) m}`, and so does its gradient, each to the last digit; its collapse is that of cross-entropy.

    Args:
        logits: ``(..., K)``, floating. Half precision is computed, and returned, in float32.
        labels: ``(...)``, integers in ``[0, K)`` or ``ignore_index``.
        gamma: the focusing exponent, at least 0; 0 is cross-entropy.
        reduction: ``"mean"`` over the samples that count, ``"sum"`` or ``"none"``.
        ignore_index: label of samples that neither count nor receive a gradient.

    Returns:
        A scalar, or losses of shape ``(...)``.

    Raises:
        InputError: as ``cross_entropy``, and for a gamma below 0.

    Example:
        >>> import torch
        >>> loss = focal_loss(torch.tensor([[20.0, 0.0]]), torch.tensor([0]))  # e^-60
        >>> print(f"{loss.item():.4e}")
        8.7565e-27
    """
    check_gamma(gamma)
    m, _, counted = log_odds(logits, labels, ignore_index)
    losses = (focal_factor(m, gamma) * softplus(m)).reshape(labels.shape).where(counted, 0)
    return reduce(losses, counted, reduction)


class FocalLoss(nn.Module):
    """Focal loss of a head's logits: ``loss(features, labels, head)``. See :func:`focal_loss`.

    Example:
        >>> import torch, neucollapse.heads as heads
        >>> head = heads.Linear(3, 2)
        >>> FocalLoss(gamma=1.0)(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]), head).shape
        torch.Size([])
    """

    def __init__(self, gamma: float = 2.0, ignore_index: int = -100) -> None:
        super().__init__()
        check_gamma(gamma)
        self.gamma = gamma
        self.ignore_index = ignore_index

    def forward(self, features: Tensor, labels: Tensor, head: "Head | None" = None) -> Tensor:
        """Mean focal loss of ``head.logits(features)`` ``(..., K)`` against ``labels`` ``(...)``."""
        if head is None:
            raise InputError("the focal loss expected a head, whose logits it compares with labels, and got None")
        return focal_loss(head.logits(features), labels, self.gamma, ignore_index=self.ignore_index)
