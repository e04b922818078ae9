"""Result files: numbers, definitions and flags as JSON and Parquet, tensors as safetensors. The report reads only these."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .._environment import command_line, environment
from .._errors import FileFormatError
from .._files import atomic_path, load_tensors, read_json, save_tensors, write_json
from ._registry import describe
from ._result import CollapseResult, Flag
from ._verdict import verdict

SCHEMA = "neucollapse/result/1"
ARRAYS_SCHEMA = "neucollapse/arrays/1"
_OWN = ("title", "class_names", "classifier", "seed", "training")


def save_result(result: CollapseResult, folder: str | Path) -> Path:
    """Write ``arrays.safetensors``, ``metrics.parquet`` and, last, ``result.json`` into a folder."""
    folder = Path(folder)
    save_tensors(folder / "arrays.safetensors", result.arrays, schema=ARRAYS_SCHEMA, metadata={})
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
    }
    write_json(folder / "result.json", content, schema=SCHEMA)
    return folder


def load_result(folder: str | Path) -> CollapseResult:
    """Read a folder written by ``save_result``.

    Raises:
        FileFormatError: if a file is missing, damaged, or of another kind.
    """
    folder = Path(folder)
    content = read_json(folder / "result.json", schema=SCHEMA)
    arrays, _ = load_tensors(folder / "arrays.safetensors", schema=ARRAYS_SCHEMA)
    try:
        rows: list[dict[str, Any]] = content.pop("metrics")
        flags = [Flag(**flag) for flag in content.pop("flags")]
        splits = tuple(content.pop("splits"))
        return CollapseResult(
            numbers={row["key"]: row["value"] for row in rows if row["value"] is not None},
            optima={row["key"]: row["optimum"] for row in rows if row["optimum"] is not None},
            absent={row["key"]: row["absent"] for row in rows if row["absent"] is not None},
            flags=flags,
            arrays=arrays,
            info={key: value for key, value in content.items() if key not in ("schema", "definitions", "verdict")},
            splits=splits,
        )
    except (KeyError, TypeError) as error:
        raise FileFormatError(folder / "result.json", f"its contents do not fit together ({error!r})") from None


def result_rows(result: CollapseResult) -> Iterator[dict[str, Any]]:
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
