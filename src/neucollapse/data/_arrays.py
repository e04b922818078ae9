"""A data set from a file of arrays: inputs `x` and labels `y`, in `.npz`, `.safetensors` or `.pt`."""

from pathlib import Path

import torch
from torch import Tensor

from .._errors import FileFormatError
from .._files import fitting_contents
from .._labels import IGNORED, label_tensor, renumbered
from .._names import names_options
from ._archive import MAX_BYTES, Archive
from ._dataset import Dataset, make_dataset
from ._open import open_archive

_MAX_CLASSES = 2**24
_Pair = tuple[Tensor, Tensor | list[str]]  # inputs, and labels as they are stored


@names_options
def load_arrays(
    path: str | Path,
    *,
    x: str = "x",
    y: str = "y",
    test_mask: str | None = None,
    scaling: str = "unit",
    flat: bool = False,
    renumber: bool = False,
    ignore_index: int = IGNORED,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """A data set from one file of arrays.

    Splits are found by name: `x_train, y_train, x_test, y_test` or `train/x, ...`; or `x, y` alone, which
    `test_mask` may divide. A file that is damaged, or an array that is missing, of the wrong kind or of the wrong length, ends in
    a `FileFormatError`.

    Args:
        path: the file.
        x: name of the inputs (N, ...). Unsigned bytes become float32 in [0, 1]; floating-point numbers become float32
            and stay as they are. Images (N, height, width) get a channel axis.
        y: name of the labels (N,) or (N, 1): integers from 0 of any type, or strings, which become class names.
        test_mask: name of a boolean array (N,), true for rows of the test split.
        scaling: `unit` as above, `standard` for mean 0 and variance 1 over the training split.
        flat: vectors in place of images.
        renumber: whether integers are ids that become 0, 1, ... in rising order, and their decimals the class names.
        ignore_index: label of rows that belong to no class; in the data set they have the label -100.
        max_bytes: what a compressed array may expand to if that is over 100 times its file.

    Returns:
        The data set, K = largest label + 1; class names from an array or JSON list `class_names` in the file.

    Examples:
        >>> import tempfile, numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/toy.npz", x=np.zeros((6, 8, 8), np.uint8), y=np.arange(6) % 3)
        ...     load_arrays(f"{folder}/toy.npz")
        Dataset('toy', 6 train, no test split, num_classes=3, input_shape=(1, 8, 8))
    """
    path = Path(path)
    archive = open_archive(path)
    train = _read(archive, _key(archive, x, "train"), _key(archive, y, "train"), max_bytes)
    test = None
    if test_mask is None and (test_key := _find(archive, x, "test")) is not None:
        test = _read(archive, test_key, _key(archive, y, "test"), max_bytes)
    train, test, names = _numbered(archive, train, test, renumber, ignore_index)
    if test_mask is not None:
        train, test = _divide(archive, train, test_mask)
    return make_dataset(path, train, test, names, scaling=scaling, flat=flat)


def _find(archive: Archive, name: str, split: str) -> str | None:
    names = (f"{name}_{split}", f"{split}/{name}", f"{split}_{name}")
    return next((key for key in names if key in archive.entries), None)


def _key(archive: Archive, name: str, split: str) -> str:
    found = _find(archive, name, split) or (name if split == "train" and name in archive.entries else None)
    if found is None:
        raise FileFormatError(archive.path, f"there is no {name!r} or '{name}_{split}' in it: {archive.contents()}")
    return found


def _read(archive: Archive, x: str, y: str, max_bytes: int) -> _Pair:
    entry, label_entry = archive.check(x, max_bytes), archive.check(y, max_bytes)
    if not (entry.is_float or entry.dtype == torch.uint8) or len(entry.shape) < 2:
        raise FileFormatError(archive.path, f"{x!r} is {entry}; expected inputs (N, ...), unsigned bytes or floats")
    N = entry.shape[0]
    if label_entry.shape not in ((N,), (N, 1)) or not (label_entry.is_integer or label_entry.is_text):
        raise FileFormatError(archive.path, f"{y!r} is {label_entry}; expected integer or string labels ({N},)")
    labels: Tensor | list[str]
    if label_entry.is_text:
        labels = [text for block in archive.texts(y, 0, N, N) for text in block]
    else:
        with fitting_contents(archive.path):
            labels = label_tensor(archive.read(y, max_bytes).reshape(-1), name=repr(y))
    stored = archive.read(x, max_bytes)
    return stored.float().div_(255) if entry.dtype == torch.uint8 else stored.float(), labels


def _numbered(
    archive: Archive, train: _Pair, test: _Pair | None, renumber: bool, ignore_index: int
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor] | None, list[str] | None]:
    """Both splits with class numbers as labels, and the class names."""
    pairs, stored = [train, *([] if test is None else [test])], archive.class_names()
    kinds = {isinstance(labels, list) for _, labels in pairs}
    if len(kinds) > 1:
        raise FileFormatError(archive.path, "labels of one split are strings, and of the other numbers")
    with fitting_contents(archive.path):
        if kinds == {True}:
            texts = {str(text) for _, labels in pairs for text in labels}
            stored = stored or sorted(texts)
            if not texts <= set(stored):
                raise ValueError(f"label {min(texts - set(stored))!r} is none of its class names")
            place = {name: number for number, name in enumerate(stored)}
            numbers = [torch.tensor([place[str(text)] for text in labels]) for _, labels in pairs]
        elif renumber:
            every, ids = renumbered(
                torch.cat([torch.as_tensor(labels) for _, labels in pairs]), ignore_index=ignore_index
            )
            numbers = list(every.split([len(labels) for _, labels in pairs]))
            stored = stored or [str(one) for one in ids.tolist()]
        else:
            numbers = [torch.as_tensor(labels) for _, labels in pairs]
    counted = [labels[labels != ignore_index] for labels in numbers]
    if not all(map(len, counted)):
        raise FileFormatError(archive.path, f"every row of a split has the label to ignore, {ignore_index}")
    low, high = min(int(labels.min()) for labels in counted), max(int(labels.max()) for labels in counted)
    if low < 0 or high >= _MAX_CLASSES:
        raise FileFormatError(
            archive.path,
            f"its labels span {low} to {high}; expected 0 to K - 1: renumber=True makes ids classes, "
            "ignore_index= names the label of rows that belong to no class",
        )
    numbers = [torch.where(labels == ignore_index, IGNORED, labels) for labels in numbers]
    done = [(inputs, labels) for (inputs, _), labels in zip(pairs, numbers, strict=True)]
    return done[0], done[1] if len(done) > 1 else None, stored


def _divide(archive: Archive, pair: tuple[Tensor, Tensor], mask: str) -> tuple[tuple[Tensor, Tensor], ...]:
    entry = archive.entries.get(mask)
    if entry is None or entry.dtype != torch.bool or entry.shape != (len(pair[1]),):
        found = f"is {entry}" if entry else f"is not in it: {archive.contents()}"
        raise FileFormatError(archive.path, f"{mask!r} {found}; expected true or false for {len(pair[1])} rows")
    in_test = archive.read(mask)
    if bool(in_test.all()) or not bool(in_test.any()):
        raise FileFormatError(archive.path, f"{mask!r} leaves one of the two splits empty")
    return tuple((pair[0][rows], pair[1][rows]) for rows in (~in_test, in_test))
