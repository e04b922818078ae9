r"""The logarithm of the loss: an objective that keeps pulling when the loss itself is 1e-26.

A loss of 1e-26 has gradients of 1e-26, exact but too small to move a float32 weight, so that cross-entropy stalls far from
its optimum at a small temperature. The logarithm has the same minimisers and a gradient of order one:

.. math:: \log \frac1n \sum_i \log(1 + e^{m_i}) = \log\sum_i e^{\lambda_i} - \log n, \qquad
          \lambda_i = \log \log (1 + e^{m_i}), \quad \frac{d\lambda}{dm} = \frac{\sigma(m)}{\log(1 + e^m)}

with :math:`m_i = \log \sum_{j \ne y} e^{z_j} - z_y`. As :math:`m \to -\infty`, :math:`\lambda \to m`: in the
terminal phase this is the soft maximum of the margins themselves.
"""

import torch
from torch import Tensor

from .._types import Float
from ._log_odds import log_odds, rows_of_logits, softplus
from ._module import LogitLoss
from ._rows import Labels, RowOptions


def log_softplus(m: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    r""":math:`\log \log (1 + e^m)` with relative accuracy at every m, however negative, and a gradient in (0, 1]."""
    # Where t = e^m is small, log1p(t) / t = 1 - t/2 + t^2/3 - ..., whose logarithm is cut where it is below rounding.
    small = m.detach().exp() < torch.finfo(m.dtype).eps ** (1 / 3)
    t = m.where(small, 0).exp()
    series = m - t / 2 + 5 / 24 * t * t
    return series.where(small, softplus(m.where(~small, 0)).log())


def log_cross_entropy(
    logits: Tensor,
    labels: Labels,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""Logarithm of the mean cross-entropy, finite with a gradient of order one however small the loss is.

    Range: all reals; :math:`\log \log K` at equal logits; about the largest :math:`m_i - \log n` in the terminal phase, falling
    without bound as logits grow. It is not convex in the logits, and early in training no better than the loss. Where no wrong
    class has mass in any sample (K = 1, all others masked) the loss is 0, its logarithm -inf, and the gradient 0.

    Args:
        logits: ``(..., K)``, floating. Half precision is computed, and returned, in float32.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        ignore_index: label of samples that neither count nor receive a gradient.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``: the logarithm of what it is for the loss.
        sample_weights: ``(...)``, at least 0, by which the loss of each sample is multiplied; 0 leaves it out.
        class_weights: ``(K,)``, at least 0: likewise, by the label.
        denominator: what ``"mean"`` divides by; None for the number of samples that count, or the sum of their weights.

    Returns:
        A scalar, NaN for the mean when no sample counts; or ``(...)``, with -inf, the logarithm of 0, at ignored samples.

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
    rows = rows_of_logits(logits, labels, ignore_index, sample_weights, class_weights)
    return rows.log_reduce(log_softplus(log_odds(rows.take(logits), rows.labels)), reduction, denominator)


class LogCrossEntropy(LogitLoss):
    """The logarithm of a head's cross-entropy: ``loss(features, labels, head)``. See :func:`log_cross_entropy`.

    The losses of the sphere have it as ``reduction="log_mean"``, with their margins.

    Example:
        >>> import torch, neucollapse.heads as heads
        >>> head = heads.Cosine(2, 2, scale=500.0)
        >>> _ = head.weight.data.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        >>> LogCrossEntropy()(torch.tensor([[3.0, 0.0]]), torch.tensor([0]), head).item()
        -1000.0
    """

    title = "the log objective"

    def __init__(
        self,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(reduction=reduction, ignore_index=ignore_index, class_weights=class_weights)

    def of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        """The logarithm of the loss of logits ``(..., K)``."""
        return log_cross_entropy(logits, labels, **options)
