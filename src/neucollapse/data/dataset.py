"""The common form of every data set, and ``load``, which finds one by name or path."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def load(name_or_path: str | Path, **options: Any) -> Dataset:
    """Load a data set by name (``digits``, ``fashion-mnist``) or path (a folder of IDX files, a file of arrays).

    Args:
        name_or_path: the name or path. A path that exists wins over a name only if it is a ``Path``.
        options: for ``load_digits``, ``load_fashion_mnist``, ``load_idx_folder`` or ``load_arrays``.

    Returns:
        The data set.

    Raises:
        InputError: if there is no such name or path, or the loader has no such option.
        FileFormatError: if a file cannot be used.
        MissingExtraError: if ``digits`` is asked for without scikit-learn.

    Example:
        >>> load("digits", seed=1, flat=True)
        Dataset('digits', 1438 train, 359 test, num_classes=10, input_shape=(64,))
    """
    loader, arguments = _loader(name_or_path)
    try:
        return loader(*arguments, **options)
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            raise InputError(f"{name_or_path}: {error}") from None
        raise


def _loader(name_or_path: str | Path) -> tuple[Callable[..., Dataset], list[Path]]:
    from .arrays import load_arrays
    from .digits import load_digits
    from .fashion_mnist import load_fashion_mnist
    from .idx import load_idx_folder

    names: dict[str | Path, Callable[..., Dataset]] = {"digits": load_digits, "fashion-mnist": load_fashion_mnist}
    if name_or_path in names:
        return names[name_or_path], []
    path = Path(name_or_path)
    if path.is_dir():
        return load_idx_folder, [path]
    if path.suffix or path.exists():
        return load_arrays, [path]
    raise InputError(
        f"expected a data set among {', '.join(map(str, names))}, or a folder or file, got {name_or_path!r}"
    )


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
