r"""The logarithm of the loss: an objective that keeps pulling when the loss itself is 1e-26.

A loss of 1e-26 has gradients of 1e-26, exact but too small to move a float32 weight, so that cross-entropy stalls far from
its optimum at a small temperature. The logarithm has the same minimisers and a gradient of order one:

$$ \log \frac1n \sum_i \log(1 + e^{m_i}) = \log\sum_i e^{\lambda_i} - \log n, \qquad
   \lambda_i = \log \log (1 + e^{m_i}), \quad \frac{d\lambda}{dm} = \frac{\sigma(m)}{\log(1 + e^m)} $$

with $m_i = \log \sum_{j \ne y} e^{z_j} - z_y$. As $m \to -\infty$, $\lambda \to m$: in the terminal phase this is the soft
maximum of the margins themselves.
"""

from typing import Unpack

from torch import Tensor

from .._names import names_options
from ._log_odds import log_odds, log_softplus, rows_of_logits
from ._module import LogitLoss
from ._rows import Labels, RowOptions


@names_options
def log_cross_entropy(logits: Tensor, labels: Labels, **options: Unpack[RowOptions]) -> Tensor:
    r"""Logarithm of the mean cross-entropy, finite with a gradient of order one however small the loss is.

    Range: all reals; $\log \log K$ at equal logits; about the largest $m_i - \log n$ in the terminal phase, falling without
    bound as logits grow. It is not convex in the logits, and early in training no better than the loss. Where no wrong class
    has mass in any sample (K = 1, all others masked) the loss is 0, its logarithm -inf, and the gradient 0.

    Args:
        logits: `(..., K)`, floating. Half precision is computed, and returned, in float32.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        **options: of every loss of samples, see `RowOptions`; a reduction is the logarithm of that of the loss.

    Returns:
        A scalar, NaN for the mean when no sample counts; or `(...)`, with -inf, the logarithm of 0, at ignored samples.

    Examples:
        >>> import torch
        >>> logits = torch.tensor([[0.0, -1000.0]], requires_grad=True)  # a loss of e^-1000
        >>> value = log_cross_entropy(logits, torch.tensor([0]))
        >>> value.backward()
        >>> value.item(), logits.grad.tolist()
        (-1000.0, [[-1.0, 1.0]])
    """
    rows = rows_of_logits(logits, labels, options)
    return rows.log_reduce(log_softplus(log_odds(rows.take(logits), rows.labels)))


class LogCrossEntropy(LogitLoss):
    """The logarithm of a head's cross-entropy: `loss(features, labels, head)`. See `log_cross_entropy`.

    The losses of the sphere have it as `reduction="log_mean"`, with their margins.

    Examples:
        >>> import torch, neucollapse.heads as heads
        >>> head = heads.Cosine(2, 2, scale=500.0)
        >>> _ = head.weight.data.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        >>> LogCrossEntropy()(torch.tensor([[3.0, 0.0]]), torch.tensor([0]), head).item()
        -1000.0
    """

    title = "the log objective"
    formula, couples, source = "log of the mean of log(1 + e^m)", "all samples of the batch, by the worst", "—"

    def _of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        return log_cross_entropy(logits, labels, **options)
