"""Gram matrices of class means and weights beside that of the best code, on one colour scale."""

import numpy as np

from .._run import Run
from .._story import has_simplex
from .._text import number, plot_text, shorten
from ._cosine import codes, pairs
from ._plot import Figure, Json, Panel, axis, colour, layout, packed

MOST_CLASSES = 200
_LABELLED = 24
_SCALE = [[0, colour("cold")], [0.5, colour("neutral")], [1, colour("warm")]]


def build(run: Run) -> Figure | str:
    """The figure, or the reason why there is none."""
    if run.num_classes > MOST_CLASSES:
        return ""  # pair cosines are shown as a histogram instead
    found = codes(run)
    if not found:
        return "Gram matrices: the run holds neither class means nor a classifier."
    about = "about their common mean" if has_simplex(run) else "about the origin"
    return Figure(
        id="gram",
        heading="Angles between classes",
        short="Angles",
        caption=f"Cosine between every two class vectors, taken {about}: blue points apart, red points together. At collapse "
        f"means and weights show the same pattern{_pattern(run)}.",
        panels=[panel(run, title, units) for title, units in found.items()],
        colour_bar=True,
    )


def _pattern(run: Run) -> str:
    if run.array("target") is None:
        return " (the run holds no best code to compare)" + (
            ": every two classes at one angle" if has_simplex(run) else ""
        )
    if has_simplex(run):
        return ", that of the best code: every two classes at one angle"
    if run.num_classes <= 2 * run.dim:
        return "; for this K and d the best codes are a family, of which one is drawn"
    return "; the best code on record is drawn beside them, and there may be others as good"


def panel(run: Run, title: str, units: np.ndarray) -> Panel:
    """The matrix of cosines of some unit rows."""
    names = distinct([plot_text(shorten(name, 60)) for name in run.classes])
    gap = int(run.num_classes <= 40)
    trace: Json = {
        "type": "heatmap", "z": packed(units @ units.T), "x": names, "y": names, "zmin": -1, "zmax": 1, "colorscale": _SCALE,
        "showscale": False, "hoverongaps": False, "xgap": gap, "ygap": gap,
        "hovertemplate": "%{y} · %{x}<br>cosine %{z:.3f}<extra></extra>",
    }  # fmt: skip
    rows, columns = _ticks(run)
    return Panel(
        title=title,
        note=_summary(units),
        data=[trace],
        layout=layout(
            xaxis=axis(type="category", showgrid=False, constrain="domain", **columns),
            yaxis=axis(
                type="category", showgrid=False, autorange="reversed", scaleanchor="x", constrain="domain", **rows
            ),
            margin={"l": 8, "r": 8, "t": 8, "b": 8},
        ),
        shape="square named" if rows["showticklabels"] and not columns["showticklabels"] else "square",
    )


def _ticks(run: Run) -> tuple[Json, Json]:
    """Class names beside the rows, and under the columns (in the same order) only where they are as short as digits."""
    bare: Json = {"showticklabels": False, "ticks": ""}
    if run.num_classes > _LABELLED:
        return bare, bare
    names = [shorten(name, 10) for name in run.classes]
    labelled: Json = {
        "tickvals": list(range(run.num_classes)),
        "ticktext": [plot_text(name) for name in names],
        "ticks": "",
        "tickangle": 0,
        "showticklabels": True,
    }
    return labelled, labelled if max(map(len, names)) <= 2 else bare


def _summary(units: np.ndarray) -> str:
    cosines = pairs(units)
    if not len(cosines):
        return "fewer than two classes are present"
    absent = int((~np.isfinite(units).all(axis=1)).sum())
    low, high = number(round(float(cosines.min()), 3)), number(round(float(cosines.max()), 3))
    text = f"cosines {low} to {high}" if low != high else f"every cosine is {low}"
    return text + (f"; {absent} of {len(units)} classes absent" if absent else "")


def distinct(names: list[str]) -> list[str]:
    """The same names, with the number of the class behind each where any two are equal: an axis needs one name a row."""
    return names if len(set(names)) == len(names) else [f"{name} · {k}" for k, name in enumerate(names)]
