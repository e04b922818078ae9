r"""The gradient flow of cross-entropy on a product of matrices, in steps that neither a plateau nor a vanishing loss slows.

The path of a gradient flow does not depend on its clock. Here a step of the factors is at most `longest` times their norm, and
at most so long that log loss falls by `longest`: near the saddle at 0, where gradients vanish with the power L - 1 of the
factors, the first rules, and when the margin grows and the loss vanishes, the second. The gradient is written out and exact at
losses far below rounding.
"""

import torch
from torch import Tensor

from ..._types import Float
from ...losses._log_odds import softplus

Factors = list[Tensor]
"""The factors of a product, the features first: each of shape (starts, rows, columns)."""


def products(factors: Factors) -> Factors:
    """The partial products W_1, W_2 W_1, ..., the last of them the logits: column k those of class k."""
    partial = [factors[0]]
    for factor in factors[1:]:
        partial.append(factor @ partial[-1])
    return partial


def log_loss_gradient(factors: Factors) -> tuple[Float[Tensor, "starts"], Factors]:
    r"""Logarithm of the mean cross-entropy, and its gradient in the factors.

    With the gradient of the loss in the logits, G = (P - I)/K for the probabilities P, it is
    $\partial_l = (W_L \cdots W_{l+1})^T G\, (W_{l-1} \cdots W_1)^T / \text{loss}$. The diagonal of P - I is taken
    as minus the sum of the other probabilities, so nothing cancels.
    """
    partial = products(factors)
    logits = partial[-1]
    K = logits.shape[-1]
    own = torch.eye(K, dtype=torch.bool)
    gaps = (logits - logits.diagonal(dim1=-2, dim2=-1)[:, None, :]).masked_fill(own, -torch.inf)
    against = torch.logsumexp(gaps, dim=-2)  # of each class: log of the odds against it
    losses = softplus(against).mean(dim=-1)
    wrong = torch.exp(gaps - softplus(against)[:, None, :]) / K
    back = (wrong - torch.diag_embed(wrong.sum(dim=-2))) / losses[:, None, None]
    gradients = [back] * len(factors)
    for i in range(len(factors) - 1, -1, -1):
        gradients[i] = back @ partial[i - 1].mT if i else back
        back = factors[i].mT @ back
    return losses.log(), gradients


def log_flow(factors: Factors, pace: Tensor, steps: int, longest: float = 0.02) -> tuple[Factors, Tensor]:
    """Some steps down the gradient of log loss, for every start at its own pace.

    Args:
        factors: of shapes (starts, rows, columns).
        pace: (starts,), a fraction of the longest step: it halves where log loss did not fall by a quarter of what the gradient
            promised (the step is not taken then), and grows by a tenth where it did. Ones in the beginning.
        steps: how many, counting those that were not taken.
        longest: of a step, relative to the norm of all factors, and in what log loss falls by.

    Returns:
        Factors and pace, to go on with.
    """
    value, gradients = log_loss_gradient(factors)
    for _ in range(steps):
        squared, size = _squared(gradients), _squared(factors)
        length = longest * pace * torch.minimum((size / squared).sqrt(), 1 / squared)
        trial = [factor - length[:, None, None] * slope for factor, slope in zip(factors, gradients, strict=True)]
        trial_value, trial_gradients = log_loss_gradient(trial)
        taken = trial_value <= value - length * squared / 4
        factors, gradients = _where(taken, trial, factors), _where(taken, trial_gradients, gradients)
        value = torch.where(taken, trial_value, value)
        pace = torch.where(taken, (1.1 * pace).clamp(max=1), pace / 2)
    return factors, pace


def _squared(tensors: Factors) -> Float[Tensor, "starts"]:
    return torch.stack([tensor.square().sum(dim=(1, 2)) for tensor in tensors]).sum(dim=0)


def _where(taken: Tensor, new: Factors, old: Factors) -> Factors:
    if bool(taken.all()):  # nearly always, and much cheaper
        return new
    return [torch.where(taken[:, None, None], a, b) for a, b in zip(new, old, strict=True)]
