"""Read and write files of a declared structure: JSON objects and tables, checked against `_schema`."""

import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from ._errors import FileFormatError
from ._files import atomic_path, fitting_contents, one_line, read_json, write_json
from ._schema import Result, SimulationFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

S = TypeVar("S", bound=Struct)
F = TypeVar("F", Result, SimulationFile)

_WORDS = {
    "int": "an integer", "float": "a number", "str": "a string", "bool": "true or false", "array": "a list",
    "object": "an object",
}  # fmt: skip
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])")


def checked(path: str | Path, content: Any, kind: type[S]) -> S:
    """JSON content as an object of this structure; every type is checked.

    Raises:
        FileFormatError: says which field of the file `path` is not as expected, and what stands there.

    Examples:
        >>> checked("a.json", {"metrics": 3, "flags": [], "splits": []}, Result)
        Traceback (most recent call last):
        neucollapse._errors.FileFormatError: cannot use a.json: expected a list at metrics, found 3
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise FileFormatError(path, _sentence(str(error), content)) from None


def read_struct(path: Path, kind: type[F], clean: Callable[[Any], Any] = lambda content: content) -> F:
    """Read a JSON file of this structure, whose content goes through `clean` first; `checked` says what does not fit."""
    content = read_json(path, schema=kind.SCHEMA)
    with fitting_contents(path):
        return checked(path, clean(content), kind)


def write_struct(path: Path, content: Result | SimulationFile) -> None:
    """Write a JSON file of this structure, atomically."""
    write_json(path, msgspec.to_builtins(content), schema=content.SCHEMA)


def write_table(path: Path, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> str:
    """Write rows of these columns as Parquet, atomically; the SHA-256 of the file, by which another file may know it."""
    import pyarrow
    import pyarrow.parquet

    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    table = pyarrow.table(values, schema=pyarrow.schema(list(columns.items())))
    with atomic_path(path) as temporary:
        pyarrow.parquet.write_table(table, temporary)
        return hashlib.sha256(temporary.read_bytes()).hexdigest()


def read_table(path: Path, columns: Mapping[str, str], digest: str | None = None) -> list["NDArray[Any]"]:
    """Read these columns of a Parquet table; a number that is missing is NaN.

    Raises:
        FileFormatError: if it is none, lacks a column or has one of another kind, or is not the file that `digest` names.
    """
    import pyarrow.parquet
    from pyarrow import ArrowException, types

    try:
        content = path.read_bytes()
        if digest is not None and hashlib.sha256(content).hexdigest() != digest:
            raise FileFormatError(path, f"it is not the {path.stem} that result.json names: of another run, or changed")
        table = pyarrow.parquet.read_table(io.BytesIO(content), columns=list(columns))
        for name, kind in columns.items():
            fits = (
                types.is_string
                if kind == "string"
                else lambda found: types.is_integer(found) or types.is_floating(found)
            )
            if not fits(table[name].type) or (kind == "string" and table[name].null_count):
                raise ValueError(f"{name} is {table[name].type} with {table[name].null_count} empty rows, not {kind}")
        return [table[name].to_numpy() for name in columns]
    except (ArrowException, KeyError, ValueError, OSError) as error:
        if isinstance(error, FileFormatError):
            raise
        wanted = f"expected a parquet table with columns {', '.join(columns)}"
        raise FileFormatError(path, f"{wanted} ({one_line(error)})") from None


def _sentence(message: str, content: Any) -> str:
    """What msgspec says ("Expected `int`, got `str` - at `$.a`"), in our words and with the value that was found."""
    said, _, place = message.partition(" - at `$")
    missing = re.search(r"missing required field `(\w+)`", said)
    expected = re.match(r"Expected `([^`]*)`", said)
    found, where = next(_found(content, place.rstrip("`"), missing[1] if missing else None), (None, ""))
    if missing:
        return f"expected {where}, found nothing there"
    if expected:
        # A field that may be null says what it holds if it is there.
        words = " or ".join(_WORDS.get(name, name) for name in expected[1].split(" | ") if name != "null")
        return f"expected {words} at {where or 'the top'}, found {shown(found)}"
    return f"{said[:1].lower()}{said[1:80]} at {where or 'the top'}, found {shown(found)}"


def shown(value: Any) -> str:
    """A value from a file as a sentence quotes it: whatever it is, and however long."""
    if isinstance(value, int) and value.bit_length() > 64:  # too many digits have no text
        return f"an integer of {value.bit_length()} bits"
    return f"{value!r:.60}"


def _found(value: Any, place: str, missing: str | None, where: str = "") -> Iterator[tuple[Any, str]]:
    """What stands at a place such as `.metrics[0].value`; any key of an object may be meant by `[...]`."""
    step = _STEP.match(place)
    if step is None:
        if missing is None or (isinstance(value, dict) and missing not in value):
            yield value, f"{where}.{missing}".lstrip(".") if missing else where
        return
    rest = place[step.end() :]
    if step[1] and isinstance(value, dict) and step[1] in value:
        yield from _found(value[step[1]], rest, missing, f"{where}.{step[1]}".lstrip("."))
    elif step[2] and isinstance(value, list) and int(step[2]) < len(value):
        yield from _found(value[int(step[2])], rest, missing, f"{where}[{step[2]}]")
    elif step[3] and isinstance(value, dict):
        for key, inner in value.items():
            yield from _found(inner, rest, missing, f"{where}[{key!r:.60}]")
