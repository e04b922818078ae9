"""The unit sphere at d = 3, to be turned by hand, and the unit circle at d = 2: features, means, weights, the best code."""

from typing import Any

import numpy as np

from .._run import Run
from ._plot import Figure, Json, Panel, axis, colour, layout, packed
from ._sphere import Points, described, explained, named, point_colours, points, second_splits

TURN = " Drag to turn, scroll or pinch to zoom."
_ON_SPHERE: dict[str, Json] = {
    "features": {"size": 2.6, "opacity": 0.75, "symbol": "circle"},
    "means": {"size": 9, "opacity": 1, "symbol": "circle", "line": {"width": 1.5, "color": colour("panel")}},
    "weights": {"size": 7, "opacity": 1, "symbol": "diamond", "line": {"width": 1.5, "color": colour("ink")}},
    "target": {"size": 18, "opacity": 1, "symbol": "circle-open"},
}
_ON_CIRCLE: dict[str, Json] = {
    "features": {"size": 4, "opacity": 0.5, "symbol": "circle"},
    "means": {"size": 15, "symbol": "circle", "line": {"width": 2, "color": colour("panel")}},
    "weights": {"size": 11, "symbol": "diamond", "line": {"width": 1.5, "color": colour("ink")}},
    "target": {"size": 22, "symbol": "circle-open", "line": {"width": 2}},
}
_LEGEND: Json = {
    "orientation": "h", "x": 0.5, "xanchor": "center", "y": 0, "yanchor": "top", "itemsizing": "constant",
    "font": {"size": 12, "color": colour("ink")}, "bgcolor": colour("clear"),
}  # fmt: skip
_SHARED: Json = {"showlegend": True, "legend": _LEGEND, "margin": {"l": 0, "r": 0, "t": 0, "b": 0}}
_NAMES_ON_SPHERE, _NAMES_ON_CIRCLE = 16, 24


def build(run: Run) -> Figure | str:
    """The figure, or the reason why there is none."""
    if run.dim not in (2, 3):
        return f"Sphere: features have {run.dim} dimensions, and a sphere can be drawn at 3, a circle at 2."
    found, where = points(run), "sphere" if run.dim == 3 else "circle"
    if not found:
        return f"{where.capitalize()}: the run holds no features, class means or weights."
    turn = f"{TURN[:-1]}, choose in the legend what is shown." if run.dim == 3 else ""
    return Figure(
        id="sphere",
        heading=f"The {where} of features",
        short=where.capitalize(),
        caption=explained(run) + turn,
        panels=[panel(run, found)],
    )


def panel(run: Run, found: list[Points], names: int | None = None) -> Panel:
    """The ball or the circle with all that was found, and names where the classes are no more than `names`."""
    hidden = second_splits(found)
    title = f"Directions on the unit {'sphere' if run.dim == 3 else 'circle'}"
    traces = [_trace(run, item) | {"visible": "legendonly" if item.name in hidden else True} for item in found]
    if run.dim == 3:
        data, plot = [_ball(), _wires(), *traces], _scene(run, found, names or _NAMES_ON_SPHERE)
    else:
        data, plot = [_circle(), *traces], _plane(run, found, names or _NAMES_ON_CIRCLE)
    return Panel(title=title, data=data, layout=layout(**plot, **_SHARED), shape="ball")


def _trace(run: Run, item: Points) -> Json:
    kind, markers = ("scatter3d", _ON_SPHERE) if run.dim == 3 else ("scatter", _ON_CIRCLE)
    marker = {**markers[item.kind], "color": point_colours(run, item)}
    return {"type": kind, **_places(item.units), **described(run, item), "marker": marker}


def _places(rows: np.ndarray) -> Json:
    return {name: packed(values) for name, values in zip("xyz", rows.T, strict=False)}


def _scene(run: Run, found: list[Points], most: int) -> Json:
    # Names are raised on the screen, so that they clear their point however the sphere is turned.
    raised = {"showarrow": False, "yshift": 23, "font": {"size": 12, "color": colour("ink")}}
    names = [{"x": x, "y": y, "z": z, "text": text, **raised} for (x, y, z), text in named(run, found, 1.0, most)]
    scene: Json = {
        **{f"{name}axis": {"visible": False, "range": [-1.15, 1.15], "showspikes": False} for name in "xyz"},
        "aspectmode": "cube",
        "dragmode": "orbit",
        "camera": {"eye": {"x": 0.86, "y": 0.86, "z": 0.5}},
        "annotations": names,
    }
    return {"scene": scene}


def _plane(run: Run, found: list[Points], most: int) -> Json:
    hidden: dict[str, Any] = {
        "showgrid": False,
        "showticklabels": False,
        "ticks": "",
        "automargin": False,
        "showline": False,
    }
    bare = axis(range=[-1.35, 1.35], constrain="domain", linecolor=colour("clear"), **hidden)
    font = {"showarrow": False, "font": {"size": 12, "color": colour("ink")}}
    names = [{"x": x, "y": y, "text": text, **font} for (x, y), text in named(run, found, 1.2, most)]
    return {"xaxis": bare, "yaxis": {**bare, "scaleanchor": "x"}, "annotations": names}


def _circle() -> Json:
    turn = np.linspace(0, 2 * np.pi, 181)
    return {
        "type": "scatter", "mode": "lines", **_places(np.column_stack([np.cos(turn), np.sin(turn)])),
        "line": {"color": colour("line"), "width": 1.2}, "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip


def _ball() -> Json:
    """A faint surface just under the sphere, so that what lies behind looks further away."""
    theta, phi = np.meshgrid(np.linspace(0, np.pi, 25), np.linspace(0, 2 * np.pi, 49), indexing="ij")
    x, y, z = 0.97 * np.sin(theta) * np.cos(phi), 0.97 * np.sin(theta) * np.sin(phi), 0.97 * np.cos(theta)
    return {
        "type": "surface", "x": packed(x), "y": packed(y), "z": packed(z), "surfacecolor": packed(np.zeros_like(x)),
        "colorscale": [[0, colour("panel")], [1, colour("panel")]], "showscale": False, "opacity": 0.55, "hoverinfo": "skip",
        "lighting": {"ambient": 1, "diffuse": 0, "specular": 0, "fresnel": 0},
        "contours": {axis: {"highlight": False} for axis in "xyz"},
    }  # fmt: skip


def _wires() -> Json:
    """Meridians and parallels, as one line with gaps."""
    turn = np.linspace(0, 2 * np.pi, 73)
    gap = np.full((1, 3), np.nan)
    rings = []
    for angle in np.arange(0, 180, 30) * np.pi / 180:
        across = np.array([np.cos(angle), np.sin(angle), 0.0])
        rings += [np.outer(np.cos(turn), across) + np.outer(np.sin(turn), [0, 0, 1]), gap]
    for height in np.sin(np.array([-60, -30, 0, 30, 60]) * np.pi / 180):
        radius = np.sqrt(1 - height**2)
        rings += [np.column_stack([radius * np.cos(turn), radius * np.sin(turn), np.full_like(turn, height)]), gap]
    return {
        "type": "scatter3d", "mode": "lines", **_places(np.concatenate(rings)),
        "line": {"color": colour("wire"), "width": 1}, "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip
