"""Multilayer perceptron."""

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from ..._errors import InputError
from ._backbone import Backbone


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

    Example:
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
            layers[f"linear{number}"] = nn.Linear(
                inputs, width, bias=not batch_norm
            )  # batch norm has a bias of its own
            if batch_norm:
                layers[f"norm{number}"] = nn.BatchNorm1d(width)
            layers[f"relu{number}"] = nn.ReLU()
            inputs = width
        super().__init__(nn.Sequential(layers), width, dim)
