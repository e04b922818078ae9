"""Tables of metrics: a row a metric, its values side by side for the splits of a run or for several runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .._schema import Definition, Flag, Metric
from ._run import Run
from ._text import number

_LAYER = "Layer: "


class Cell(NamedTuple):
    """A value as it is read; in full for those who copy it, or why there is none; and the best value possible."""

    text: str
    full: str
    best: str = ""
    measured: bool = True


@dataclass(frozen=True)
class Row:
    """A metric of one layer."""

    name: str
    definition: Definition
    cells: list[Cell]
    optimum: str = ""
    notes: Sequence[str] = ()

    @property
    def measured(self) -> bool:
        """Whether at least one cell has a number."""
        return any(cell.measured for cell in self.cells)


class Group(NamedTuple):
    """Rows under one heading: a family of metrics, an inner layer, a split. What is `folded` opens on demand."""

    heading: str
    rows: list[Row]
    folded: bool


def cell(run: Run, row: Metric | None) -> Cell:
    """What a run has of a metric."""
    if row is None:
        return Cell("—", "not measured", measured=False)
    if row.value is None:
        return Cell("absent", row.absent or "no reason was written", measured=False)
    best = run.best(row)
    return Cell(number(row.value), repr(row.value), "" if best is None else number(best))


def table(run: Run) -> list[Group]:
    """Every metric of the run: by family for the input of the classifier, then layer by layer."""
    groups: dict[str, list[Row]] = {}
    pairs = list(dict.fromkeys((row.layer, row.name) for row in run.info.metrics))
    for layer, name in sorted(pairs, key=lambda pair: pair[0] != ""):  # stable: keeps the order of the result
        heading = f"{_LAYER}{layer}" if layer else run.definition(name).family or name.partition("/")[0]
        groups.setdefault(heading, []).append(_row(run, name, layer))
    return [Group(heading, rows, heading.startswith(_LAYER)) for heading, rows in groups.items()]


def _row(run: Run, name: str, layer: str) -> Row:
    found = [run.find(name, split, layer) for split in run.splits]
    cells = [cell(run, row) for row in found]
    optimum = " / ".join(dict.fromkeys(one.best for one in cells if one.best)) or "—"
    reasons = dict.fromkeys(row.absent for row in found if row is not None and row.value is None and row.absent)
    # Flags that concern this metric by its key or its name.
    keys = {name, *(row.key for row in found if row is not None)}
    flags = dict.fromkeys(flag.sentence for flag in run.info.flags if flag.where in keys)
    return Row(name, run.definition(name), cells, optimum, [*(f"Absent: {reason}" for reason in reasons), *flags])


def general_flags(run: Run) -> list[Flag]:
    """All flags, warnings first; equal sentences once, with all the places they hold for."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for flag in sorted(run.info.flags, key=lambda flag: flag.severity != "warning"):
        places.setdefault((flag.code, flag.sentence, flag.severity), []).append(flag.where)
    return [Flag(sentence, code, _places(where), severity) for (code, sentence, severity), where in places.items()]


def _places(where: list[str]) -> str:
    named = list(dict.fromkeys(place for place in where if place))
    return ", ".join(named[:4]) + (f" and {len(named) - 4} more" if len(named) > 4 else "")
