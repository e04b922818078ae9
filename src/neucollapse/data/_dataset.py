"""The common form of every data set, and the scaling of its inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from .._errors import InputError
from .._types import Float


@dataclass(frozen=True)
class Dataset:
    """A labelled data set in memory.

    Args:
        name: what it is called in reports.
        train: pairs of inputs, float32 (N, *input_shape), and labels, int64 (N,) in [0, K), or -100 for rows that
            count for nothing.
        test: the same, or None.
        class_names: K names, or None.
        num_classes: K.
        input_shape: shape of one input, (channels, height, width) or (features,).
    """

    name: str
    train: TensorDataset
    test: TensorDataset | None
    class_names: tuple[str, ...] | None
    num_classes: int
    input_shape: tuple[int, ...]

    def __repr__(self) -> str:
        test = "no test split" if self.test is None else f"{len(self.test)} test"
        sizes = f"{len(self.train)} train, {test}"
        return f"Dataset({self.name!r}, {sizes}, num_classes={self.num_classes}, input_shape={self.input_shape})"


def scale_inputs(
    train: Float[Tensor, "N ..."], test: Float[Tensor, "M ..."] | None, scaling: str, *, per_pixel: bool
) -> tuple[Tensor, Tensor | None]:
    """Inputs as they are (``unit``) or with mean 0 and variance 1 over the training split (``standard``).

    Args:
        train: training inputs in [0, 1].
        test: test inputs, scaled by the numbers of the training split.
        scaling: ``unit`` or ``standard``.
        per_pixel: whether each pixel has a mean and variance of its own; one without variance becomes 0.

    Returns:
        Both, scaled.

    Raises:
        InputError: if ``scaling`` is neither.
    """
    if scaling not in ("unit", "standard"):
        raise InputError(f'expected scaling "unit" or "standard", got {scaling!r}')
    if scaling == "unit":
        return train, test
    axes = (0,) if per_pixel else tuple(range(train.ndim))
    mean, deviation = train.mean(axes, keepdim=True), train.std(axes, keepdim=True, correction=0)
    deviation = torch.where(deviation > 0, deviation, 1)
    return (train - mean) / deviation, None if test is None else (test - mean) / deviation
