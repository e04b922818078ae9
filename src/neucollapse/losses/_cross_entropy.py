"""Cross-entropy whose value and gradient stay exact however small the loss becomes."""

from typing import Unpack

from torch import Tensor

from .._names import names_options
from ._log_odds import log_odds, rows_of_logits, softplus
from ._module import LogitLoss
from ._rows import Labels, RowOptions


@names_options
def cross_entropy(logits: Tensor, labels: Labels, **options: Unpack[RowOptions]) -> Tensor:
    r"""Softmax cross-entropy, exact in the terminal phase.

    $$ \ell = -\log \frac{e^{z_y}}{\sum_j e^{z_j}} = \log(1 + e^m), \qquad m = \log\sum_{j \ne y} e^{z_j} - z_y $$

    The same function as `torch.nn.functional.cross_entropy`, computed by the right-hand side. The target gradient is
    $-\sigma(m)$, never $p_y - 1$, so that it keeps its relative accuracy down to the smallest numbers of the type: about
    1e-38 in float32, where the usual form is zero below 6e-8. A number added to all logits costs no digits.

    Range: from 0, which only infinite logits reach, up; $\log K$ at equal logits. A class masked with a logit of -inf is
    no class; where no wrong class is left, or K = 1, loss and gradient are 0; where the label is masked, +inf.

    Args:
        logits: `(..., K)`, floating. Half precision is computed, and returned, in float32.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        **options: of every loss of samples, see `RowOptions`. What does not fit raises an `InputError`.

    Examples:
        >>> import torch
        >>> logits = torch.tensor([[25.0, 0.0], [0.0, 0.0]], requires_grad=True)
        >>> loss = cross_entropy(logits, torch.tensor([0, 0]), reduction="sum")
        >>> loss.backward()
        >>> logits.grad[0]
        tensor([-1.3888e-11,  1.3888e-11])
    """
    rows = rows_of_logits(logits, labels, options)
    return rows.reduce(softplus(log_odds(rows.take(logits), rows.labels)))


class CrossEntropy(LogitLoss):
    """Cross-entropy of a head's logits: `loss(features, labels, head)`. See `cross_entropy`.

    With a `Cosine` head this is the loss of the sphere, `norm_face`.

    Examples:
        >>> import torch, neucollapse.heads as heads
        >>> loss = CrossEntropy()
        >>> head = heads.Linear(3, 2, bias=False)
        >>> _ = torch.nn.init.zeros_(head.weight)
        >>> round(loss(torch.ones(4, 3), torch.tensor([0, 1, 0, 1]), head).item(), 4)  # log 2
        0.6931
    """

    title = "cross-entropy"
    formula, couples, source = "log(1 + e^m)", "a sample with all classes", "—"

    def _of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        return cross_entropy(logits, labels, **options)
