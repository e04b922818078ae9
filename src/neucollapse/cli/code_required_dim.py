"""``neucollapse code required-dim``: the smallest dimension in which K classes can have a margin."""

import sys
from dataclasses import dataclass

from ._output import print_json


@dataclass(frozen=True)
class CodeRequiredDim:
    """Find how many dimensions K classes need for a one-vs-rest margin, from known codes and a proved lower bound."""

    classes: int
    """Number of classes K, at least 2."""
    margin: float
    """One-vs-rest margin asked for: up to 1 for any K, up to K/(K-1) with a simplex."""
    json: bool = False
    """Print as JSON."""

    def run(self) -> int:
        """Look up, print."""
        from ..geometry import required_dim

        found = required_dim(self.classes, self.margin)
        if self.json:
            print_json({"classes": self.classes, "asked": self.margin, **found._asdict()})
            return 0
        sys.stdout.write(
            f"d = {found.d:,}: {self.classes:,} classes reach a margin of {found.margin:.6g} there.\n"
            f"  {found.source}\n"
            f"  {_least(found.d, found.at_least)}\n"
        )
        return 0


def _least(d: int, at_least: int) -> str:
    if at_least == d:
        return "No code in fewer dimensions does (proved)."
    return f"Proved: none does in fewer than {at_least:,}. Between the two, a search may find one (neucollapse code)."
