"""Result files: numbers, definitions and flags as JSON and Parquet, tensors as safetensors. The report reads only these."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .._environment import command_line, environment
from .._errors import FileFormatError, FileWriteError, InputError
from .._files import fitting_contents, load_tensors, read_json, save_tensors
from .._records import checked, write_struct, write_table
from .._run_folder import held
from .._schema import ARRAYS as ARRAYS_SCHEMA
from .._schema import METRICS, Definition, Digest, Metric, Result, Sentence, Training
from .._schema import Flag as StoredFlag
from ._registry import describe
from ._tables import Flag, Tables
from ._verdict import verdict

SCHEMA = Result.SCHEMA
_ARRAYS = "arrays.safetensors"
_ELSEWHERE = {"schema", "definitions", "verdict", "metrics", "flags", "splits", "arrays"}  # all but `info`
_PATIENCE = 20.0  # seconds that another process has to write its result


def save_result(result: Tables, folder: str | Path) -> Path:
    """Write `arrays.safetensors`, `metrics.parquet` and, last, `result.json` into a folder, one process at a time.

    Another process that works in the folder and does not end soon is an `InputError`, a file that cannot be written a
    `FileWriteError`.
    """
    with held(folder, wait=_PATIENCE, doing="writing in") as folder:
        return write_result(result, folder)


def write_result(result: Tables, folder: Path) -> Path:
    """`save_result` for a caller that holds the folder already."""
    training = _training(result.info.get("training"))  # before anything is written
    digest = save_tensors(folder / _ARRAYS, result.arrays, schema=ARRAYS_SCHEMA, metadata={})
    rows = list(result_rows(result))
    write_rows(folder / "metrics.parquet", rows)
    write_struct(folder / "result.json", _content(result, rows, digest, training))
    return folder


def _training(said: Any) -> Training | None:
    fields = Training.__struct_fields__
    if isinstance(said, dict) and (more := said.keys() - {*fields}):
        raise InputError(
            f"expected info['training'] to hold {', '.join(fields)} alone, got {min(map(str, more))!r} too"
        )
    return None if said is None else checked("info['training']", said, Training)


def _content(result: Tables, rows: list[Metric], digest: str, training: Training | None) -> Result:
    info = result.info
    return Result(
        num_classes=info.get("num_classes"),
        dim=info.get("dim"),
        title=info.get("title") or "Collapse",
        class_names=info.get("class_names"),
        classifier=info.get("classifier"),
        seed=info.get("seed"),
        training=training,
        created=info.get("created") or datetime.now(UTC).isoformat(timespec="seconds"),
        command=info.get("command") or command_line(),
        environment=info.get("environment") or environment(),
        splits=list(result.splits),
        verdict=[Sentence(tone, text) for tone, text in verdict(result)],
        metrics=rows,
        definitions={
            name: checked(name, words, Definition) for name, words in describe(row.name for row in rows).items()
        },
        flags=[StoredFlag(flag.sentence, flag.code, flag.where, flag.severity) for flag in result.flags],
        citations=list(info.get("citations", ())),
        arrays=Digest(digest),
    )


def read_result(folder: str | Path) -> dict[str, Any]:
    """Read a folder written by `save_result`: the fields of `Tables`.

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
        stored = checked(path, content, Result)
    digest = stored.arrays.sha256 if stored.arrays else None
    arrays, _ = load_tensors(folder / _ARRAYS, schema=ARRAYS_SCHEMA, digest=digest)
    return {
        "numbers": {row.key: row.value for row in stored.metrics if row.value is not None},
        "optima": {row.key: row.optimum for row in stored.metrics if row.optimum is not None},
        "absent": {row.key: row.absent for row in stored.metrics if row.absent is not None},
        "flags": [Flag(flag.code, flag.sentence, flag.where, flag.severity) for flag in stored.flags],
        "arrays": arrays,
        "info": {key: value for key, value in content.items() if key not in _ELSEWHERE},
        "splits": tuple(stored.splits),
    }


def result_rows(result: Tables) -> Iterator[Metric]:
    """The result as a long table: a row a key, measured or absent."""
    for key in [*result.numbers, *result.absent]:
        split, bare = _split_of(key, result.splits)
        name, _, layer = bare.partition("@layer:")
        numbers = {"value": result.numbers.get(key), "optimum": result.optima.get(key)}
        yield Metric(key=key, split=split, name=name, layer=layer, absent=result.absent.get(key), **numbers)


def _split_of(key: str, splits: tuple[str, ...]) -> tuple[str, str]:
    for split in splits:
        if key.startswith(f"{split}/"):
            return split, key.removeprefix(f"{split}/")
    return "", key


def write_rows(path: str | Path, rows: list[Metric]) -> None:
    """Write rows as a Parquet table, atomically."""
    write_table(Path(path), METRICS, ([getattr(row, name) for name in METRICS] for row in rows))
