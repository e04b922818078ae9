"""The unit sphere at d = 3: features, class means, weights and the best code, to be turned by hand."""

import numpy as np

from .._run import Run
from ._plot import Figure, Json, Panel, colour, layout, packed
from ._sphere import LEGEND, Points, described, explained, named, point_colours, points, second_splits

_MARKERS: dict[str, Json] = {
    "features": {"size": 2.6, "opacity": 0.75, "symbol": "circle"},
    "means": {"size": 9, "opacity": 1, "symbol": "circle", "line": {"width": 1.5, "color": colour("panel")}},
    "weights": {"size": 7, "opacity": 1, "symbol": "diamond", "line": {"width": 1.5, "color": colour("ink")}},
    "target": {"size": 18, "opacity": 1, "symbol": "circle-open"},
}
_MOST_NAMES = 16


def build(run: Run) -> Figure | str:
    """The figure, or the reason why there is none."""
    if run.dim != 3:
        return (
            ""
            if run.dim == 2
            else f"Sphere: features have {run.dim} dimensions, and a sphere can be drawn at 3, a circle at 2."
        )
    found = points(run)
    if not found:
        return "Sphere: the run holds no features, class means or weights."
    return Figure(
        id="sphere",
        heading="The sphere of features",
        short="Sphere",
        caption=explained(run, "large balls")
        + " Drag to turn, scroll or pinch to zoom, choose in the legend what is shown.",
        panels=[panel(run, found)],
    )


def panel(run: Run, found: list[Points], names: int = _MOST_NAMES) -> Panel:
    """The ball with everything found on it, and the names of classes where they are no more than ``names``."""
    hidden = second_splits(found)
    traces = [_trace(run, item, hidden=item.name in hidden) for item in found]
    scene: Json = {
        **{f"{name}axis": {"visible": False, "range": [-1.15, 1.15], "showspikes": False} for name in "xyz"},
        "aspectmode": "cube",
        "dragmode": "orbit",
        "camera": {"eye": {"x": 0.86, "y": 0.86, "z": 0.5}},
        "annotations": _names(run, found, names),
    }
    return Panel(
        title="Directions on the unit sphere",
        data=[_ball(), _wires(), *traces],
        layout=layout(scene=scene, showlegend=True, legend=LEGEND, margin={"l": 0, "r": 0, "t": 0, "b": 0}),
        shape="ball",
    )


def _trace(run: Run, item: Points, *, hidden: bool) -> Json:
    x, y, z = item.units.T
    return {
        "type": "scatter3d",
        "x": packed(x),
        "y": packed(y),
        "z": packed(z),
        **described(run, item, hidden=hidden),
        "marker": {**_MARKERS[item.kind], "color": point_colours(run, item)},
    }


def _names(run: Run, found: list[Points], most: int) -> list[Json]:
    labels = []  # raised on the screen, so that they clear their point however the sphere is turned
    for (x, y, z), text in named(run, found, 1.0, most):
        labels.append(
            {
                "x": x,
                "y": y,
                "z": z,
                "text": text,
                "showarrow": False,
                "yshift": 23,
                "font": {"size": 12, "color": colour("ink")},
            }
        )
    return labels


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
    x, y, z = np.concatenate(rings).T
    return {
        "type": "scatter3d", "mode": "lines", "x": packed(x), "y": packed(y), "z": packed(z),
        "line": {"color": colour("wire"), "width": 1}, "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip
