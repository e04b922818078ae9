"""Several runs in one plot a metric, and their spheres side by side."""

from dataclasses import replace

import numpy as np

from .._history import Curve
from .._run import Run
from .._story import in_order, teller
from . import sphere
from ._plot import Figure, Swatch, look
from ._sphere import explained, points
from ._tracks import OPTIMUM, Track
from .history import over_epochs

_SHOWN = 6


def comparison_figures(runs: dict[str, Run]) -> list[Figure]:
    """What these runs have data for."""
    return [figure for figure in (_curves(runs), _spheres(runs)) if figure is not None]


def _curves(runs: dict[str, Run]) -> Figure | None:
    """One metric a plot, on the first split of each run, a look a run."""
    found: dict[str, dict[str, Curve]] = {}
    for title, run in runs.items():
        prefix = f"{run.splits[0]}/" if run.splits[0] else ""
        for key, curve in run.history.items():
            name = key.removeprefix(prefix)
            if run.find(name, run.splits[0]) is not None and np.isfinite(curve.y).any():
                found.setdefault(name, {})[title] = curve
    looks = {title: look(i) for i, title in enumerate(runs)}
    panels = []
    for name in in_order(teller(runs.values()), list(found)):
        bests = {title: runs[title].best_of(name, runs[title].splits[0]) for title in found[name]}
        tracks = [Track(title, looks[title], curve, bests[title]) for title, curve in found[name].items()]
        panels.append(over_epochs(runs[tracks[0].name].definition(name), name, tracks))
    if not panels:
        return None
    split = next(iter(runs.values())).splits[0]
    return Figure(
        id="history",
        heading="Collapse over epochs",
        short="Epochs",
        caption=f"Each plot follows one quantity{f' of the {split} split' if split else ''} through the trainings. Dashed lines "
        "are optima, in the colour of their run where runs differ. An optimum of 0 lies below every logarithmic axis.",
        panels=panels[:_SHOWN],
        more=panels[_SHOWN:],
        legend=[*(Swatch(title, its_look) for title, its_look in looks.items()), OPTIMUM],
    )


def _spheres(runs: dict[str, Run]) -> Figure | None:
    drawn = {title: found for title, run in runs.items() if run.dim == 3 and (found := points(run))}
    if not drawn:
        return None
    panels = [
        replace(panel, title=title, shape="square", layout=panel.layout | {"showlegend": False})
        for title, found in drawn.items()
        for panel in [sphere.panel(runs[title], found)]
    ]
    return Figure(
        id="sphere",
        heading="The spheres of features",
        short="Spheres",
        caption=explained(runs[next(iter(drawn))]) + sphere.TURN,
        panels=panels,
    )
