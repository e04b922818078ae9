"""The contract of a head."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from .._errors import InputError


class Head(nn.Module, ABC):
    """Base of every head: ``.logits(features)``, ``.weight`` ``(K, d)``, and forward = logits.

    Args:
        dim: d, the width of the features.
        num_classes: K, the number of classes.

    Raises:
        InputError: when either is not a positive integer.
    """

    weight: Tensor

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        if dim < 1 or num_classes < 1:
            raise InputError(f"expected dim and num_classes of at least 1, got dim={dim}, num_classes={num_classes}")
        self.dim = dim
        self.num_classes = num_classes

    @abstractmethod
    def logits(self, features: Tensor) -> Tensor:
        """Logits ``(..., K)`` of features ``(..., d)``."""

    def forward(self, features: Tensor) -> Tensor:
        """The logits."""
        return self.logits(features)
