"""``neucollapse train``: train with any setting, measure on the way, resume."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from .._names import unknown_name
from ..training import PRESETS, TrainConfig
from ..training._config import CHOICES
from ._options import options_of
from ._targets import require_folder


@dataclass(frozen=True)
class Train:
    """Train a network with any head and loss, measure its collapse on the way, and write a run folder with a report.

    A killed run resumes from its last checkpoint.

    Examples:
      neucollapse train --head cosine scale=32 scale-start=4 --loss arc-face margin=0.3
      neucollapse train digits-sphere --imbalance exp ratio=100 --sampling class-balanced
      neucollapse train digits-simplex --stop-when "train/nc1/pinv<1e-2" --measure-every 5
    """

    settings: options_of(TrainConfig(), CHOICES)  # type: ignore[valid-type]
    """What differs from the configuration."""
    config: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[CONFIG]")] = None
    """A JSON file (a run's config.json) or the name of a preset (digits-simplex, digits-sphere, digits-hug, digits-fixed-code);
    options override it."""
    out: Path = Path("runs/train")
    """Folder of the run."""
    restart: bool = False
    """Delete what an earlier run left there, and start over."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Train, report, print."""
        require_folder(self.out, "--out")
        config = replace(_named(self.config), **self.settings)
        from ..report import write_report
        from ..training import train
        from ._output import as_json, print_json, print_result, print_verdict

        result = train(config, self.out, resume=not self.restart)
        page = write_report(self.out)
        if self.json:
            print_json(as_json(result))
            return 0
        print_result(str(result.info.get("title")), result)
        print_verdict(result)
        training = result.info.get("training") or {}
        if training.get("stopped_when"):
            sys.stdout.write(f"\nStopped after {training['epochs']} epochs: {training['stopped_when']}\n")
        sys.stdout.write(f"\nReport: {page}\n")
        return 0


def _named(name: str | None) -> TrainConfig:
    """The config of a file or a preset, which options change."""
    if name is None:
        return TrainConfig()
    if name in PRESETS:
        return PRESETS[name]
    if not Path(name).suffix and not Path(name).exists():
        raise unknown_name("preset or config file", name, PRESETS)
    return TrainConfig.load(name)
