"""A simulation that is done: its settings, trajectory and findings, kept in a folder."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .._environment import command_line, environment
from .._files import atomic_path, save_tensors, write_json
from .._run_folder import held
from ..metrics import REGISTRY
from ._model import Findings, HeatMap, Plot, Row
from ._settings import Settings

RESULT, TRAJECTORY, ARRAYS = "simulation.json", "trajectory.parquet", "arrays.safetensors"
SCHEMA = "neucollapse/simulation/1"
ARRAYS_SCHEMA = "neucollapse/arrays/1"


@dataclass(frozen=True)
class Simulation:
    """What a model did and what it tells; ``simulate`` makes it.

    Attributes:
        settings: of the model.
        rows: the trajectory: series, x, key, value.
        findings: sentences, predictions beside what was found, plots, tensors.
        seconds: time it took.
    """

    settings: Settings
    rows: list[Row]
    findings: Findings
    seconds: float = field(compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything but trajectory and tensors, as plain JSON values; numbers that are not finite are None."""
        found = self.findings
        content = {
            "model": self.settings.name,
            "title": self.settings.title,
            "settings": self.settings.to_dict(),
            "sentences": list(found.sentences),
            "agrees": found.agrees,
            "comparisons": [
                asdict(comparison) | {"title": _title(comparison.name)} for comparison in found.comparisons
            ],
            "plots": [_plot(plot) for plot in found.plots],
            "citations": list(self.settings.citations),
        }
        return _plain(content)

    def save(self, folder: str | Path) -> None:
        """Write ``trajectory.parquet``, ``arrays.safetensors`` and, as the mark of a finished run, ``simulation.json``.

        Raises:
            InputError: if another process works in the folder.
            FileWriteError: if a file cannot be written.
        """
        with held(folder, wait=0, doing="simulating in") as folder:
            self.write(folder)

    def write(self, folder: Path) -> None:
        """``save`` for a caller that holds the folder already."""
        write_trajectory(folder / TRAJECTORY, self.rows)
        digest = save_tensors(folder / ARRAYS, self.findings.tensors, schema=ARRAYS_SCHEMA, metadata={})
        about = {"seconds": self.seconds, "command": command_line(), "environment": environment()}
        content = self.to_dict() | about | {"arrays": {"sha256": digest}}
        write_json(folder / RESULT, content, schema=SCHEMA)


def write_trajectory(path: Path, rows: list[Row]) -> None:
    """Write the columns series, x, key and value, atomically."""
    import pyarrow
    import pyarrow.parquet

    types = [
        ("series", pyarrow.string()),
        ("x", pyarrow.float64()),
        ("key", pyarrow.string()),
        ("value", pyarrow.float64()),
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 4
    with atomic_path(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.table(columns, schema=pyarrow.schema(types)), temporary)


def _plot(plot: Plot | HeatMap) -> dict[str, Any]:
    """A plot with its kind; one that is called by the key of a metric gets the metric's title."""
    kind = "heat" if isinstance(plot, HeatMap) else "lines"
    return {"kind": kind, **asdict(plot), "title": _title(plot.title) or plot.title}


def _title(name: str) -> str:
    """The title of a metric of the registry; empty for any other name."""
    base, _, of = name.partition("@")
    if base not in REGISTRY:
        return ""
    return REGISTRY[base].title + (", of the weights" if of == "weight" else "")


def _plain(value: Any) -> Any:
    """JSON values: tuples as lists, and None for what JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value
