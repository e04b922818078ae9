"""Read a run folder: every field checked, every string made safe to print, every array checked for shape."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from .._errors import FileFormatError
from .._files import load_tensors
from .._records import read_struct, shown
from .._schema import ARRAYS, Definition, Metric, Result, Sentence
from ._history import Curve, read_history
from ._place import RESULT, require_result
from ._text import clean

_NO_VERDICT = Sentence("note", "This run holds measurements and no verdict.")
_MAX_CLASSES = 2**24
_K, _D, _ANY = "K", "d", "any"  # lengths of the axes of arrays
_SHAPES = {
    "class_means": (_K, _D), "normalized_means": (_K, _D), "weight": (_K, _D), "target": (_K, _D),
    "counts": (_K,), "bias": (_K,), "features_sample": (_ANY, _D), "labels_sample": (_ANY,),
    "margin_edges": (_ANY,), "margin_counts": (_ANY,),
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A checked run folder. `info` is the whole of `result.json`."""

    num_classes: int
    dim: int
    info: Result
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    history: dict[str, Curve] = field(default_factory=dict)

    @cached_property
    def classes(self) -> list[str]:
        """A name for each class."""
        return self.info.class_names or [f"class {k}" for k in range(self.num_classes)]

    @property
    def splits(self) -> list[str]:
        """The names of the splits; the empty name where there is one unnamed split."""
        return self.info.splits or [""]

    def definition(self, name: str) -> Definition:
        """The definition of a metric; `@weight` shares the one of the class means."""
        definitions, base = self.info.definitions or {}, name.partition("@")[0]
        known = definitions.get(name) or definitions.get(base) or Definition(title=name)
        if name != base and name not in definitions:
            of = name.removeprefix(f"{base}@")
            return replace(known, title=f"{known.title}, of the weights" if of == "weight" else f"{known.title} ({of})")
        return known

    def find(self, name: str, split: str = "", layer: str = "") -> Metric | None:
        """The row of a metric, if there is one."""
        return self._index.get((name, split, layer))

    def best(self, row: Metric) -> float | None:
        """The best value possible: the optimum of this (K, d), or the value at collapse where that is one number.

        The value at collapse may name another metric, such as a floor, which is then looked up in the same place.
        """
        if row.optimum is not None:
            return row.optimum
        text = self.definition(row.name).at_collapse
        other = self.find(text, row.split, row.layer)
        if other is not None:
            return other.value
        return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else None

    def best_of(self, name: str, split: str) -> float | None:
        """The best value possible of a metric that was measured on a split."""
        row = self.find(name, split)
        return None if row is None else self.best(row)

    @cached_property
    def _index(self) -> dict[tuple[str, str, str], Metric]:
        return {(row.name, row.split, row.layer): row for row in self.info.metrics}

    def array(self, name: str, split: str | None = None) -> np.ndarray | None:
        """A stored array, of a split or (`None`) of the classifier."""
        return self.arrays.get(f"{split}/{name}" if split else name)

    @property
    def headline(self) -> Sentence:
        """The first sentence of the verdict, with its tone."""
        return next(iter(self.info.verdict or []), _NO_VERDICT)

    @property
    def zero_error_epoch(self) -> int | None:
        """The first epoch at which every training sample is classified correctly."""
        return self.info.training.zero_error_epoch if self.info.training else None


def read_run(folder: str | Path) -> Run:
    """Read and check a run folder.

    Raises:
        FileFormatError: if the folder is no run, or a file in it is damaged or does not fit the others.
    """
    path = require_result(folder, RESULT)
    result = read_struct(path, Result, clean)
    run = Run(*_size(path, result), result)
    if result.class_names is not None and len(result.class_names) != run.num_classes:
        raise FileFormatError(path, f"expected {run.num_classes} class names, found {len(result.class_names)}")
    tensors, table = path.with_name("arrays.safetensors"), path.with_name("history.parquet")
    if tensors.exists():
        run.arrays.update(_read_arrays(tensors, run))
    if table.exists():
        named = result.training.history if result.training else None
        run.history.update(read_history(table, named.sha256 if named else None))
    return run


def read_size(folder: str | Path) -> tuple[int, int]:
    """K and d of a run, from the result file alone; what is no run ends in a `FileFormatError`, as in `read_run`."""
    path = require_result(folder, RESULT)
    return _size(path, read_struct(path, Result))


def _size(path: Path, result: Result) -> tuple[int, int]:
    K, d = result.num_classes, result.dim
    if K is None or d is None:  # a result that was made by hand may have neither
        name = "num_classes" if K is None else "dim"
        raise FileFormatError(path, f"expected an integer at {name}, found nothing there")
    if not (1 <= K <= _MAX_CLASSES and 1 <= d < 2**63):  # a name is made for each class
        sizes = f"found {shown(K)} and {shown(d)}"
        raise FileFormatError(path, f"expected num_classes from 1 to {_MAX_CLASSES} and dim of at least 1, {sizes}")
    return K, d


def _read_arrays(path: Path, run: Run) -> dict[str, np.ndarray]:
    tensors, _ = load_tensors(path, schema=ARRAYS, digest=run.info.arrays.sha256 if run.info.arrays else None)
    arrays = {}
    for name in sorted(tensors):
        key, tensor = clean(name), tensors[name]
        if str(tensor.dtype) == "torch.bfloat16":  # numpy has no bfloat16
            tensor = tensor.float()
        arrays[key] = tensor.numpy()
        _check_array(path, key, arrays[key], {_K: run.num_classes, _D: run.dim})
    for key, array in arrays.items():
        kind = key.rpartition("/")[2]
        if kind == "margin_edges":
            _check_partner(path, arrays, key, "margin_counts", 1)
            if not np.all(np.diff(array) > 0):
                raise FileFormatError(path, f"expected increasing edges in {key}")
        elif kind == "features_sample":
            _check_partner(path, arrays, key, "labels_sample", 0)
    return arrays


def _check_array(path: Path, key: str, array: np.ndarray, sizes: dict[str, int]) -> None:
    if (axes := _SHAPES.get(key.rpartition("/")[2])) is None:
        return
    wanted = tuple(sizes.get(axis, axis) for axis in axes)
    if array.ndim != len(wanted) or any(e not in (_ANY, n) for e, n in zip(wanted, array.shape, strict=True)):
        raise FileFormatError(path, f"expected {key} of shape {wanted}, found {array.shape}")
    if np.isinf(array.astype(np.float64)).any():
        raise FileFormatError(
            path, f"expected finite numbers (or NaN rows for absent classes) in {key}, found infinity"
        )


def _check_partner(path: Path, arrays: dict[str, np.ndarray], key: str, other: str, more: int) -> None:
    partner = f"{key.rpartition('/')[0]}/{other}".lstrip("/")
    if partner not in arrays or len(arrays[key]) != len(arrays[partner]) + more:
        found = len(arrays[partner]) if partner in arrays else "none"
        raise FileFormatError(path, f"{key} has {len(arrays[key])} rows and does not fit {partner} ({found})")
