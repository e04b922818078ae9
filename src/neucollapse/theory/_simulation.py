"""A simulation that is done: its settings, trajectory and findings, kept in a folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from .. import _schema
from .._environment import command_line, environment
from .._files import save_tensors
from .._records import checked, write_struct, write_table
from .._run_folder import held
from ..metrics import REGISTRY
from ._model import Findings, Row
from ._settings import Settings

RESULT, TRAJECTORY, ARRAYS = "simulation.json", "trajectory.parquet", "arrays.safetensors"


@dataclass(frozen=True)
class Simulation:
    """What a model did and what it tells; `simulate` makes it.

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
            "sentences": found.sentences,
            "agrees": found.agrees,
            "comparisons": [
                _schema.Comparison(row.name, _title(row.name), row.predicted, row.found, row.meaning)
                for row in found.comparisons
            ],
            # A plot that is called by the key of a metric gets the metric's title.
            "plots": [msgspec.structs.replace(plot, title=_title(plot.title) or plot.title) for plot in found.plots],
            "citations": self.settings.citations,
        }
        return msgspec.json.decode(msgspec.json.encode(content))

    def save(self, folder: str | Path) -> None:
        """Write `trajectory.parquet`, `arrays.safetensors` and, as the mark of a finished run, `simulation.json`.

        Raises InputError if another process works in the folder, and FileWriteError if a file cannot be written.
        """
        with held(folder, wait=0, doing="simulating in") as folder:
            self.write(folder)

    def write(self, folder: Path) -> None:
        """`save` for a caller that holds the folder already."""
        write_table(folder / TRAJECTORY, _schema.TRAJECTORY, self.rows)
        digest = save_tensors(folder / ARRAYS, self.findings.tensors, schema=_schema.ARRAYS, metadata={})
        about = {"seconds": self.seconds, "command": command_line(), "environment": environment()}
        content = self.to_dict() | about | {"arrays": {"sha256": digest}}
        write_struct(folder / RESULT, checked(RESULT, content, _schema.SimulationFile))


def _title(name: str) -> str:
    """The title of a metric of the registry; empty for any other name."""
    base, _, of = name.partition("@")
    if base not in REGISTRY:
        return ""
    return REGISTRY[base].title + (", of the weights" if of == "weight" else "")
