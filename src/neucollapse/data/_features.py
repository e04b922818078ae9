"""Features and labels from files larger than memory, as a stream of batches.

Read are safetensors, parquet, `.npz`, `.npy` and `torch.save` files, alone or in shards (a folder, a pattern such
as `"shards/*.parquet"`, or an index `.json`). A file holds `features` (N, d), float16, bfloat16, float32 or
float64, and `labels` (N,), integers of any type or strings; it may hold the classifier too: `weight` (K, d), `bias`
(K,), `class_names`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from .._errors import FileFormatError, InputError
from .._names import names_options
from .._types import Float, Int
from ._archive import MAX_BYTES
from ._open import is_array_path
from ._parts import Part, choose_files, name_labels, open_part, splits_of

_BLOCK_BYTES = 32 * 2**20  # one batch of features, unless batch_size says otherwise
_MAX_BATCH = 2**16
_MAX_CLASSES = 2**24  # a larger label is damage, and would make every later stage allocate for it


@dataclass(frozen=True)
class FeatureFile:
    """Features and labels on disk: iterate it for batches `(features (B, d), labels (B,) int64)`, as often as needed.

    The order is the order on disk and never changes; memory holds one batch. Batches end where a shard ends. NaN and
    labels outside the classes pass through: the statistics find them and name their rows. `len` counts batches up to
    the splits that the format itself makes (parquet row groups); `num_rows` is exact.

    Args:
        path: what was opened.
        parts: its shards.
        batch_size: most rows in a batch.
        start: first row of this part of the whole.
        stop: row after the last of this part.
        ignore_index: label that counts for no class.
    """

    path: Path
    parts: tuple[Part, ...]
    batch_size: int
    start: int
    stop: int
    ignore_index: int = -100

    def __iter__(self) -> Iterator[tuple[Float[Tensor, "B d"], Int[Tensor, " B"]]]:
        for part, start, stop in self._ranges():
            yield from part.batches(start, stop, self.batch_size)

    def labels(self) -> Iterator[Int[Tensor, " B"]]:
        """The labels alone, in blocks, in the same order; the features are not read."""
        for part, start, stop in self._ranges():
            yield from part.label_blocks(start, stop, _MAX_BATCH)

    def __len__(self) -> int:
        return sum(-(-(stop - start) // self.batch_size) for _, start, stop in self._ranges())

    def _ranges(self) -> Iterator[tuple[Part, int, int]]:
        first = 0
        for part in self.parts:
            start, stop = max(self.start - first, 0), min(self.stop - first, part.rows)
            if start < stop:
                yield part, start, stop
            first += part.rows

    @property
    def num_rows(self) -> int:
        """Rows in this part, N unless `shard` made it."""
        return self.stop - self.start

    @property
    def dim(self) -> int:
        """Feature dimension d."""
        return self.parts[0].entry.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the features as stored, and as the batches have it."""
        dtype = self.parts[0].entry.dtype
        assert dtype is not None  # noqa: S101 - open_features has checked it
        return dtype

    @cached_property
    def num_classes(self) -> int:
        """Largest label of the whole file (not of this part alone) plus one, or how many names there are: one pass.

        `ignore_index` is no class. Raises `FileFormatError` for a label that no class can have.
        """
        whole = replace(self, start=0, stop=sum(part.rows for part in self.parts))
        if self.parts[0].names:
            return len(self.parts[0].names)
        kept = (labels[labels != self.ignore_index] for labels in whole.labels())
        largest = max((int(labels.max()) for labels in kept if len(labels)), default=self.ignore_index)
        if not 0 <= largest < _MAX_CLASSES:
            needed = 8 * (largest + 1) * self.dim
            cost = f"means of so many classes take {needed / 2**30:,.0f} GiB" if largest > 0 else "no row is left"
            raise FileFormatError(
                self.path,
                f"the largest label is {largest}, expected class numbers from 0 to at most {_MAX_CLASSES - 1}: {cost};"
                " sparse ids are renumbered by measure(..., renumber=True), a label that is no class left out with"
                " ignore_index=",
            )
        return largest + 1

    @cached_property
    def class_names(self) -> list[str] | None:
        """Class names stored with the features, or the strings that the labels are, sorted; None if there are none."""
        return list(self.parts[0].names) or next(
            (names for part in self.parts if (names := part.features.class_names())), None
        )

    @cached_property
    def weight(self) -> Float[Tensor, "K d"] | None:
        """Classifier weight stored with the features, if any."""
        return self._stored("weight")

    @cached_property
    def bias(self) -> Float[Tensor, " K"] | None:
        """Classifier bias stored with the features, if any."""
        bias = self._stored("bias")
        return None if bias is None else bias.reshape(-1)

    def _stored(self, name: str) -> Tensor | None:
        return next((part.features.read(name) for part in self.parts if name in part.features.entries), None)

    def shard(self, rank: int, world_size: int) -> "FeatureFile":
        """The contiguous part of one process: parts of all ranks in order are the whole, and differ by at most a row.

        Args:
            rank: number of this process, from 0.
            world_size: number of processes.

        Returns:
            A file of rows `N rank / world_size` to `N (rank + 1) / world_size`; it may have none.

        Raises:
            InputError: unless `0 <= rank < world_size`.
        """
        if not 0 <= rank < world_size:
            raise InputError(f"expected 0 <= rank < world_size, got rank {rank} and world_size {world_size}")
        cuts = [self.start + self.num_rows * part // world_size for part in (rank, rank + 1)]
        return replace(self, start=cuts[0], stop=cuts[1])


@names_options
def open_features(
    path: str | Path,
    *,
    features: str = "features",
    labels: str | Path = "labels",
    split: str | None = None,
    batch_size: int | None = None,
    ignore_index: int = -100,
    max_bytes: int = MAX_BYTES,
) -> FeatureFile:
    """Open features and labels on disk for streaming; only headers are read.

    Args:
        path: a file, a folder of shards, a pattern, or an index `.json`. A `.npy` file holds the features; its
            labels stand beside it, with "labels" for "features" in the name.
        features: name of the array or column (N, d). In parquet, columns `f0 ... f{d-1}` do as well.
        labels: name of the array or column (N,), or the path of a file that holds it. Strings become class numbers: places
            in `class_names` if the file has them, else in the sorted strings of all splits. (N, 1) is taken too.
        split: which split to read where there are several: arrays `train/features` or `features_train`, files
            `train-*` or subfolders `train`.
        batch_size: most rows in a batch; as many as fit 32 MiB if None.
        ignore_index: label that `num_classes` does not count; its rows are still given.
        max_bytes: what a compressed array may expand to if that is over 100 times its file.

    Returns:
        The open file, to iterate.

    Raises:
        FileFormatError: if the file is missing, damaged, of another kind, or its arrays do not fit together.
        InputError: if `batch_size` is not positive.

    Examples:
        >>> import tempfile
        >>> from safetensors.torch import save_file
        >>> arrays = {"features": torch.randn(6, 3), "labels": torch.tensor([0, 1, 2, 0, 1, 2])}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file(arrays, f"{folder}/run.safetensors")
        ...     file = open_features(f"{folder}/run.safetensors", batch_size=4)
        ...     file.num_rows, file.dim, file.num_classes
        ...     [tuple(features.shape) for features, _ in file]
        (6, 3, 3)
        [(4, 3), (2, 3)]
    """
    path = Path(path)
    if batch_size is not None and batch_size < 1:
        raise InputError(f"expected batch_size of at least 1, got {batch_size}")
    chosen = split
    files, split = choose_files(path, features, split)
    if is_array_path(labels) and len(files) > 1:
        raise FileFormatError(path, f"it stands for {len(files)} files, which one file of labels cannot serve")
    parts = [open_part(file, features, labels, split, max_bytes) for file in files]
    first = parts[0].entry
    for part in parts[1:]:
        if (part.entry.shape[1], part.entry.dtype) != (first.shape[1], first.dtype):
            raise FileFormatError(
                part.features.path,
                f"its features are {part.entry}, those of the first shard {first}: d or dtype differ",
            )
    assert first.dtype is not None  # noqa: S101 - open_part has seen to it
    fitting = _BLOCK_BYTES // (first.shape[1] * first.dtype.itemsize)
    size = batch_size or min(max(fitting, 1), _MAX_BATCH)
    if any(part.has_text_labels for part in parts):
        others = [name for name in splits_of(path, features) if name != chosen]
        parts = name_labels(path, parts, _parts_of(path, features, labels, others, max_bytes))
    return FeatureFile(path, tuple(parts), size, 0, sum(part.rows for part in parts), ignore_index)


def _parts_of(path: Path, features: str, labels: str | Path, splits: list[str], max_bytes: int) -> list[Part]:
    parts = []
    for name in splits:
        files, split = choose_files(path, features, name)
        parts += [open_part(file, features, labels, split, max_bytes) for file in files]
    return parts


@names_options
def feature_splits(path: str | Path, *, features: str = "features") -> list[str]:
    """Names such as `["train", "test"]` that `open_features(path, split=...)` can read; empty for one unnamed set.

    The arguments and the errors are those of `open_features`.
    """
    return splits_of(Path(path), features)
