r"""The log-odds against the label, $m = \log \sum_{j \ne y} e^{z_j} - z_y$, with which every loss of plain logits begins."""

import torch
from torch import Tensor

from .._errors import InputError
from .._types import Float, Int
from ._rows import CountedRows, Labels, RowOptions


def softplus(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    r"""$\log(1 + e^x)$, exact to rounding in value and in first and second derivative at every `x`.

    `torch.nn.functional.softplus` is linear above 20, and second derivatives elsewhere are formed as `1 - sigmoid`.
    """
    negative = x <= 0
    size = torch.where(negative, -x, x)  # |x|, with a derivative at 0 (where the max below has the other half)
    return torch.where(negative, torch.zeros_like(x), x) + torch.log1p(torch.exp(-size))


def log_softplus(m: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    r"""$\log \log (1 + e^m)$ with relative accuracy at every m, however negative, and a gradient in (0, 1]."""
    # Where t = e^m is small, log1p(t) / t = 1 - t/2 + t^2/3 - ..., whose logarithm is cut where it is below rounding.
    small = m.detach().exp() < torch.finfo(m.dtype).eps ** (1 / 3)
    t = m.where(small, 0).exp()
    series = m - t / 2 + 5 / 24 * t * t
    return series.where(small, softplus(m.where(~small, 0)).log())


def negatives_logsumexp(logits: Float[Tensor, "n K"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    r"""$\log \sum_{j \ne y} e^{z_j}$ of each row.

    -inf without a gradient where no wrong class has mass: the label is the only class, or all others are masked with -inf.
    """
    place = labels[:, None]
    wrong = logits.scatter(1, place, -torch.inf)
    empty = wrong.detach().amax(dim=1, keepdim=True) == -torch.inf
    # A zero in the label's own place, which has no gradient: that of nothing but -inf would be NaN.
    wrong.scatter_(1, place, torch.where(empty, 0.0, -torch.inf).to(logits.dtype))
    return wrong.logsumexp(dim=1).where(~empty.squeeze(1), -torch.inf)


def rows_of_logits(logits: Tensor, labels: Labels, options: RowOptions) -> CountedRows:
    """The rows of logits `(..., K)` that count; `InputError` for logits that are not floating or have no class."""
    if not logits.is_floating_point() or logits.dim() < 1 or logits.shape[-1] < 1:
        raise InputError(f"expected floating logits of shape (..., K), got {logits.dtype} of {tuple(logits.shape)}")
    return CountedRows(logits, labels, logits.shape[-1], options)


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
