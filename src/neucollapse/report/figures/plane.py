"""The unit circle at d = 2: features, class means, weights and the best code."""

import numpy as np

from .._run import Run
from ._plot import Figure, Json, Panel, axis, colour, layout, packed
from ._sphere import LEGEND, Points, described, explained, named, point_colours, points, second_splits

_MARKERS: dict[str, Json] = {
    "features": {"size": 4, "opacity": 0.5, "symbol": "circle"},
    "means": {"size": 15, "symbol": "circle", "line": {"width": 2, "color": colour("panel")}},
    "weights": {"size": 11, "symbol": "diamond", "line": {"width": 1.5, "color": colour("ink")}},
    "target": {"size": 22, "symbol": "circle-open", "line": {"width": 2}},
}
_MOST_NAMES = 24


def build(run: Run) -> Figure | str:
    """The figure, or the reason why there is none."""
    if run.dim != 2:
        return ""  # the sphere says why
    found = points(run)
    if not found:
        return "Circle: the run holds no features, class means or weights."
    return Figure(
        id="sphere",
        heading="The circle of features",
        short="Circle",
        caption=explained(run, "large dots"),
        panels=[panel(run, found)],
    )


def panel(run: Run, found: list[Points]) -> Panel:
    """The circle with everything found on it."""
    hidden = second_splits(found)
    turn = np.linspace(0, 2 * np.pi, 181)
    circle: Json = {
        "type": "scatter", "mode": "lines", "x": packed(np.cos(turn)), "y": packed(np.sin(turn)),
        "line": {"color": colour("line"), "width": 1.2}, "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip
    bare = axis(
        range=[-1.35, 1.35],
        showgrid=False,
        showticklabels=False,
        ticks="",
        automargin=False,
        showline=False,
        linecolor=colour("clear"),
    )
    return Panel(
        title="Directions on the unit circle",
        data=[circle, *(_trace(run, item, hidden=item.name in hidden) for item in found)],
        layout=layout(
            xaxis={**bare, "constrain": "domain"},
            yaxis={**bare, "scaleanchor": "x", "constrain": "domain"},
            showlegend=True,
            legend=LEGEND,
            annotations=_names(run, found),
            margin={"l": 0, "r": 0, "t": 0, "b": 0},
        ),
        shape="ball",
    )


def _trace(run: Run, item: Points, *, hidden: bool) -> Json:
    x, y = item.units.T
    return {
        "type": "scatter",
        "x": packed(x),
        "y": packed(y),
        **described(run, item, hidden=hidden),
        "marker": {**_MARKERS[item.kind], "color": point_colours(run, item)},
    }


def _names(run: Run, found: list[Points]) -> list[Json]:
    labels = []
    for (x, y), text in named(run, found, 1.2, _MOST_NAMES):
        labels.append({"x": x, "y": y, "text": text, "showarrow": False, "font": {"size": 12, "color": colour("ink")}})
    return labels
