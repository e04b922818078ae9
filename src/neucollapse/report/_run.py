"""Read a run folder: every field checked, every string made safe to print, every array checked for shape."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import FileFormatError
from .._files import fitting_contents, load_tensors, read_json
from ._history import Curve, read_history
from ._place import RESULT, require_result
from ._text import clean

RESULT_SCHEMA = "neucollapse/result/1"
ARRAYS_SCHEMA = "neucollapse/arrays/1"


@dataclass(frozen=True)
class Metric:
    """One row of the result: a number, or the reason why it is absent."""

    key: str
    split: str
    name: str
    layer: str
    value: float | None
    optimum: float | None
    absent: str | None


@dataclass(frozen=True)
class Definition:
    """What a metric means. ``log`` says that it is read on a logarithmic axis."""

    title: str
    symbol: str = ""
    definition: str = ""
    range: str = ""
    at_collapse: str = ""
    citation: str = ""
    family: str = ""
    log: bool = False


@dataclass(frozen=True)
class Flag:
    """A sentence a reader must know beside the numbers."""

    code: str
    sentence: str
    where: str
    severity: str


@dataclass(frozen=True)
class Run:
    """A checked run folder. ``info`` holds the remaining fields of ``result.json`` as they are."""

    num_classes: int
    dim: int
    classes: list[str]
    splits: list[str]
    metrics: list[Metric]
    definitions: dict[str, Definition]
    flags: list[Flag]
    info: dict[str, Any]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    history: dict[str, Curve] = field(default_factory=dict)

    def definition(self, name: str) -> Definition:
        """The definition of a metric; ``@weight`` shares the one of the class means."""
        base = name.partition("@")[0]
        known = self.definitions.get(name) or self.definitions.get(base) or Definition(title=name)
        if name != base and name not in self.definitions:
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

    @cached_property
    def _index(self) -> dict[tuple[str, str, str], Metric]:
        return {(row.name, row.split, row.layer): row for row in self.metrics}

    def array(self, name: str, split: str | None = None) -> np.ndarray | None:
        """A stored array, of a split or (``None``) of the classifier."""
        return self.arrays.get(f"{split}/{name}" if split else name)

    @property
    def headline(self) -> dict[str, str]:
        """The first sentence of the verdict, with its tone."""
        missing = {"tone": "note", "text": "This run holds measurements and no verdict."}
        return next(iter(self.info.get("verdict") or []), missing)

    @property
    def zero_error_epoch(self) -> int | None:
        """The first epoch at which every training sample is classified correctly."""
        return (self.info.get("training") or {}).get("zero_error_epoch")


def read_run(folder: str | Path) -> Run:
    """Read and check a run folder.

    Raises:
        FileFormatError: if the folder is no run, or a file in it is damaged or does not fit the others.
    """
    path = require_result(folder, RESULT)
    folder = path.parent
    content = read_json(path, schema=RESULT_SCHEMA)
    with fitting_contents(path):
        info = clean(content)
        run = _checked(path, info)
    tensors = folder / "arrays.safetensors"
    if tensors.exists():
        named = checked_field(path, info, "arrays", dict, default={})
        digest = checked_field(path, named, "sha256", str, "arrays", default=None)
        run.arrays.update(_read_arrays(tensors, run, digest))
    table = folder / "history.parquet"
    if table.exists():
        training = checked_field(path, info, "training", dict, default=None) or {}
        named = checked_field(path, training, "history", dict, "training", default={})
        run.history.update(read_history(table, checked_field(path, named, "sha256", str, "history", default=None)))
    return run


def read_size(folder: str | Path) -> tuple[int, int]:
    """K and d of a run, from its result file alone.

    Raises:
        FileFormatError: as ``read_run``.
    """
    path = require_result(folder, RESULT)
    info = read_json(path, schema=RESULT_SCHEMA)
    return checked_field(path, info, "num_classes", int), checked_field(path, info, "dim", int)


_KINDS = {
    int: "an integer",
    str: "a string",
    list: "a list",
    dict: "an object",
    bool: "true or false",
    float: "a number",
}


def checked_field(path: Path, row: Any, key: str, kind: type, where: str = "", *, default: Any = ...) -> Any:
    """``row[key]`` checked for its JSON type; ``default`` (also for null) makes it optional."""
    place = f"{where}.{key}" if where else key
    if not isinstance(row, dict):
        raise FileFormatError(path, f"expected an object at {where}, found {row!r:.60}")
    value = row.get(key)
    if value is None and default is not ...:
        return default
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise FileFormatError(path, f"expected {_KINDS[kind]} at {place}, found {value!r:.60}")
    return value


def checked_rows(path: Path, info: dict[str, Any], key: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The entries of the list ``info[key]``, each with its place in the file."""
    return ((row, f"{key}[{index}]") for index, row in enumerate(checked_field(path, info, key, list, default=[])))


_MAX_CLASSES = 2**24
_OPTIONAL = {
    "title": str, "created": str, "command": str, "classifier": str, "seed": int, "environment": dict, "training": dict,
    "citations": list, "verdict": list,
}  # fmt: skip


def _checked(path: Path, info: dict[str, Any]) -> Run:
    K, d = checked_field(path, info, "num_classes", int), checked_field(path, info, "dim", int)
    if not (1 <= K <= _MAX_CLASSES and d >= 1):  # a name is made for each class
        raise FileFormatError(
            path, f"expected num_classes from 1 to {_MAX_CLASSES} and dim of at least 1, found {K} and {d}"
        )
    names = checked_field(path, info, "class_names", list, default=None)
    if names is not None and len(names) != K:
        raise FileFormatError(path, f"expected {K} class names, found {len(names)}")
    for row, where in checked_rows(path, info, "verdict"):
        for key in ("tone", "text"):
            checked_field(path, row, key, str, where)
    for key, kind in _OPTIONAL.items():
        info[key] = checked_field(path, info, key, kind, default=None)
    for key in ("zero_error_epoch", "epochs"):
        checked_field(path, info.get("training") or {}, key, int, "training", default=None)
    definitions = checked_field(path, info, "definitions", dict, default={})
    return Run(
        num_classes=K,
        dim=d,
        classes=[str(name) for name in names] if names else [f"class {k}" for k in range(K)],
        splits=[str(split) for split in checked_field(path, info, "splits", list, default=[])] or [""],
        metrics=[_metric(path, row, where) for row, where in checked_rows(path, info, "metrics")],
        definitions={name: _definition(path, row, f"definitions[{name!r}]") for name, row in definitions.items()},
        flags=[_flag(path, row, where) for row, where in checked_rows(path, info, "flags")],
        info=info,
    )


def _metric(path: Path, row: Any, where: str) -> Metric:
    words = {key: checked_field(path, row, key, str, where) for key in ("key", "name")}
    words |= {key: checked_field(path, row, key, str, where, default="") for key in ("split", "layer")}
    numbers = {key: checked_field(path, row, key, float, where, default=None) for key in ("value", "optimum")}
    return Metric(**words, **numbers, absent=checked_field(path, row, "absent", str, where, default=None))


def _definition(path: Path, row: Any, where: str) -> Definition:
    words = ("symbol", "definition", "range", "at_collapse", "citation", "family")
    return Definition(
        title=checked_field(path, row, "title", str, where),
        log=checked_field(path, row, "log", bool, where, default=False),
        **{key: checked_field(path, row, key, str, where, default="") for key in words},
    )


def _flag(path: Path, row: Any, where: str) -> Flag:
    words = {key: checked_field(path, row, key, str, where, default="") for key in ("code", "where", "severity")}
    return Flag(sentence=checked_field(path, row, "sentence", str, where), **words)


def _read_arrays(path: Path, run: Run, digest: str | None) -> dict[str, np.ndarray]:
    tensors, _ = load_tensors(path, schema=ARRAYS_SCHEMA, digest=digest)
    arrays = {}
    for name in sorted(tensors):
        key, tensor = clean(name), tensors[name]
        if str(tensor.dtype) == "torch.bfloat16":  # numpy has no bfloat16
            tensor = tensor.float()
        arrays[key] = tensor.numpy()
        _check_array(path, key, arrays[key], run)
    _check_pairs(path, arrays)
    return arrays


def _check_array(path: Path, key: str, array: np.ndarray, run: Run) -> None:
    K, d = run.num_classes, run.dim
    shapes = {
        "class_means": (K, d), "normalized_means": (K, d), "weight": (K, d), "target": (K, d),
        "counts": (K,), "bias": (K,), "features_sample": (None, d), "labels_sample": (None,),
        "margin_edges": (None,), "margin_counts": (None,),
    }  # fmt: skip
    expected = shapes.get(key.rpartition("/")[2])
    if expected is None:
        return
    if array.ndim != len(expected) or any(e not in (None, n) for e, n in zip(expected, array.shape, strict=True)):
        wanted = tuple("any" if size is None else size for size in expected)
        raise FileFormatError(path, f"expected {key} of shape {wanted}, found {array.shape}")
    if np.isinf(array.astype(np.float64)).any():
        raise FileFormatError(
            path, f"expected finite numbers (or NaN rows for absent classes) in {key}, found infinity"
        )


def _check_pairs(path: Path, arrays: dict[str, np.ndarray]) -> None:
    for one, other, difference in (("margin_edges", "margin_counts", 1), ("features_sample", "labels_sample", 0)):
        for key in [key for key in arrays if key.rpartition("/")[2] == one]:
            partner = key.removesuffix(one) + other
            if partner not in arrays or len(arrays[key]) != len(arrays[partner]) + difference:
                found = len(arrays[partner]) if partner in arrays else "none"
                raise FileFormatError(path, f"{key} has {len(arrays[key])} rows and does not fit {partner} ({found})")
    for key in [key for key in arrays if key.rpartition("/")[2] == "margin_edges"]:
        if not np.all(np.diff(arrays[key]) > 0):
            raise FileFormatError(path, f"expected increasing edges in {key}")
