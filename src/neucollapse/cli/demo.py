"""``neucollapse demo``: the main job on real data, four times, in about a minute and a half."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ._targets import require_folder

if TYPE_CHECKING:
    from ..metrics import CollapseResult

# The column of the table and folder of the run, and its preset.
_RUNS = {
    "simplex": "digits-simplex",
    "sphere": "digits-sphere",
    "hug": "digits-hug",
    "fixed-code": "digits-fixed-code",
}
_KEYS = (
    "train/accuracy/linear",
    "test/accuracy/linear",
    "train/nc1/trace_ratio",
    "train/gnc2/margin_ratio",
    "train/gnc2/margin_ratio@weight",
    "train/gnc3/cosine",
    "train/nc4/mismatch",
)


@dataclass(frozen=True)
class Demo:
    """Train four small networks on digits until they collapse, measure them, and write a report of each and one of all.

    simplex has room for one (K = 10 classes, d = 32 dimensions). The others have ten classes on a sphere in three
    dimensions, where no simplex fits: sphere learns a cosine head, hug spreads its proxies by their energy, fixed-code has
    the best known code as its classifier from the start. A run that was killed goes on where it was; a finished one is
    read again.
    """

    out: Path = Path("runs/demo")
    """Folder of the four runs."""
    seed: int = 0
    """Seed of all."""
    fresh: bool = False
    """Start over, even if the runs are there."""

    def run(self) -> int:
        """Train, measure, report, print."""
        require_folder(self.out, "--out")
        from dataclasses import replace

        from ..report import write_comparison, write_report
        from ..training import PRESETS, train
        from ._output import print_columns, print_verdict

        start = time.monotonic()
        results: dict[str, CollapseResult] = {}
        for name, preset in _RUNS.items():
            config = replace(PRESETS[preset], seed=self.seed, threads=1)  # networks this small gain nothing from two
            results[name] = train(config, self.out / name, resume=not self.fresh)
            write_report(self.out / name)
        page = write_comparison({name: self.out / name for name in _RUNS}, self.out / "report.html")
        for name, result in results.items():
            sys.stdout.write(f"\n{name}: {result.info.get('title')}")
            print_verdict(result)
        print_columns("All four, on the training split where none is named", results, _KEYS)
        sys.stdout.write(f"\nDone in {time.monotonic() - start:.0f} s. Open the report in a browser:\n  {page}\n")
        return 0
