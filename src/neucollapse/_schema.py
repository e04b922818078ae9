"""The structure of every file of a run, declared once: writers make these objects, readers check files against them.

A field that this version does not know is passed over, since a file may be from a newer version of the same schema. Columns of
tables are declared here too, and the names of the schemas of tensor files.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
from msgspec import Struct

from ._errors import FileFormatError
from ._files import read_json, write_json

ARRAYS = "neucollapse/arrays/1"


class Metric(Struct, frozen=True):
    """One row of a result: a number, or the reason why it is absent."""

    key: str
    name: str
    value: float | None
    optimum: float | None
    absent: str | None
    split: str = ""
    layer: str = ""


class Definition(Struct, frozen=True):
    """What a metric means. ``log`` says that it is read on a logarithmic axis."""

    title: str
    symbol: str = ""
    definition: str = ""
    range: str = ""
    at_collapse: str = ""
    citation: str = ""
    family: str = ""
    log: bool = False


class Flag(Struct, frozen=True):
    """A sentence that a reader must know beside the numbers."""

    sentence: str
    code: str = ""
    where: str = ""
    severity: str = ""


class Sentence(Struct, frozen=True):
    """A sentence of the verdict; its tone is good, fair, bad or note."""

    tone: str
    text: str


class Digest(Struct, frozen=True):
    """The SHA-256 of another file of the folder, by which the result knows it."""

    sha256: str | None = None


class Training(Struct, frozen=True):
    """How the measured model was trained."""

    zero_error_epoch: int | None = None
    epochs: int | None = None
    stopped_when: str | None = None
    config: dict[str, Any] | None = None
    files: dict[str, str] | None = None
    history: Digest | None = None


class Result(Struct, frozen=True):
    """``result.json``: a measurement."""

    SCHEMA: ClassVar[str] = "neucollapse/result/1"

    metrics: list[Metric]
    flags: list[Flag]
    splits: list[str]
    num_classes: int | None = None
    dim: int | None = None
    title: str | None = None
    class_names: list[str] | None = None
    classifier: str | None = None
    seed: int | None = None
    training: Training | None = None
    created: str | None = None
    command: str | None = None
    environment: dict[str, Any] | None = None
    verdict: list[Sentence] | None = None
    definitions: dict[str, Definition] | None = None
    citations: list[str] | None = None
    arrays: Digest | None = None


class Comparison(Struct, frozen=True):
    """A number that theory predicts beside the one that was found; ``title`` is that of the metric, where it is one."""

    name: str = ""
    title: str = ""
    predicted: float | None = None
    found: float | None = None
    meaning: str = ""


class Line(Struct, frozen=True):
    """A line of a plot; ``role`` is found, predicted or baseline. null is a gap."""

    x: list[float | None]
    y: list[float | None]
    name: str = ""
    role: str = ""
    points: bool = False


class Plot(Struct, frozen=True, tag_field="kind", tag="lines"):
    """Lines over a common axis; ``metric`` is the key of what stands on the y-axis, where it is one."""

    title: str = ""
    x: str = ""
    y: str = ""
    caption: str = ""
    lines: list[Line] = []
    log_x: bool = False
    log_y: bool = False
    metric: str = ""


class HeatMap(Struct, frozen=True, tag_field="kind", tag="heat"):
    """A table of numbers as colours, null where there is none: a row for each label of y."""

    x_labels: list[str]
    y_labels: list[str]
    values: list[list[float | None]]
    title: str = ""
    x: str = ""
    y: str = ""
    caption: str = ""


class SimulationFile(Struct, frozen=True):
    """``simulation.json``: what a model of the theory did, beside what was predicted."""

    SCHEMA: ClassVar[str] = "neucollapse/simulation/1"

    model: str
    title: str
    sentences: list[str]
    agrees: bool | None = None
    comparisons: list[Comparison] | None = None
    plots: list[Plot | HeatMap] | None = None
    settings: dict[str, Any] | None = None
    citations: list[str] | None = None
    seconds: float | None = None
    command: str | None = None
    environment: dict[str, Any] | None = None
    arrays: Digest | None = None


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
        FileFormatError: says which field of the file ``path`` is not as expected, and what stands there.

    Example:
        >>> checked("a.json", {"sentence": 3}, Flag)
        Traceback (most recent call last):
        neucollapse._errors.FileFormatError: cannot use a.json: expected a string at sentence, found 3
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise FileFormatError(path, _sentence(str(error), content)) from None


def read_struct(path: Path, kind: type[F]) -> F:
    """Read a JSON file of this structure.

    Raises:
        FileFormatError: if it is no such file, or damaged.
    """
    return checked(path, read_json(path, schema=kind.SCHEMA), kind)


def write_struct(path: Path, content: Result | SimulationFile) -> None:
    """Write a JSON file of this structure, atomically."""
    write_json(path, msgspec.to_builtins(content), schema=content.SCHEMA)


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
        return f"expected {words} at {where or 'the top'}, found {_short(found)}"
    return f"{said[:1].lower()}{said[1:80]} at {where or 'the top'}, found {_short(found)}"


def _short(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 64:  # too many digits have no text
        return f"an integer of {value.bit_length()} bits"
    return f"{value!r:.60}"


def _found(value: Any, place: str, missing: str | None, where: str = "") -> Iterator[tuple[Any, str]]:
    """What stands at a place such as ``.metrics[0].value``; any key of an object may be meant by ``[...]``."""
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
