"""The linear head: inner products with one weight row a class."""

import torch
from torch import Tensor, nn

from ._head import Head


class Linear(Head):
    r"""Logits $z_j = \langle w_j, x \rangle + b_j$, as `torch.nn.Linear` has them.

    With weight decay and K <= d + 1 its features and weights collapse to a simplex (arXiv 2008.08186). Types are those of
    `torch.nn.Linear`, too: under autocast its logits have half precision.

    Args:
        dim: d, the width of the features.
        num_classes: K.
        bias: whether there is a bias `(K,)`; `.bias` is None without.

    Examples:
        >>> head = Linear(dim=32, num_classes=10)
        >>> head.weight.shape, head.bias.shape
        (torch.Size([10, 32]), torch.Size([10]))
    """

    normalize = False

    def __init__(self, dim: int, num_classes: int, *, bias: bool = True) -> None:
        super().__init__(dim, num_classes)
        bound = dim**-0.5  # torch.nn.Linear's own initialisation
        self.weight = nn.Parameter(torch.empty(num_classes, dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_classes).uniform_(-bound, bound)) if bias else None

    def logits(self, features: Tensor) -> Tensor:
        """Logits `(..., K)` of features `(..., d)`."""
        return nn.functional.linear(features, self.weight, self.bias)

    def linear_map(self) -> tuple[Tensor, Tensor | None]:
        """The weight and the bias."""
        return self.weight, self.bias

    def extra_repr(self) -> str:
        """Sizes, for `repr`."""
        return f"{super().extra_repr()}, bias={self.bias is not None}"
