"""Result files: numbers, definitions and flags as JSON and Parquet, tensors as safetensors. The report reads only these."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .._environment import command_line, environment
from .._errors import FileFormatError, FileWriteError, InputError
from .._files import atomic_path, fitting_contents, load_tensors, read_json, save_tensors, write_json
from .._run_folder import held
from ._registry import describe
from ._tables import Flag, Tables
from ._verdict import verdict

SCHEMA = "neucollapse/result/1"
ARRAYS_SCHEMA = "neucollapse/arrays/1"
_ARRAYS = "arrays.safetensors"
_PATIENCE = 20.0  # seconds that another process has to write its result
_OWN = ("title", "class_names", "classifier", "seed", "training")


def save_result(result: Tables, folder: str | Path) -> Path:
    """Write ``arrays.safetensors``, ``metrics.parquet`` and, last, ``result.json`` into a folder, one process at a time.

    Raises:
        InputError: if another process works in the folder and does not end soon.
        FileWriteError: if a file cannot be written.
    """
    with held(folder, wait=_PATIENCE, doing="writing in") as folder:
        return write_result(result, folder)


def write_result(result: Tables, folder: Path) -> Path:
    """``save_result`` for a caller that holds the folder already."""
    digest = save_tensors(folder / _ARRAYS, result.arrays, schema=ARRAYS_SCHEMA, metadata={})
    rows = list(result_rows(result))
    write_table(folder / "metrics.parquet", rows)
    info = result.info
    content = {
        **{key: info.get(key) for key in _OWN},
        "title": info.get("title") or "Collapse",
        "created": info.get("created") or datetime.now(UTC).isoformat(timespec="seconds"),
        "command": info.get("command") or command_line(),
        "environment": info.get("environment") or environment(),
        "num_classes": info.get("num_classes"),
        "dim": info.get("dim"),
        "splits": list(result.splits),
        "verdict": [{"tone": tone, "text": text} for tone, text in verdict(result)],
        "metrics": rows,
        "definitions": describe(row["name"] for row in rows),
        "flags": [
            {"code": f.code, "sentence": f.sentence, "where": f.where, "severity": f.severity} for f in result.flags
        ],
        "citations": list(info.get("citations", ())),
        "arrays": {"sha256": digest},
    }
    write_json(folder / "result.json", content, schema=SCHEMA)
    return folder


def read_result(folder: str | Path) -> dict[str, Any]:
    """Read a folder written by ``save_result``: the fields of ``Tables``.

    Raises:
        FileFormatError: if a file is missing, damaged, of another kind, or the arrays are those of another result.
    """
    folder = Path(folder)
    try:
        return _read(folder)
    except FileFormatError as error:
        if not (folder / "result.json").exists() or not (folder / ".lock").exists():
            raise
        # Another process may be half way through writing the files. Once it is done they fit, or never will.
        try:
            with held(folder, wait=_PATIENCE, doing="writing in"):
                return _read(folder)
        except (InputError, FileWriteError):
            raise error from None


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "result.json"
    content = read_json(path, schema=SCHEMA)
    with fitting_contents(path):
        digest = (content.pop("arrays", None) or {}).get("sha256")
        arrays, _ = load_tensors(folder / _ARRAYS, schema=ARRAYS_SCHEMA, digest=digest)
        rows = [_row(row) for row in content.pop("metrics")]
        flags = [Flag(**flag) for flag in content.pop("flags")]
        splits = tuple(content.pop("splits"))
        _texts("a flag", *(text for flag in flags for text in (flag.code, flag.sentence, flag.where, flag.severity)))
        _texts("a split", *splits)
        _texts("a citation", *content.get("citations", ()))
        return {
            "numbers": {key: value for key, value, _, _ in rows if value is not None},
            "optima": {key: optimum for key, _, optimum, _ in rows if optimum is not None},
            "absent": {key: reason for key, _, _, reason in rows if reason is not None},
            "flags": flags,
            "arrays": arrays,
            "info": {key: value for key, value in content.items() if key not in ("schema", "definitions", "verdict")},
            "splits": splits,
        }


def _row(row: dict[str, Any]) -> tuple[str, float | None, float | None, str | None]:
    key, numbers, absent = row["key"], (row["value"], row["optimum"]), row["absent"]
    _texts("a key", key)
    _texts(f"the reason why {key} is absent", *([] if absent is None else [absent]))
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float | None):
            raise TypeError(f"expected a number or null at {key}, found {number!r:.60}")
    value, optimum = (None if number is None else float(number) for number in numbers)
    return key, value, optimum, absent


def _texts(what: str, *texts: Any) -> None:
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"expected {what} to be a string, found {text!r:.60}")


def result_rows(result: Tables) -> Iterator[dict[str, Any]]:
    """The result as a long table: a row a key, measured or absent."""
    for key in [*result.numbers, *result.absent]:
        split, bare = _split_of(key, result.splits)
        name, _, layer = bare.partition("@layer:")
        yield {
            "key": key,
            "split": split,
            "name": name,
            "layer": layer,
            "value": result.numbers.get(key),
            "optimum": result.optima.get(key),
            "absent": result.absent.get(key),
        }


def _split_of(key: str, splits: tuple[str, ...]) -> tuple[str, str]:
    for split in splits:
        if key.startswith(f"{split}/"):
            return split, key.removeprefix(f"{split}/")
    return "", key


def write_table(path: str | Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as a Parquet table, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = {"key", "split", "name", "layer", "absent"}
    names = rows[0].keys() if rows else sorted(texts)
    fields = [(name, pa.string() if name in texts else pa.float64()) for name in names]
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(fields)), temporary)
