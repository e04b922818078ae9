"""``neucollapse train``: train with any setting, measure on the way, resume."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .._names import unknown_name
from ..training.config import TrainConfig
from ..training.presets import PRESETS
from ._targets import require_folder


@dataclass(frozen=True)
class Train:
    """Train a network with any head and loss, measure its collapse on the way, and write a run folder with a report.

    ``neucollapse train [CONFIG] [options]``: CONFIG is a JSON file (a run's config.json) or the name of a preset
    (digits-simplex, digits-sphere, digits-hug, digits-fixed-code); options override it. A killed run resumes from its
    last checkpoint.

    Examples:
      neucollapse train --head cosine --loss arc-face --margin 0.3 --scale 32 --scale-start 4
      neucollapse train digits-sphere --imbalance exp --imbalance-ratio 100 --sampling class-balanced
      neucollapse train digits-simplex --stop-when "train/nc1/pinv<1e-2" --measure-every 5
    """

    config: TrainConfig = field(default_factory=TrainConfig)
    out: Path = Path("runs/train")
    """Folder of the run."""
    restart: bool = False
    """Delete what an earlier run left there, and start over."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Train, report, print."""
        require_folder(self.out, "--out")
        from ..report import write_report
        from ..training import train
        from ._output import as_json, print_json, print_table, print_verdict, result_rows

        result = train(self.config, self.out, resume=not self.restart)
        page = write_report(self.out)
        if self.json:
            print_json(as_json(result))
            return 0
        print_table(str(result.info.get("title")), result_rows(result, result.numbers))
        print_verdict(result)
        training = result.info.get("training") or {}
        if training.get("stopped_when"):
            sys.stdout.write(f"\nStopped after {training['epochs']} epochs: {training['stopped_when']}\n")
        sys.stdout.write(f"\nReport: {page}\n")
        return 0


def take_config(arguments: Sequence[str]) -> tuple[list[str], TrainConfig]:
    """Take CONFIG out of ``train CONFIG ...``: its values become the defaults of the options."""
    given = list(arguments)
    if len(given) < 2 or given[0] != "train" or given[1].startswith("-"):
        return given, TrainConfig()
    name = given.pop(1)
    if name in PRESETS:
        return given, PRESETS[name]
    if not Path(name).suffix and not Path(name).exists():
        raise unknown_name("preset or config file", name, PRESETS)
    return given, TrainConfig.load(name)
