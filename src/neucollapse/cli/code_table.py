"""``neucollapse code table``: what is known of the best codes, size by size."""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._errors import InputError
from ._codes import span
from ._output import print_json, print_table

if TYPE_CHECKING:
    from ..geometry import Optimum

_MOST = 20_000  # sizes
_COLUMNS = ("d", "K", "margin", "max cosine")
_NAMES = ("d", "K", "margin", "max_cosine", "status", "max_cosine_status", "source")


@dataclass(frozen=True)
class CodeTable:
    """List the best margin and largest cosine known for each (d, K), looked up and never solved for.

    Sizes of which no code is known are left out. The status is of the margin: proved; record, the best on public record; found,
    the end of a search here, a construction or a part of a larger code, which others may know better.
    """

    dim: str = "3-8"
    """Dimension, or a range of them."""
    classes: str = "4-40"
    """Number of classes, or a range of them."""
    json: bool = False
    """Print as JSON."""
    csv: bool = False
    """Print as CSV."""

    def run(self) -> int:
        """Look up, print."""
        dims, classes = span(self.dim, "--dim"), span(self.classes, "--classes")
        if classes.start < 2:
            raise InputError(f"expected --classes from 2 upwards, got {self.classes!r}")
        if len(dims) * len(classes) > _MOST:
            raise InputError(f"expected at most {_MOST:,} sizes a table, got {len(dims) * len(classes):,}")
        if self.json and self.csv:
            raise InputError("expected --json or --csv, got both")
        found = _known(dims, classes)
        if self.json:
            print_json({"schema": "neucollapse/code-table/1", "codes": [_row(one) for one in found]})
        elif self.csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(_NAMES)
            writer.writerows(_row(one).values() for one in found)
        else:
            _print(list(found))
        return 0


def _known(dims: range, classes: range) -> "Iterator[Optimum]":
    from ..geometry import best_known

    for d in dims:
        for K in classes:
            best = best_known(K, d)
            if best.status != "bound":
                yield best


def _row(best: "Optimum") -> dict[str, Any]:
    return {name: getattr(best, name) for name in _NAMES}


def _print(found: "list[Optimum]") -> None:
    if not found:
        sys.stdout.write("No code of these sizes is known here. Try: neucollapse code --classes K --dim d\n")
        return
    rows = (
        (str(best.d), str(best.K), f"{best.margin:.12f}", f"{best.max_cosine:.12f}", best.status, _source(best.source))
        for best in found
    )
    print_table((*_COLUMNS, "status", "source"), rows, numbers=_COLUMNS, cut=("source",))


def _source(text: str) -> str:
    return text.removeprefix("Best known code: ")
