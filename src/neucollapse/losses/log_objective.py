r"""The logarithm of the loss: an objective that keeps pulling when the loss itself is 1e-26.

A loss of 1e-26 has gradients of 1e-26, exact but too small to move a float32 weight, so that cross-entropy stalls far from
its optimum at a small temperature. The logarithm has the same minimisers and a gradient of order one:

.. math:: \log \frac1n \sum_i \log(1 + e^{m_i}) = \log\sum_i e^{\lambda_i} - \log n, \qquad
          \lambda_i = \log \log (1 + e^{m_i}), \quad \frac{d\lambda}{dm} = \frac{\sigma(m)}{\log(1 + e^m)}

with :math:`m_i = \log \sum_{j \ne y} e^{z_j} - z_y`. As :math:`m \to -\infty`, :math:`\lambda \to m`: in the
terminal phase this is the soft maximum of the margins themselves.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .._errors import InputError
from .._types import Bool, Float
from ._log_odds import log_odds
from .cross_entropy import softplus

if TYPE_CHECKING:
    from ..heads import Head


def log_softplus(m: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    r""":math:`\log \log (1 + e^m)` with relative accuracy at every m, however negative, and a gradient in (0, 1]."""
    # Where t = e^m is small, log1p(t) / t = 1 - t/2 + t^2/3 - ..., whose logarithm is cut where it is below rounding.
    small = m.detach().exp() < torch.finfo(m.dtype).eps ** (1 / 3)
    t = m.where(small, 0).exp()
    series = m - t / 2 + 5 / 24 * t * t
    return series.where(small, softplus(m.where(~small, 0)).log())


def log_mean(log_losses: Float[Tensor, " n"], counted: Bool[Tensor, " n"]) -> Float[Tensor, ""]:
    """Logarithm of the mean of the losses of the samples that count, from their logarithms; NaN when there are none."""
    some = counted.any()  # without any, the gradient of a logsumexp of nothing but -inf would be NaN for all
    values = log_losses.where(counted, -torch.inf).where(some, 0)
    # Logarithms of -1e4 are rounded to 1e-3; what is summed is their difference to the largest, which is not.
    largest = values.detach().amax() if len(values) else values.new_zeros(())
    total = (values - largest).logsumexp(dim=0) + largest
    return (total - counted.sum().to(total.dtype).log()).where(some, torch.nan)


def log_cross_entropy(logits: Tensor, labels: Tensor, ignore_index: int = -100) -> Tensor:
    r"""Logarithm of the mean cross-entropy, finite with a gradient of order one however small the loss is.

    Range: all reals; :math:`\log \log K` at equal logits; about the largest :math:`m_i - \log n` in the terminal phase, falling
    without bound as logits grow. It is not convex in the logits, and early in training no better than the loss.

    Args:
        logits: ``(..., K)``, floating. Half precision is computed, and returned, in float32.
        labels: ``(...)``, integers in ``[0, K)`` or ``ignore_index``.
        ignore_index: label of samples that do not count.

    Returns:
        A scalar; NaN when no sample counts, as the mean is.

    Raises:
        InputError: as ``cross_entropy``.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.0, -1000.0]], requires_grad=True)  # a loss of e^-1000
        >>> value = log_cross_entropy(logits, torch.tensor([0]))
        >>> value.backward()
        >>> value.item(), logits.grad.tolist()
        (-1000.0, [[-1.0, 1.0]])
    """
    m, _, counted = log_odds(logits, labels, ignore_index)
    return log_mean(log_softplus(m), counted.reshape(-1))


class LogCrossEntropy(nn.Module):
    """The logarithm of a head's cross-entropy: ``loss(features, labels, head)``. See :func:`log_cross_entropy`.

    The losses of the sphere have it as ``reduction="log_mean"``, with their margins.

    Example:
        >>> import torch, neucollapse.heads as heads
        >>> head = heads.Cosine(2, 2, scale=500.0)
        >>> _ = head.weight.data.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        >>> LogCrossEntropy()(torch.tensor([[3.0, 0.0]]), torch.tensor([0]), head).item()
        -1000.0
    """

    def __init__(self, ignore_index: int = -100) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, features: Tensor, labels: Tensor, head: "Head | None" = None) -> Tensor:
        """Log of the mean cross-entropy of ``head.logits(features)`` ``(..., K)`` against ``labels`` ``(...)``."""
        if head is None:
            raise InputError("the log objective expected a head, whose logits it compares with labels, and got None")
        return log_cross_entropy(head.logits(features), labels, self.ignore_index)
