"""Several runs in one plot a metric, and their spheres side by side."""

from dataclasses import replace

import numpy as np

from .._history import Curve
from .._run import Run
from .._story import in_order, teller
from .._text import capital
from . import sphere
from ._plot import SERIES, Figure, Panel, Swatch
from ._sphere import explained, points
from .history import line, optimum_line, over_epochs

_SHOWN = 6


def comparison_figures(runs: dict[str, Run]) -> list[Figure]:
    """What these runs have data for."""
    return [figure for figure in (_curves(runs), _spheres(runs)) if figure is not None]


def _curves(runs: dict[str, Run]) -> Figure | None:
    """One metric a plot, on the first split of each run, a colour a run."""
    found: dict[str, dict[str, Curve]] = {}
    for title, run in runs.items():
        prefix = f"{run.splits[0]}/" if run.splits[0] else ""
        for key, curve in run.history.items():
            name = key.removeprefix(prefix)
            if run.find(name, run.splits[0]) is not None and np.isfinite(curve.values).any():
                found.setdefault(name, {})[title] = curve
    names = in_order(teller(runs.values()), list(found))
    panels = [_panel(runs, name, found[name]) for name in names]
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
        legend=[Swatch(title, _colour(runs, title)) for title in runs] + [Swatch("optimum", "soft", "dash")],
    )


def _panel(runs: dict[str, Run], name: str, curves: dict[str, Curve]) -> Panel:
    definition = runs[next(iter(curves))].definition(name)
    optima: dict[float, list[str]] = {}
    for title in curves:
        row = runs[title].find(name, runs[title].splits[0])
        if row is not None and (best := runs[title].best(row)) is not None and not (definition.log and best <= 0):
            optima.setdefault(best, []).append(title)
    data = [line(title, _colour(runs, title), curve, definition.log) for title, curve in curves.items()]
    for best, titles in optima.items():
        shared = len(titles) == len(curves)
        data.append(optimum_line(best, "soft" if shared else _colour(runs, titles[0]), [curves[t] for t in titles]))
    return Panel(
        title=capital(definition.title),
        code="" if definition.title == name else name,
        data=data,
        layout=over_epochs(list(curves.values()), definition.log),
    )


def _colour(runs: dict[str, Run], title: str) -> str:
    return SERIES[list(runs).index(title) % len(SERIES)]


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
        caption=explained(runs[next(iter(drawn))], "large balls") + " Drag to turn, scroll or pinch to zoom.",
        panels=panels,
    )
