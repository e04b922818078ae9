"""``neucollapse report``: rebuild the page of a run from its result files, or put several runs on one page."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from .._errors import InputError


@dataclass(frozen=True)
class Report:
    """Write the report of a run folder: one HTML page that needs no network. Of several folders, one page that compares them."""

    folder: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folder with result.json; two or more to compare them, each under the name of its folder."""
    page: Path | None = None
    """Where to write; report.html in the folder by default, or comparison.html where several are compared."""

    def run(self) -> int:
        """Write the page and say where."""
        from ..report import write_comparison, write_report

        if not self.folder:
            raise InputError("expected the folder of a run, got none; `neucollapse report runs/mine` writes its page")
        if len(self.folder) == 1:
            page = write_report(self.folder[0], self.page)
        else:
            page = write_comparison(_named(self.folder), self.page or Path("comparison.html"))
        sys.stdout.write(f"{page}\n")
        return 0


def _named(folders: tuple[Path, ...]) -> dict[str, Path]:
    """By the last part of the path, or by all of it where two have the same."""
    short = [folder.resolve().name for folder in folders]
    names = short if len(set(short)) == len(short) else [str(folder) for folder in folders]
    return dict(zip(names, folders, strict=True))
