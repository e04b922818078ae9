"""``neucollapse demo``: the main job on real data, in about a minute."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

_RUNS = (
    (
        "simplex",
        "digits-simplex",
        ("nc1/pinv", "nc1/trace_ratio", "nc2/equinorm", "nc2/equiangular", "nc2/etf_distance", "nc3/cosine"),
    ),
    (
        "sphere",
        "digits-sphere",
        ("nc1/trace_ratio", "gnc1/pinv", "gnc2/margin", "gnc2/margin_ratio", "gnc2/margin_ratio@weight", "gnc3/cosine"),
    ),
)
_ALWAYS = ("nc4/mismatch", "accuracy/linear")


@dataclass(frozen=True)
class Demo:
    """Train two small networks on digits until they collapse, measure them, and write a report of each.

    The first has room for a simplex (K = 10 classes, d = 32 dimensions); the second has ten classes on a sphere in three
    dimensions, where no simplex fits. A run that was killed goes on where it was; a finished one is read again.
    """

    out: Path = Path("runs/demo")
    """Folder of the two runs."""
    seed: int = 0
    """Seed of both."""
    fresh: bool = False
    """Start over, even if the runs are there."""

    def run(self) -> int:
        """Train, measure, report, print."""
        from dataclasses import replace

        from ..report import write_report
        from ..training import PRESETS, train
        from ._output import print_table, print_verdict, result_rows

        start = time.monotonic()
        pages = []
        for name, preset, keys in _RUNS:
            config = replace(PRESETS[preset], seed=self.seed, threads=1)  # networks this small gain nothing from two
            result = train(config, self.out / name, resume=not self.fresh)
            pages.append(write_report(self.out / name))
            chosen = [f"train/{key}" for key in (*keys, *_ALWAYS)] + ["test/accuracy/linear", "test/nc1/trace_ratio"]
            print_table(str(result.info.get("title")), result_rows(result, chosen))
            print_verdict(result)
        sys.stdout.write(f"\nDone in {time.monotonic() - start:.0f} s. Open the reports in a browser:\n")
        for page in pages:
            sys.stdout.write(f"  {page}\n")
        return 0
