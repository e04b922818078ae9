"""Backbones for the studies: each maps inputs ``(B, *input_shape)`` to features ``(B, d)``.

``.dim`` is d. Without ``dim=`` the features are the last hidden layer, nonnegative after its ReLU; with it a linear
projection to d dimensions follows, so that features may take any sign, as a simplex or a softmax code needs at small d.

Examples:
    >>> import torch
    >>> backbone = build("mlp", input_shape=(1, 8, 8), dim=3)
    >>> backbone(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 3])
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from .._errors import InputError

__all__ = ["MLP", "Backbone", "ConvNet", "ResNet18", "build"]


class Backbone(nn.Module):
    """A body ``(B, *input_shape) -> (B, width)``, then an optional linear projection to ``dim``.

    Args:
        body: the layers up to the features.
        width: number of features of the body.
        dim: d of the projection, or None for none.

    Attributes:
        dim: d, the number of features that come out.

    Raises:
        InputError: when ``dim`` is not positive.
    """

    def __init__(self, body: nn.Module, width: int, dim: int | None) -> None:
        super().__init__()
        if dim is not None and dim < 1:
            raise InputError(f"expected a feature dimension of at least 1, or None for no projection, got {dim}")
        self.dim = width if dim is None else dim
        self.body = body
        self.projection = nn.Identity() if dim is None else nn.Linear(width, dim)

    def forward(self, inputs: Tensor) -> Tensor:
        """Features ``(B, d)``."""
        return self.projection(self.body(inputs))


class MLP(Backbone):
    """Hidden layers of one width with batch norm and ReLU, on flattened inputs.

    Args:
        input_shape: shape of one input; all of it is flattened.
        dim: d of a final linear projection, or None.
        width: units of a hidden layer.
        depth: number of hidden layers.
        batch_norm: whether there is batch norm before each ReLU; without it collapse takes many times longer.

    Raises:
        InputError: when width or depth is not positive.

    Examples:
        >>> MLP((1, 8, 8), dim=32, width=128, depth=2).dim
        32
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        dim: int | None = None,
        width: int = 128,
        depth: int = 2,
        batch_norm: bool = True,
    ) -> None:
        if width < 1 or depth < 1:
            raise InputError(f"expected a width and depth of at least 1, got width={width}, depth={depth}")
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        inputs = math.prod(input_shape)
        for number in range(1, depth + 1):
            layers[f"linear{number}"] = nn.Linear(inputs, width, bias=not batch_norm)  # batch norm has a bias
            if batch_norm:
                layers[f"norm{number}"] = nn.BatchNorm1d(width)
            layers[f"relu{number}"] = nn.ReLU()
            inputs = width
        super().__init__(nn.Sequential(layers), width, dim)


class ConvNet(Backbone):
    """Three blocks of 3x3 convolution, batch norm and ReLU; the first two halve the image; then the mean over it.

    Args:
        input_shape: ``(channels, height, width)``, at least 4x4.
        dim: d of a final linear projection, or None.
        width: channels of the first block; the second has twice, the third four times as many.

    Examples:
        >>> ConvNet((1, 28, 28), width=16).dim
        64
    """

    def __init__(self, input_shape: Sequence[int], dim: int | None = None, width: int = 32) -> None:
        body = nn.Sequential(
            *_block(_channels("convnet", input_shape), width),
            nn.MaxPool2d(2),
            *_block(width, 2 * width),
            nn.MaxPool2d(2),
            *_block(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        super().__init__(body, 4 * width, dim)


class ResNet18(Backbone):
    """ResNet-18 for small images (arXiv 1512.03385, the usual CIFAR variant): a 3x3 stem without pooling, then the mean.

    Four stages of two residual blocks have 1, 2, 4, 8 times ``width`` channels; all but the first halve the image. At width
    64 with three channels and a linear head of ten classes it has 11,173,962 parameters.

    Args:
        input_shape: ``(channels, height, width)``, at least 8x8.
        dim: d of a final linear projection, or None.
        width: channels of the stem.

    Examples:
        >>> backbone = ResNet18((3, 32, 32))
        >>> sum(p.numel() for p in backbone.parameters()) + 10 * backbone.dim + 10
        11173962
    """

    def __init__(self, input_shape: Sequence[int], dim: int | None = None, width: int = 64) -> None:
        layers: list[nn.Module] = list(_block(_channels("resnet18", input_shape), width))
        inputs = width
        for outputs, stride in ((width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)):
            layers += [_ResidualBlock(inputs, outputs, stride), _ResidualBlock(outputs, outputs, 1)]
            inputs = outputs
        super().__init__(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), inputs, dim)


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(*_block(inputs, outputs, stride), *_block(outputs, outputs)[:2])
        same = stride == 1 and inputs == outputs
        change = (nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity() if same else nn.Sequential(*change)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.residual(x) + self.shortcut(x))


def _block(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, ...]:
    """A 3x3 convolution, batch norm and ReLU."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


def _channels(name: str, input_shape: Sequence[int]) -> int:
    """The channels of ``(channels, height, width)``; inputs that are not images are an ``InputError``."""
    if len(input_shape) != 3:
        raise InputError(
            f"{name} expected images of shape (channels, height, width), got inputs of shape {tuple(input_shape)}; "
            "the mlp takes vectors"
        )
    return input_shape[0]


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
