"""How models write the rows of a run, and how findings read them and draw them."""

from collections.abc import Mapping, Sequence
from typing import Literal

from ._model import Line, Plot, Row, series

Role = Literal["found", "predicted", "baseline"]


def record(name: str, x: int | float, numbers: Mapping[str, float]) -> list[Row]:
    """A row of the series ``name`` at ``x`` for each number.

    Examples:
        >>> record("path", 3, {"loss": 0.5})
        [Row(series='path', x=3.0, key='loss', value=0.5)]
    """
    return [Row(name, float(x), key, value) for key, value in numbers.items()]


def last(rows: Sequence[Row], name: str) -> dict[str, float]:
    """The last value of each key of a series.

    Examples:
        >>> last([*record("path", 0, {"loss": 0.5}), *record("path", 1, {"loss": 0.25})], "path")
        {'loss': 0.25}
    """
    return {row.key: row.value for row in rows if row.series == name}


def curve(
    rows: Sequence[Row],
    key: str,
    name: str | None = None,
    *,
    label: str = "",
    role: Role = "found",
    points: bool = False,
) -> Line:
    """A key of a series as a line, called by its series unless it has a label."""
    return Line(label or name or key, *series(rows, key, name), role, points)


def level(label: str, value: float, lines: Sequence[Line]) -> Line:
    """A predicted number, drawn as far as these lines go.

    Examples:
        >>> level("predicted", 0.5, [Line("found", [0.0, 1.0, 2.0], [0.0, 0.3, 0.4])]).x
        [0.0, 2.0]
    """
    xs = [x for line in lines for x in line.x if x is not None]
    return Line(label, [min(xs), max(xs)], [value, value], "predicted")


def metric_plot(
    key: str, x: str, lines: Sequence[Line], caption: str, *, log_x: bool = True, log_y: bool = True
) -> Plot:
    """Lines of a metric of the registry, which titles the plot and lets a measured run be drawn into it."""
    return Plot(key, x, key, lines, caption, log_x, log_y, key)
