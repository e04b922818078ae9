"""The common form of every data set, and the scaling of its inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from .._errors import FileFormatError, InputError


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


def make_dataset(
    source: Path,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor] | None,
    class_names: Sequence[str] | None = None,
    *,
    name: str | None = None,
    scaling: str = "unit",
    per_pixel: bool = False,
    flat: bool = False,
) -> Dataset:
    """The data set of inputs and labels from a file: K is the largest label + 1, inputs are scaled as `scale_inputs` says.

    Images (N, height, width) get a channel axis; with `flat` all inputs become vectors.

    Raises:
        FileFormatError: if the splits have inputs of other shapes, or more classes than names.
    """
    pairs = [train] if test is None or not len(test[1]) else [train, test]
    shaped = [x.flatten(1) if flat else x.unsqueeze(1) if x.ndim == 3 else x for x, _ in pairs]
    if shaped[0].shape[1:] != shaped[-1].shape[1:]:
        shapes = f"test inputs are {tuple(shaped[-1].shape[1:])}, train {tuple(shaped[0].shape[1:])}"
        raise FileFormatError(source, shapes)
    num_classes = 1 + max(int(labels.max()) for _, labels in pairs)
    if class_names is not None and len(class_names) < num_classes:
        raise FileFormatError(source, f"it has {num_classes} classes but {len(class_names)} class names")
    scaled = scale_inputs(shaped, scaling, per_pixel=per_pixel)
    sets = [TensorDataset(inputs, labels) for inputs, (_, labels) in zip(scaled, pairs, strict=True)]
    return Dataset(
        name=name or source.stem,
        train=sets[0],
        test=sets[1] if len(sets) > 1 else None,
        class_names=None if class_names is None else tuple(class_names),
        num_classes=num_classes,
        input_shape=tuple(scaled[0].shape[1:]),
    )


def scale_inputs(inputs: list[Tensor], scaling: str, *, per_pixel: bool) -> list[Tensor]:
    """Inputs as they are (`unit`) or with mean 0 and variance 1 over the training split (`standard`).

    Args:
        inputs: training inputs (N, ...) in [0, 1]; after them test inputs, which are scaled by the numbers of the first.
        scaling: `unit` or `standard`.
        per_pixel: whether each pixel has its own mean and variance; one without variance becomes 0.

    Returns:
        All of them, scaled.

    Raises:
        InputError: if `scaling` is neither.
    """
    if scaling not in ("unit", "standard"):
        raise InputError(f'expected scaling "unit" or "standard", got {scaling!r}')
    if scaling == "unit":
        return inputs
    axes = (0,) if per_pixel else tuple(range(inputs[0].ndim))
    mean, deviation = inputs[0].mean(axes, keepdim=True), inputs[0].std(axes, keepdim=True, correction=0)
    deviation = torch.where(deviation > 0, deviation, 1)
    return [(one - mean) / deviation for one in inputs]
