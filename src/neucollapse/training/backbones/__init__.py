"""Backbones for the studies: each maps inputs ``(B, *input_shape)`` to features ``(B, d)``.

``.dim`` is d. Without ``dim=`` the features are the last hidden layer, nonnegative after its ReLU; with it a linear
projection to d dimensions follows, so that features may take any sign, as a simplex or a softmax code needs at small d.

Example:
    >>> import torch
    >>> backbone = build("mlp", input_shape=(1, 8, 8), dim=3)
    >>> backbone(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 3])
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..._errors import InputError
from ._backbone import Backbone as Backbone
from ._convnet import ConvNet as ConvNet
from ._mlp import MLP as MLP
from ._resnet18 import ResNet18 as ResNet18

__all__ = ["MLP", "Backbone", "ConvNet", "ResNet18", "build"]

_BACKBONES: dict[str, Callable[..., Backbone]] = {"convnet": ConvNet, "mlp": MLP, "resnet18": ResNet18}


def build(name: str, input_shape: Sequence[int], dim: int | None = None, **options: Any) -> Backbone:
    """The backbone of that name: ``mlp``, ``convnet`` or ``resnet18``.

    Args:
        name: the backbone.
        input_shape: shape of one input, ``(channels, height, width)``, or ``(features,)`` for the MLP.
        dim: d of the projection, or None for none.
        options: of the backbone: ``width``, ``depth``, ``batch_norm`` of the MLP, ``width`` of the others.

    Returns:
        The backbone, freshly initialised from torch's global random state.

    Raises:
        InputError: if there is no such backbone, or the input shape is not one it takes.
    """
    if name not in _BACKBONES:
        raise InputError(f"expected a backbone among {', '.join(_BACKBONES)}, got {name!r}")
    return _BACKBONES[name](tuple(input_shape), dim=dim, **options)
