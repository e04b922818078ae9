"""``neucollapse report``: rebuild the page of a run from its result files, or put several runs on one page."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from .._errors import InputError
from ._targets import require_page


@dataclass(frozen=True)
class Report:
    """Write the report of a run or a simulation: one HTML page that needs no network. Of several runs, one that compares them."""

    folder: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folder with result.json or simulation.json; two or more runs to compare them, each under the name of its folder."""
    page: Path | None = None
    """Where to write; report.html in the folder by default, or comparison.html where several are compared."""

    def run(self) -> int:
        """Write the page and say where."""
        from ..report import is_simulation, write_comparison, write_report, write_simulation_page

        if not self.folder:
            raise InputError("expected the folder of a run, got none; `neucollapse report runs/mine` writes its page")
        require_page(self.page, "--page")
        if len(self.folder) == 1:
            write = write_simulation_page if is_simulation(self.folder[0]) else write_report
            page = write(self.folder[0], self.page)
        else:
            page = write_comparison(_named(self.folder), self.page or Path("comparison.html"))
        sys.stdout.write(f"{page}\n")
        return 0


def _named(folders: tuple[Path, ...]) -> dict[str, Path]:
    """By the last part of the path, or by all of it where two have the same."""
    twice = next((folder for at, folder in enumerate(folders) if folder in folders[:at]), None)
    if twice is not None:
        raise InputError(f"expected different runs to compare, got {twice} twice")
    short = [folder.resolve().name for folder in folders]
    names = short if len(set(short)) == len(short) else [str(folder) for folder in folders]
    return dict(zip(names, folders, strict=True))
