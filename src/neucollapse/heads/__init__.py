"""Classifier heads: modules from features ``(..., d)`` to logits ``(..., K)``.

Every head is an ``nn.Module`` whose forward is its logits, and has ``.logits(features)`` and ``.weight`` ``(K, d)``,
one row a class. Losses take a head as their third argument: ``loss(features, labels, head)``.

Example:
    >>> import torch
    >>> head = Cosine(dim=3, num_classes=10, scale=5.0)
    >>> head(torch.randn(4, 3)).shape, head.weight.shape
    (torch.Size([4, 10]), torch.Size([10, 3]))
"""

from ..losses.margins import ArcMargin as ArcMargin
from ..losses.margins import CosMargin as CosMargin
from ..losses.margins import SphereMargin as SphereMargin
from ._head import Head as Head
from .cosine import Cosine as Cosine
from .linear import Linear as Linear

__all__ = ["ArcMargin", "CosMargin", "Cosine", "Head", "Linear", "SphereMargin"]
