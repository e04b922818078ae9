"""Folders of IDX files, the layout of MNIST: `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, gzipped or not.

An IDX file is two zero bytes, a type code (8: unsigned bytes), the number of axes, their big-endian lengths, the data.
"""

import gzip
from collections.abc import Sequence
from io import BufferedIOBase
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .._errors import FileFormatError
from .._names import names_options
from ._archive import MAX_BYTES, check_expansion, readable_file, reading
from ._dataset import Dataset, make_dataset
from ._npy import fill

_UNSIGNED_BYTES = 8
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_LIMIT = 1032  # deflate never shrinks anything further


@names_options
def load_idx_folder(
    folder: str | Path,
    *,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
    scaling: str = "unit",
    flat: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """A data set in MNIST's layout: MNIST itself, Fashion-MNIST, KMNIST, EMNIST or your own.

    Args:
        folder: where the files are. Names may have a prefix (`emnist-balanced-train-images-idx3-ubyte.gz`).
        name: what to call the data set; the folder's name if None.
        class_names: one for each class, if known.
        scaling: `unit` for values in [0, 1], `standard` for mean 0 and variance 1 over all training pixels.
        flat: vectors in place of images (1, height, width).
        max_bytes: what a gzip file may expand to if that is over 100 times its size.

    Returns:
        The data set, K = largest label + 1, without test split if there are no `t10k` or `test` files.

    Raises:
        FileFormatError: if files are missing, damaged or do not fit together.
    """
    folder = Path(folder)
    train = _read_split(folder, "train", max_bytes)
    if train is None:
        raise FileFormatError(
            folder, "expected a folder with train-images-idx3-ubyte and train-labels-idx1-ubyte (.gz)"
        )
    test = _read_split(folder, "t10k", max_bytes) or _read_split(folder, "test", max_bytes)
    return make_dataset(folder, train, test, class_names, name=name or folder.name, scaling=scaling, flat=flat)


def _read_split(folder: Path, split: str, max_bytes: int) -> tuple[Tensor, Tensor] | None:
    images_path, labels_path = _find(folder, f"{split}-images", "idx3"), _find(folder, f"{split}-labels", "idx1")
    if images_path is None or labels_path is None:
        if images_path is not labels_path:
            raise FileFormatError(images_path or labels_path or folder, "its partner, images or labels, is missing")
        return None
    images, labels = (
        read_idx(images_path, axes=3, max_bytes=max_bytes),
        read_idx(labels_path, axes=1, max_bytes=max_bytes),
    )
    if len(images) != len(labels):
        raise FileFormatError(labels_path, f"it holds {len(labels)} labels for {len(images)} images")
    return images.to(torch.float32).div_(255), labels.long()


def _find(folder: Path, stem: str, kind: str) -> Path | None:
    """The file of one role; where a plain and a gzipped copy stand side by side, the plain one."""
    with reading(folder, "a folder"):
        found = sorted(folder.glob(f"*{stem}[-.]{kind}-ubyte")) or sorted(folder.glob(f"*{stem}[-.]{kind}-ubyte.gz"))
    if len(found) > 1:
        raise FileFormatError(folder, f"several files are called {stem}: {', '.join(path.name for path in found)}")
    return found[0] if found else None


def read_idx(path: Path, *, axes: int, max_bytes: int = MAX_BYTES) -> Tensor:
    """The array of one IDX file of unsigned bytes; a wrong header, or data of another length, end in a `FileFormatError`.

    Args:
        path: the file; gzipped if it begins like one.
        axes: number of axes it must have.
        max_bytes: what a gzip file may expand to if that is over 100 times its size.

    Returns:
        uint8, shaped as the header says.
    """
    readable_file(path)
    with reading(path, "an IDX file"):
        with path.open("rb") as stream:
            zipped = stream.read(2) == _GZIP_MAGIC
        with gzip.open(path) if zipped else path.open("rb") as stream:
            return _read_stream(stream, path, axes, zipped, max_bytes)


def _read_stream(stream: BufferedIOBase, path: Path, axes: int, zipped: bool, max_bytes: int) -> Tensor:
    magic = stream.read(4)
    if magic != bytes((0, 0, _UNSIGNED_BYTES, axes)):
        raise FileFormatError(path, f"not an IDX file of unsigned bytes with {axes} axes: it begins with {magic.hex()}")
    shape = tuple(int(length) for length in np.frombuffer(stream.read(4 * axes), ">u4", count=axes))
    claimed, stored = prod(shape), path.stat().st_size - 4 - 4 * axes
    if not claimed:
        raise FileFormatError(path, f"its shape is {shape}: it holds no data")
    if (claimed != stored) if not zipped else (claimed > _GZIP_LIMIT * path.stat().st_size):
        raise FileFormatError(path, f"its header claims {shape}, {claimed:,} bytes, which the file cannot hold")
    check_expansion(path, path.name, claimed, max_bytes)
    array = np.empty(shape, np.uint8)
    fill(stream, array.reshape(-1))
    if stream.read(1):  # also makes gzip check its checksum
        raise FileFormatError(path, f"data follow after the {claimed:,} bytes its header claims")
    return torch.from_numpy(array)
