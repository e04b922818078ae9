"""``neucollapse cite``: the BibTeX of what a run used, or of one paper."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Cite:
    """Print BibTeX: of the papers whose metrics a run measured, or of one key such as papyan2020."""

    what: Annotated[str, tyro.conf.Positional] = "neucollapse"
    """Folder of a run or a simulation, or citation key; ``all`` for every key."""

    def run(self) -> int:
        """Look up and print."""
        from .._citations import bibtex, citation_keys

        if Path(self.what).exists():
            from ..report import read_citations

            keys = read_citations(self.what)
        else:
            keys = citation_keys() if self.what == "all" else [self.what]
        sys.stdout.write(bibtex(keys) + "\n")
        return 0
