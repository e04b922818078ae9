"""The table of every metric: a row a metric and layer, its values side by side for the splits."""

from dataclasses import dataclass

from .._schema import Definition, Flag, Metric
from ._run import Run
from ._text import number

_LAYER = "Layer: "


@dataclass(frozen=True)
class Cell:
    """A value as it is read, in full for those who copy it, and if it is absent the reason."""

    text: str
    full: str
    absent: str


@dataclass(frozen=True)
class Row:
    """A metric of one layer."""

    name: str
    definition: Definition
    cells: list[Cell]
    optimum: str
    notes: list[str]

    @property
    def measured(self) -> bool:
        """Whether at least one split has a number."""
        return any(not cell.absent for cell in self.cells)


@dataclass(frozen=True)
class Group:
    """Rows under one heading: a family of metrics, or an inner layer, which starts folded."""

    heading: str
    rows: list[Row]
    folded: bool


def table(run: Run) -> list[Group]:
    """Every metric of the run: by family for the input of the classifier, then layer by layer."""
    groups: dict[str, list[Row]] = {}
    pairs = list(dict.fromkeys((row.layer, row.name) for row in run.metrics))
    for layer, name in sorted(pairs, key=lambda pair: pair[0] != ""):  # stable: keeps the order of the result
        heading = f"{_LAYER}{layer}" if layer else run.definition(name).family or name.partition("/")[0]
        groups.setdefault(heading, []).append(_row(run, name, layer))
    return [Group(heading, rows, heading.startswith(_LAYER)) for heading, rows in groups.items()]


def _row(run: Run, name: str, layer: str) -> Row:
    found = [run.find(name, split, layer) for split in run.splits]
    bests = [run.best(row) for row in found if row is not None and row.value is not None]
    optima = dict.fromkeys(number(best) for best in bests if best is not None)
    reasons = dict.fromkeys(row.absent for row in found if row is not None and row.value is None and row.absent)
    return Row(
        name=name,
        definition=run.definition(name),
        cells=[_cell(row) for row in found],
        optimum=" / ".join(optima) or "—",
        notes=[f"Absent: {reason}" for reason in reasons] + _sentences(run, name, found),
    )


def _cell(row: Metric | None) -> Cell:
    if row is None:
        return Cell("—", "", "not measured")
    if row.value is None:
        return Cell("absent", "", row.absent or "no reason was written")
    return Cell(number(row.value), repr(row.value), "")


def _sentences(run: Run, name: str, found: list[Metric | None]) -> list[str]:
    """Flags that concern this metric: by its key, its name, or its name without the part it is taken on."""
    keys = {name, *(row.key for row in found if row is not None)}
    return list(dict.fromkeys(flag.sentence for flag in run.flags if flag.where in keys))


def general_flags(run: Run) -> list[Flag]:
    """All flags, warnings first; equal sentences once, with all the places they hold for."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for flag in sorted(run.flags, key=lambda flag: flag.severity != "warning"):
        places.setdefault((flag.code, flag.sentence, flag.severity), []).append(flag.where)
    return [Flag(sentence, code, _places(where), severity) for (code, sentence, severity), where in places.items()]


def _places(where: list[str]) -> str:
    named = list(dict.fromkeys(place for place in where if place))
    return ", ".join(named[:4]) + (f" and {len(named) - 4} more" if len(named) > 4 else "")
