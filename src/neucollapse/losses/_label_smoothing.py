"""Label smoothing of plain logits, exact in the terminal phase."""

from typing import Unpack

from torch import Tensor

from .._errors import InputError
from .._names import names_options
from ._log_odds import above_mean, log_odds, rows_of_logits, softplus
from ._module import LogitLoss, ModuleOptions
from ._rows import Labels, RowOptions


def check_smoothing(smoothing: float) -> None:
    """Raise `InputError` unless the smoothing is a share in [0, 1)."""
    if not 0 <= smoothing < 1:
        raise InputError(f"expected a smoothing from 0 to below 1, got {smoothing}")


@names_options
def label_smoothing(logits: Tensor, labels: Labels, *, smoothing: float = 0.1, **options: Unpack[RowOptions]) -> Tensor:
    r"""Cross-entropy against labels of which a share $\epsilon$ is spread over all K classes (arXiv 1512.00567, section 7).

    $$ \ell = -(1 - \epsilon) \log p_y - \frac{\epsilon}{K} \sum_j \log p_j
            = \log(1 + e^m) + \epsilon \Big(z_y - \frac1K \sum_j z_j\Big), \qquad m = \log\sum_{j \ne y} e^{z_j} - z_y $$

    The same function as `torch.nn.functional.cross_entropy(..., label_smoothing=epsilon)`, by the last form, which keeps
    the digits of $p_j$ however small epsilon is.

    Range: from the entropy of the smoothed label, reached at finite logits with
    $m = \log (\epsilon (K-1) / K) - \log (1 - \epsilon + \epsilon / K)$, up; $\log K$ at equal logits. Unlike cross-entropy it
    has a finite minimiser: collapse without ever growing logits (arXiv 2210.02192). The share is spread over the classes
    that are not masked with -inf (torch's loss is infinite there); without a wrong one, the loss is 0.

    Args:
        logits: `(..., K)`, floating. Half precision is computed, and returned, in float32.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        smoothing: $\epsilon$ in `[0, 1)`, else an `InputError`.
        **options: of every loss of samples, see `RowOptions`. Class weights multiply the smoothed part too (torch weights
            that part by class).

    Examples:
        >>> import torch
        >>> round(label_smoothing(torch.zeros(1, 3), torch.tensor([0])).item(), 4)  # log 3
        1.0986
    """
    check_smoothing(smoothing)
    rows = rows_of_logits(logits, labels, options)
    z, y = rows.take(logits), rows.labels
    losses = softplus(log_odds(z, y))
    return rows.reduce(losses + smoothing * above_mean(z, y) if smoothing else losses)


class LabelSmoothing(LogitLoss):
    """Label-smoothed cross-entropy of a head's logits: `loss(features, labels, head)`. See `label_smoothing`.

    Examples:
        >>> import torch, neucollapse.heads as heads
        >>> LabelSmoothing(smoothing=0.1)(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]), heads.Linear(3, 2)).shape
        torch.Size([])
    """

    title = "label smoothing"
    formula, couples, source = (
        "log(1 + e^m) + ε (z_y − mean z)",
        "as cross-entropy, and all logits",
        "arXiv 1512.00567",
    )

    def __init__(self, *, smoothing: float = 0.1, **options: Unpack[ModuleOptions]) -> None:
        super().__init__(**options)
        check_smoothing(smoothing)
        self.smoothing = smoothing

    def _of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        return label_smoothing(logits, labels, smoothing=self.smoothing, **options)
