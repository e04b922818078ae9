"""The cosine head: only directions count, and a scale sharpens them."""

import math

import torch
from torch import Tensor, nn

from .._errors import InputError
from ..losses import cosine_logits
from ._head import Head


class Cosine(Head):
    r"""Logits :math:`z_j = s \cos(w_j, x)`, with scale :math:`s` the inverse temperature.

    The head of generalized neural collapse (arXiv 2310.05351): for any K and d, its features and weights tend to a
    softmax code. A small temperature (large scale) is the goal but a bad start: gradients vanish before the classes
    have spread.

    Args:
        dim: d, the width of the features.
        num_classes: K.
        scale: :math:`s > 0`, its starting value when learned.
        learn_scale: train :math:`\log s`, so that the scale stays positive.

    Attributes:
        weight: the raw parameter ``(K, d)``; its rows are normalised inside, so that only their directions count.
        scale: the current scale, a scalar tensor.

    Raises:
        InputError: when the scale is not positive and finite.

    Example:
        >>> import torch
        >>> head = Cosine(dim=2, num_classes=2, scale=10.0)
        >>> _ = head.weight.data.copy_(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
        >>> head.logits(torch.tensor([[3.0, 4.0]])).detach()
        tensor([[6., 8.]])
    """

    log_scale: Tensor
    fixed_scale: Tensor

    def __init__(self, dim: int, num_classes: int, scale: float = 16.0, learn_scale: bool = False) -> None:
        super().__init__(dim, num_classes)
        if not 0 < scale < math.inf:
            raise InputError(f"expected a scale above 0 (the inverse of the temperature), got {scale}")
        self.learn_scale = learn_scale
        # Directions uniform on the sphere, of norm about 1.
        self.weight = nn.Parameter(torch.randn(num_classes, dim) * dim**-0.5)
        if learn_scale:
            self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        else:
            self.register_buffer("fixed_scale", torch.tensor(float(scale)))

    @property
    def scale(self) -> Tensor:
        """The current scale, a scalar tensor."""
        return self.log_scale.exp() if self.learn_scale else self.fixed_scale

    def logits(self, features: Tensor) -> Tensor:
        """Logits ``(..., K)`` in ``[-s, s]`` of features ``(..., d)`` of any length."""
        return cosine_logits(features, self.weight, self.scale)

    def extra_repr(self) -> str:
        """Sizes, for ``repr``."""
        learned = ", learned" if self.learn_scale else ""
        return f"dim={self.dim}, num_classes={self.num_classes}, scale={self.scale.item():.4g}{learned}"
