"""What the figures share: panels, colours by name, arrays as plotly reads them.

Colours are written as ``{"$": "ink"}``: the page looks the name up in its style sheet, so that one figure serves light,
dark and paper.
"""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Json = dict[str, Any]
SERIES = ("series-1", "series-2", "series-3", "series-4", "series-5", "series-6")
# Mid tones that hold on white and on near-black; told apart by most colour-blind readers in this order.
CLASS_COLOURS = (
    "#4477dd", "#e0702f", "#2f9e6e", "#c2459c", "#b8930b", "#7d5bd6", "#d64550", "#1f9fb8", "#7c9a2d", "#8d6e63",
)  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """One plot.

    ``title``, ``code`` (the name of a metric) and ``note`` are plain text; ``shape`` is a class of the style sheet that
    gives its size.
    """

    title: str
    data: list[Json]
    layout: Json
    code: str = ""
    note: str = ""
    shape: str = "small"


@dataclass(frozen=True)
class Swatch:
    """An entry of the legend over a figure: a colour name, how it is drawn (``line``, ``dash``, ...), its text."""

    text: str
    colour: str
    kind: str = "line"


@dataclass(frozen=True)
class Figure:
    """A section of the page: its heading (``short`` in the menu), panels, their legend, and a caption that explains them."""

    id: str
    heading: str
    short: str
    caption: str
    panels: list[Panel]
    more: list[Panel] = field(default_factory=list)
    legend: list[Swatch] = field(default_factory=list)
    colour_bar: bool = False


def colour(name: str, alpha: float | None = None) -> Json:
    """A colour of the style sheet by name, to be looked up by the page."""
    return {"$": name} if alpha is None else {"$": name, "a": alpha}


def class_colours(count: int) -> list[str]:
    """One colour a class, repeating after the tenth."""
    return [CLASS_COLOURS[k % len(CLASS_COLOURS)] for k in range(count)]


def packed(values: Any, dtype: str = "f4") -> Json:
    """Numbers in the binary form that plotly decodes: exact, small, and able to hold NaN as JSON is not."""
    array = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    packed: Json = {"dtype": dtype, "bdata": b64encode(array.tobytes()).decode()}
    if array.ndim > 1:
        packed["shape"] = ",".join(str(size) for size in array.shape)
    return packed


def layout(**changes: Any) -> Json:
    """The layout that all plots share, with changes to it."""
    common: Json = {
        "paper_bgcolor": colour("clear"),
        "plot_bgcolor": colour("clear"),
        "font": {"color": colour("ink"), "size": 12},
        "hoverlabel": {"bgcolor": colour("panel"), "bordercolor": colour("line"), "font": {"color": colour("ink")}},
        "margin": {"l": 52, "r": 12, "t": 22, "b": 40},
        "showlegend": False,
        "uirevision": "keep",  # zoom and camera survive a change of theme
    }
    return common | changes


def axis(title: str = "", **changes: Any) -> Json:
    """A quiet axis: thin grid, no zero line, small title."""
    quiet: Json = {
        "gridcolor": colour("grid"),
        "linecolor": colour("line"),
        "tickcolor": colour("line"),
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickfont": {"size": 11, "color": colour("soft")},
        "title": {"text": title, "font": {"size": 12, "color": colour("soft")}, "standoff": 6},
        "automargin": True,
    }
    return quiet | changes


def log_axis(values: Iterable[np.ndarray], **changes: Any) -> Json:
    """A logarithmic axis whose ticks suit the decades that the data span."""
    drawn = np.concatenate([np.ravel(value) for value in values])
    drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
    decades = np.log10(drawn.max() / drawn.min()) if len(drawn) else 0.0
    # Powers of ten over many decades, 1 2 5 over about one, as on a linear axis within less.
    steps: Json = {"dtick": max(1, int(np.ceil(decades / 5)))} if decades >= 1.5 else {"dtick": "D2"}
    ticks = steps if decades >= 0.5 else {"nticks": 5}
    return axis(type="log", exponentformat="power", **ticks, **changes)


def vertical(x: float, text: str, *, name: str = "ink", dash: str = "dash", anchor: str = "left") -> tuple[Json, Json]:
    """A vertical line over the whole plot, as a shape, and its label above the plot, as an annotation."""
    line: Json = {
        "type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper",
        "line": {"color": colour(name), "width": 1.4, "dash": dash},
    }  # fmt: skip
    label: Json = {
        "x": x, "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": anchor, "text": text, "showarrow": False,
        "font": {"size": 11, "color": colour(name)},
    }  # fmt: skip
    return line, label


def split_name(split: str) -> str:
    """The name of a split in a legend; a single unnamed split is just what was measured."""
    return split or "measured"
