"""``neucollapse report``: rebuild the page of a run from its result files."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Report:
    """Write the report of a run folder: one HTML page that needs no network."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder with result.json."""
    page: Path | None = None
    """Where to write; report.html in the folder by default."""

    def run(self) -> int:
        """Write the page and say where."""
        from ..report import write_report

        sys.stdout.write(f"{write_report(self.folder, self.page)}\n")
        return 0
