"""The figures of a code: the sphere or the circle, the angles of all pairs beside the bound, the Gram matrix."""

import numpy as np

from ..._schema import Result
from .._run import Run
from .._text import number, plot_text
from . import gram, sphere
from ._plot import Figure, Json, Look, Panel, Swatch, axis, colour, layout, look, packed, vertical
from ._sphere import Points

_MOST_ROWS = 2000  # rows of which all pairs are counted
_EVERY_NAME = 24  # class numbers beside points, and beside the rows of a Gram matrix; beyond, every fifth there
_NAMES = 60  # beyond, none
_CONTACTS = 1e-6
_MOST_CONTACTS = 3000
_CLASS_DOTS = "Each dot is the direction of one class: where its features and its classifier row should end up."
_LINES_DOTS = "Each large dot is one end of a line, the small one opposite its other end."
_CLASS_GRAM = (
    " The class means and the classifier of a network that has collapsed to this code show the same picture, up to the order "
    "of the classes."
)


def code_figures(
    points: np.ndarray, lines: bool, least_cosine: float | None, bound_name: str
) -> tuple[list[Figure], list[str]]:
    """The figures of unit rows (K, d), and the reasons for those that are left out."""
    points = np.asarray(points, dtype=np.float64)
    run = _as_run(points)
    found: list[Figure] = []
    missing = []
    if run.dim in (2, 3):
        found.append(_drawn(run, points, lines))
    else:
        missing.append(f"Sphere: {run.dim} dimensions; a sphere can be drawn at 3, a circle at 2.")
    found.append(_histogram(points, lines, least_cosine, bound_name))
    if run.num_classes <= gram.MOST_CLASSES:
        found.append(_gram(run, points, lines))
    else:
        missing.append(f"Gram matrix: more than {gram.MOST_CLASSES} classes, too many to tell apart.")
    return found, missing


def _as_run(points: np.ndarray) -> Run:
    """The least that the figures of a run ask for."""
    K, d = points.shape
    return Run(K, d, Result(metrics=[], flags=[], splits=[], class_names=[str(k) for k in range(K)]))


def _drawn(run: Run, points: np.ndarray, lines: bool) -> Figure:
    labels = np.arange(len(points))
    classes = [Points("means", "classes", points, labels)]
    if lines:
        classes.insert(0, Points("features", "other ends", -points, labels))
    pairs = _closest_pairs(points, lines) if len(points) <= _MOST_ROWS else np.empty((0, 2), np.int64)
    where, turn = ("sphere", sphere.TURN) if run.dim == 3 else ("circle", "")
    panel = sphere.panel(run, classes, names=_EVERY_NAME)
    joined = ""
    if 0 < len(pairs) <= _MOST_CONTACTS:
        panel.data.insert(len(panel.data) - 1, _edges(points, pairs, lines))
        joined = f" Lines join the {len(pairs):,} closest pairs, all at the same angle." if len(pairs) > 1 else ""
    return Figure(
        id="sphere",
        heading=f"The code on the {where}",
        short=where.capitalize(),
        caption=f"{_LINES_DOTS if lines else _CLASS_DOTS}{joined}{turn}",
        panels=[
            Panel(f"{run.num_classes} directions", panel.data, {**panel.layout, "showlegend": False}, shape="ball")
        ],
    )


def _cosines(rows: np.ndarray, lines: bool) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """All pairs of rows, and their cosines; of lines, the absolute ones."""
    pairs = np.triu_indices(len(rows), k=1)
    cosines = (rows @ rows.T)[pairs]
    return pairs, np.abs(cosines) if lines else cosines


def _closest_pairs(points: np.ndarray, lines: bool) -> np.ndarray:
    pairs, cosines = _cosines(points, lines)
    return np.column_stack(pairs)[cosines >= cosines.max() - _CONTACTS]


def _edges(points: np.ndarray, pairs: np.ndarray, lines: bool) -> Json:
    """One line with gaps along all closest pairs; of lines, to the nearer end."""
    first, second = points[pairs[:, 0]], points[pairs[:, 1]].copy()
    if lines:
        second[(first * second).sum(axis=1) < 0] *= -1
    gap = np.full_like(first, np.nan)
    path = np.stack([first, second, gap], axis=1).reshape(-1, points.shape[1])
    trace: Json = {
        "type": "scatter3d" if points.shape[1] == 3 else "scatter",
        "mode": "lines",
        "line": {"color": colour("soft"), "width": 3 if points.shape[1] == 3 else 1.4},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return trace | {name: packed(values) for name, values in zip("xyz", path.T, strict=False)}


def _histogram(points: np.ndarray, lines: bool, least_cosine: float | None, bound_name: str) -> Figure:
    step = -(-len(points) // _MOST_ROWS)
    angles = np.degrees(np.arccos(np.clip(_cosines(points[::step], lines)[1], -1, 1)))
    smallest = float(angles.min())
    marks = [vertical(smallest, dash="dot")]
    legend = [
        Swatch("pairs of classes", look(0), "bar"),
        Swatch(f"closest pair, {number(smallest)}°", Look(""), "dash"),
    ]
    if least_cosine is not None:
        bound = float(np.degrees(np.arccos(np.clip(least_cosine, -1, 1))))
        marks.append(
            vertical(bound, look(1).colour, "solid") | {"line": {"color": colour(look(1).colour), "width": 3.0}}
        )
        legend.append(Swatch(f"no code has its closest pair beyond {number(bound)}° ({bound_name})", look(1)))
    what = "two lines" if lines else "two classes"
    sample = f" Of {len(points):,} classes, every {step}th is taken." if step > 1 else ""
    return Figure(
        id="angles",
        heading="Angles between classes",
        short="Angles",
        caption=f"How many pairs lie at which angle. The left end is what counts: the further right it lies, the better the "
        f"closest two are kept apart. A good code often has few different angles.{sample}",
        panels=[_bars(angles, marks, f"angle between {what} (degrees)")],
        legend=legend,
    )


def _bars(angles: np.ndarray, marks: list[Json], title: str) -> Panel:
    # Bins of one degree about whole degrees, so that 60 and 90 fall inside one.
    ends = [float(angles.min()), float(angles.max()), *(mark["x0"] for mark in marks)]
    low, high = np.floor(min(ends)), np.ceil(max(ends))
    counts, edges = np.histogram(angles, np.arange(low - 0.5, high + 1))
    bars: Json = {
        "type": "bar",
        "x": packed((edges[1:] + edges[:-1]) / 2),
        "y": packed(counts.astype(np.float64)),
        "width": 1,
        "marker": {"color": colour(look(0).colour, 0.7)},
        "hovertemplate": "%{x:.0f}°<br>%{y:,} pairs<extra></extra>",
    }
    pad = max(2.0, 0.03 * (high - low))
    return Panel(
        title="All pairs",
        note=f"{len(angles):,} pairs, from {number(float(angles.min()))}° to {number(float(angles.max()))}°",
        data=[bars],
        layout=layout(
            xaxis=axis(plot_text(title), range=[low - pad, high + pad], ticksuffix="°"),
            yaxis=axis("pairs", range=[0, 1.25 * float(counts.max())]),
            # Marks lie under the bars and end above them, so that neither hides the other.
            shapes=[mark | {"layer": "below"} for mark in reversed(marks)],
            bargap=0,
        ),
        shape="wide",
    )


def _gram(run: Run, points: np.ndarray, lines: bool) -> Figure:
    what = "lines" if lines else "classes"
    panel = gram.panel(run, f"Cosine of every two {what}", points)
    K = run.num_classes
    if _EVERY_NAME < K <= _NAMES:
        chosen = list(range(0, K, 5))
        ticks: Json = {"tickvals": chosen, "ticktext": [str(k) for k in chosen], "showticklabels": True, "tickangle": 0}
        for name in ("xaxis", "yaxis"):
            panel.layout[name].update(ticks)
    return Figure(
        id="gram",
        heading="The Gram matrix",
        short="Gram matrix",
        caption=f"Cosine between every two {what}, one row and one column each: blue points apart, red points together."
        f"{'' if lines else _CLASS_GRAM}",
        panels=[panel],
        colour_bar=True,
    )
