"""Read the folder of a simulation: every field checked, every string made safe to print."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import FileFormatError
from .._files import fitting_contents, read_json
from ._place import SIMULATION, require_result
from ._run import checked_field, checked_rows
from ._text import clean

SCHEMA = "neucollapse/simulation/1"


@dataclass(frozen=True)
class Line:
    """A line of a plot; ``role`` is found, predicted, baseline or measured."""

    name: str
    x: np.ndarray
    y: np.ndarray
    role: str
    points: bool


@dataclass(frozen=True)
class Plot:
    """Lines over a common axis; ``metric`` is the key of what stands on the y-axis, where it is one."""

    title: str
    x: str
    y: str
    lines: list[Line]
    caption: str
    log_x: bool
    log_y: bool
    metric: str


@dataclass(frozen=True)
class HeatMap:
    """A table of numbers as colours, NaN where there is none."""

    title: str
    x: str
    y: str
    x_labels: list[str]
    y_labels: list[str]
    values: np.ndarray
    caption: str


@dataclass(frozen=True)
class Comparison:
    """A predicted number beside the one that was found; ``title`` is that of the metric, where it is one."""

    name: str
    title: str
    predicted: float | None
    found: float | None
    meaning: str


@dataclass(frozen=True)
class SimulationRun:
    """A checked simulation; ``info`` holds the remaining fields as they are."""

    model: str
    title: str
    sentences: list[str]
    agrees: bool | None
    comparisons: list[Comparison]
    plots: list[Plot | HeatMap]
    settings: dict[str, Any]
    info: dict[str, Any] = field(default_factory=dict)


def is_simulation(folder: str | Path) -> bool:
    """Whether a folder holds a simulation that ended."""
    return (Path(folder) / SIMULATION).exists()


def read_simulation(folder: str | Path) -> SimulationRun:
    """Read and check a folder that ``simulate`` wrote.

    Raises:
        FileFormatError: if the folder holds no simulation that ended, or its file is damaged.
    """
    path = require_result(folder, SIMULATION)
    content = read_json(path, schema=SCHEMA)
    with fitting_contents(path):
        return _checked(path, clean(content))


def _checked(path: Path, info: dict[str, Any]) -> SimulationRun:
    for key, kind in (("environment", dict), ("citations", list), ("command", str)):
        info[key] = checked_field(path, info, key, kind, default=None)
    return SimulationRun(
        model=checked_field(path, info, "model", str),
        title=checked_field(path, info, "title", str),
        sentences=[str(sentence) for sentence in checked_field(path, info, "sentences", list)],
        agrees=checked_field(path, info, "agrees", bool, default=None),
        comparisons=[_comparison(path, row, where) for row, where in checked_rows(path, info, "comparisons")],
        plots=[_plot(path, row, where) for row, where in checked_rows(path, info, "plots")],
        settings=checked_field(path, info, "settings", dict, default={}),
        info=info,
    )


def _comparison(path: Path, row: Any, where: str) -> Comparison:
    numbers = {key: checked_field(path, row, key, float, where, default=None) for key in ("predicted", "found")}
    words = {key: checked_field(path, row, key, str, where, default="") for key in ("name", "title", "meaning")}
    return Comparison(**words, **numbers)


def _plot(path: Path, row: Any, where: str) -> Plot | HeatMap:
    words = {key: checked_field(path, row, key, str, where, default="") for key in ("title", "x", "y", "caption")}
    if checked_field(path, row, "kind", str, where) == "heat":
        x_labels, y_labels = (
            [str(label) for label in checked_field(path, row, key, list, where)] for key in ("x_labels", "y_labels")
        )
        values = _numbers(path, checked_field(path, row, "values", list, where), f"{where}.values")
        if values.shape != (len(y_labels), len(x_labels)):
            raise FileFormatError(path, f"expected a value for every pair of labels at {where}, found {values.shape}")
        return HeatMap(**words, x_labels=x_labels, y_labels=y_labels, values=values)
    logs = {key: checked_field(path, row, key, bool, where, default=False) for key in ("log_x", "log_y")}
    metric = checked_field(path, row, "metric", str, where, default="")
    lines = [_line(path, line, f"{where}.{place}") for line, place in checked_rows(path, row, "lines")]
    return Plot(**words, lines=lines, **logs, metric=metric)


def _line(path: Path, row: Any, where: str) -> Line:
    x, y = (_numbers(path, checked_field(path, row, key, list, where), f"{where}.{key}") for key in ("x", "y"))
    if x.shape != y.shape or x.ndim != 1:
        raise FileFormatError(path, f"expected as many x as y at {where}, found {x.shape} and {y.shape}")
    words = {key: checked_field(path, row, key, str, where, default="") for key in ("name", "role")}
    return Line(**words, x=x, y=y, points=checked_field(path, row, "points", bool, where, default=False))


def _numbers(path: Path, values: list[Any], where: str) -> np.ndarray:
    try:
        return np.array(values, dtype=np.float64)  # null becomes NaN
    except (TypeError, ValueError):
        raise FileFormatError(path, f"expected numbers at {where}") from None
