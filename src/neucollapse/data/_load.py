"""`load`: a data set by name or path."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._errors import InputError
from ._arrays import load_arrays
from ._dataset import Dataset
from ._digits import load_digits
from ._fashion_mnist import load_fashion_mnist
from ._idx import load_idx_folder


def load(name_or_path: str | Path, **options: Any) -> Dataset:
    """Load a data set by name (`digits`, `fashion-mnist`) or path (a folder of IDX files, a file of arrays).

    Args:
        name_or_path: the name or path. A path that exists wins over a name only if it is a `Path`.
        options: for `load_digits`, `load_fashion_mnist`, `load_idx_folder` or `load_arrays`, which say what they refuse. No such
            name or path is an `InputError`.

    Returns:
        The data set.

    Examples:
        >>> load("digits", seed=1, flat=True)
        Dataset('digits', 1438 train, 359 test, num_classes=10, input_shape=(64,))
    """
    loader, arguments = _loader(name_or_path)
    return loader(*arguments, **options)


def _loader(name_or_path: str | Path) -> tuple[Callable[..., Dataset], list[Path]]:
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
