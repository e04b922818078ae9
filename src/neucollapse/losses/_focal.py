"""The focal loss, exact in the terminal phase."""

from typing import Unpack

from torch import Tensor

from .._errors import InputError
from .._names import names_options
from .._types import Float
from ._log_odds import log_odds, rows_of_logits, softplus
from ._module import LogitLoss, ModuleOptions
from ._rows import Labels, RowOptions


def check_gamma(gamma: float) -> None:
    """Raise `InputError` for an exponent that no focal loss has."""
    if not 0 <= gamma < float("inf"):
        raise InputError(f"expected a focal exponent gamma of at least 0, got {gamma}")


def focal_factor(m: Float[Tensor, "*n"], gamma: float) -> Float[Tensor, "*n"]:
    r"""$(1 - p_y)^\gamma = \sigma(m)^\gamma$, through the logarithm of the odds m, so that nothing is subtracted from 1."""
    return (-gamma * softplus(-m)).exp()


@names_options
def focal_loss(logits: Tensor, labels: Labels, *, gamma: float = 2.0, **options: Unpack[RowOptions]) -> Tensor:
    r"""Cross-entropy that turns away from samples already right (arXiv 1708.02002, equation 4, over K classes).

    $$ \ell = -(1 - p_y)^\gamma \log p_y = \sigma(m)^\gamma \log(1 + e^m), \qquad m = \log\sum_{j \ne y} e^{z_j} - z_y $$

    Range: from 0 up; $(1 - 1/K)^\gamma \log K$ at equal logits. In the terminal phase it falls as $e^{(1 + \gamma) m}$, and
    so does its gradient, each to the last digit; its collapse is that of cross-entropy. Masked classes and K = 1 are as in
    `cross_entropy`.

    Args:
        logits: `(..., K)`, floating. Half precision is computed, and returned, in float32.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        gamma: the focusing exponent, at least 0 (else an `InputError`); 0 is cross-entropy.
        **options: of every loss of samples, see `RowOptions`.

    Examples:
        >>> import torch
        >>> loss = focal_loss(torch.tensor([[20.0, 0.0]]), torch.tensor([0]))  # e^-60
        >>> print(f"{loss.item():.4e}")
        8.7565e-27
    """
    check_gamma(gamma)
    rows = rows_of_logits(logits, labels, options)
    m = log_odds(rows.take(logits), rows.labels)
    # 0 times the infinite log-odds of a sample without a wrong class would be NaN.
    return rows.reduce(focal_factor(m, gamma) * softplus(m) if gamma else softplus(m))


class Focal(LogitLoss):
    """Focal loss of a head's logits: `loss(features, labels, head)`. See `focal_loss`.

    Examples:
        >>> import torch, neucollapse.heads as heads
        >>> Focal(gamma=1.0)(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]), heads.Linear(3, 2)).shape
        torch.Size([])
    """

    title = "the focal loss"
    formula, couples, source = "σ(m)^γ log(1 + e^m)", "as cross-entropy", "arXiv 1708.02002"

    def __init__(self, *, gamma: float = 2.0, **options: Unpack[ModuleOptions]) -> None:
        super().__init__(**options)
        check_gamma(gamma)
        self.gamma = gamma

    def _of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        return focal_loss(logits, labels, gamma=self.gamma, **options)
