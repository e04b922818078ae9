r"""The log-odds against the label, :math:`m = \log \sum_{j \ne y} e^{z_j} - z_y`: what every loss of plain logits begins with."""

import torch
from torch import Tensor

from .._errors import InputError
from .._types import Float, Int
from ._rows import Labels, Rows


def softplus(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    r""":math:`\log(1 + e^x)`, exact to rounding in value and in first and second derivative at every ``x``.

    ``torch.nn.functional.softplus`` is linear above 20, and second derivatives elsewhere are formed as ``1 - sigmoid``.
    """
    negative = x <= 0
    size = torch.where(negative, -x, x)  # |x|, with a derivative at 0 (where the max below has the other half)
    return torch.where(negative, torch.zeros_like(x), x) + torch.log1p(torch.exp(-size))


def negatives_logsumexp(logits: Float[Tensor, "n K"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    r""":math:`\log \sum_{j \ne y} e^{z_j}` of each row.

    -inf without a gradient where no wrong class has mass: the label is the only class, or all others are masked with -inf.
    """
    place = labels[:, None]
    wrong = logits.scatter(1, place, -torch.inf)
    empty = wrong.detach().amax(dim=1, keepdim=True) == -torch.inf
    # A zero in the label's own place, which has no gradient: that of nothing but -inf would be NaN.
    wrong.scatter_(1, place, torch.where(empty, 0.0, -torch.inf).to(logits.dtype))
    return wrong.logsumexp(dim=1).where(~empty.squeeze(1), -torch.inf)


def rows_of_logits(
    logits: Tensor,
    labels: Labels,
    ignore_index: int,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
) -> Rows:
    """The rows of logits ``(..., K)`` that count; ``InputError`` for logits that are not floating or have no class."""
    if not logits.is_floating_point() or logits.dim() < 1 or logits.shape[-1] < 1:
        raise InputError(f"expected floating logits of shape (..., K), got {logits.dtype} of {tuple(logits.shape)}")
    weights = sample_weights, class_weights
    return Rows(labels, logits.shape[:-1], logits.shape[-1], ignore_index, *weights, device=logits.device)


def log_odds(z: Float[Tensor, "n K"], y: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Of logits and labels: -inf without a gradient where no wrong class has mass, +inf where the label is masked.

    The label's logit is subtracted before the exponentials: what all logits have in common costs no digits.
    """
    target = z.gather(1, y[:, None])
    common = target.detach().where(target.isfinite(), 0)
    return negatives_logsumexp(z - common, y) - (target - common).squeeze(1)


def above_mean(z: Float[Tensor, "n K"], y: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The label's logit less the mean logit of the classes that are not masked with -inf; 0 where the label is masked."""
    target = z.gather(1, y[:, None])
    there = z > -torch.inf
    gaps = (target - z).where(there & (target > -torch.inf), 0)
    return gaps.sum(dim=1) / there.sum(dim=1).clamp(min=1)
