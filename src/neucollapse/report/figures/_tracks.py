"""Metrics of several splits or runs as lines of one look each, with the best values that are known for them."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from ..._schema import Definition
from .._history import Curve
from .._run import Run
from .._text import capital
from ._plot import Json, Look, Panel, Swatch, curve, look

SOFT = Look("soft")
OPTIMUM = Swatch("optimum", SOFT, "dash")


class Track(NamedTuple):
    """A line of a plot of metrics, and the best value that is known for it."""

    name: str
    look: Look
    curve: Curve
    best: float | None = None


def traces(tracks: Sequence[Track], log: bool, *, marked: bool = False) -> list[Json]:
    """The lines, and a dashed one for each best value: in the colour of its track where it does not hold for all.

    On a logarithmic axis a best value of 0 has no place, which the caption says. `marked` shows every point.
    """
    data = []
    for name, its_look, (x, y), _ in tracks:
        few = marked or min(len(x), np.isfinite(np.where(y > 0, y, np.nan) if log else y).sum()) < 3
        marks = {"mode": "lines+markers"} if few else {}  # a line of one point shows nothing
        data.append(curve(name, x, y, its_look, log=log, **marks))
    x = np.unique(np.concatenate([track.curve.x for track in tracks]))
    for best in dict.fromkeys(track.best for track in tracks if track.best is not None):
        of = [track for track in tracks if track.best == best]
        if not (log and best <= 0):
            its_look = SOFT if len(of) == len(tracks) else Look(of[0].look.colour)
            data.append(curve("optimum", x, np.full(len(x), best), its_look, dash="dash"))
    return data


def metric_panel(definition: Definition, name: str, data: list[Json], layout: Json, note: str = "") -> Panel:
    """A small plot under the title of its metric."""
    code = "" if definition.title == name else name
    return Panel(title=capital(definition.title), code=code, note=note, data=data, layout=layout)


def split_name(split: str) -> str:
    """The name of a split in a legend; a single unnamed split is just what was measured."""
    return split or "measured"


def split_look(run: Run, split: str) -> Look:
    """How the lines of a split look; a key that is of no split looks as the first."""
    return look(run.splits.index(split) if split in run.splits else 0)


def split_legend(run: Run, splits: Collection[str], kind: str = "line") -> list[Swatch]:
    """The entries of these splits, in the order of the run."""
    return [Swatch(split_name(split), split_look(run, split), kind) for split in run.splits if split in splits]
