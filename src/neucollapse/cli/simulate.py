"""``neucollapse simulate MODEL``: run a model of the theory wing, and set what is predicted beside what it does."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..theory.settings import SETTINGS, Settings
from ._options import options_of
from ._targets import require_folder

if TYPE_CHECKING:
    from ..theory import Simulation


@dataclass(frozen=True)
class ListModels:
    """List the models of the theory wing; `neucollapse simulate MODEL --help` says what a model is and what it takes.

    Examples:
      neucollapse simulate ufm --classes 10 --dim 16 --out runs/ufm
      neucollapse simulate layer-peeled --overlay runs/train     a measured run laid over the prediction
    """

    def run(self) -> int:
        """Print names and titles."""
        from ._output import print_table

        models = ((name, settings.title) for name, settings in SETTINGS.items())
        print_table(("model", "title"), models, title="neucollapse simulate MODEL")
        return 0


@dataclass(frozen=True)
class Simulate:
    """Run a model and write a folder with numbers, trajectory and page; a killed one keeps its rows, and begins again."""

    model: ClassVar[str]

    settings: dict[str, Any]
    out: Path | None = None
    """Folder to write; runs/simulate-MODEL by default."""
    overlay: Path | None = None
    """Folder of a measured run: its metrics are laid over the plots, and its K and d are the model's where not given."""
    restart: bool = False
    """Delete what an earlier simulation left there, and start over."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Simulate, write, print."""
        folder = self.out or Path("runs") / f"simulate-{self.model}"
        require_folder(folder, "--out")
        kind = SETTINGS[self.model]
        settings = kind(**{**_sizes(kind, self.overlay), **self.settings})
        from ..report import write_simulation_page
        from ..theory import simulate
        from ._output import print_json

        simulation = simulate(settings, folder, resume=not self.restart)
        page = write_simulation_page(folder, overlay=self.overlay)
        if self.json:
            print_json(simulation.to_dict() | {"seconds": simulation.seconds})
            return 0
        _print(simulation)
        sys.stdout.write(f"\nReport: {page}\n")
        return 0


def _print(simulation: "Simulation") -> None:
    from ._output import number, print_sentences, print_table

    findings, columns = simulation.findings, ("quantity", "predicted", "found", "meaning")
    rows = [(row.name, number(row.predicted), number(row.found), row.meaning) for row in findings.comparisons]
    if rows:
        print_table(columns, rows, numbers=columns[1:3], title=simulation.settings.title)
    print_sentences(findings.sentences[0], findings.sentences[1:])


def simulation(model: str) -> type[Simulate]:
    """The command of one model, with the settings of that model."""
    kind = SETTINGS[model]
    about = (kind.__doc__ or "").split("Attributes:")[0].strip()
    namespace = {"model": model, "__doc__": about, "__annotations__": {"settings": options_of(kind())}}
    return dataclass(frozen=True)(type("Simulate", (Simulate,), namespace))


def _sizes(kind: type[Settings], overlay: Path | None) -> dict[str, int]:
    """Classes and dim of the run that is laid over a model, where the model has such."""
    if overlay is None:
        return {}
    from ..report import read_size

    return {
        name: value for name, value in zip(("classes", "dim"), read_size(overlay), strict=True) if hasattr(kind, name)
    }
