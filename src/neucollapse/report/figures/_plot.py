"""What the figures share: panels, colours by name, arrays as plotly reads them.

Colours are written as `{"$": "ink"}`: the page looks the name up in its style sheet, so that one figure serves light,
dark and paper.
"""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .._text import plot_text

Json = dict[str, Any]
_SERIES = 6  # colours of lines in the style sheet
_SYMBOLS = ("circle", "square", "diamond", "cross", "x")
# Mid tones that hold on white and on near-black; told apart by most colour-blind readers in this order.
CLASS_COLOURS = (
    "#4477dd", "#e0702f", "#2f9e6e", "#c2459c", "#b8930b", "#7d5bd6", "#d64550", "#1f9fb8", "#7c9a2d", "#8d6e63",
)  # fmt: skip


class Look(NamedTuple):
    """A colour of the style sheet; lines of a later `round` through the colours have marks, other ones in each."""

    colour: str
    round: int = 0


def look(index: int) -> Look:
    """How the line of this number looks: no two of thirty alike."""
    return Look(f"series-{index % _SERIES + 1}", index // _SERIES)


@dataclass(frozen=True, eq=False)
class Panel:
    """One plot.

    `title`, `code` (the name of a metric) and `note` are plain text; `shape` is a class of the style sheet that
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
    """An entry of the legend over a figure: its text, its look, how it is drawn (`line`, `dash`, ...)."""

    text: str
    look: Look
    kind: str = "line"


@dataclass(frozen=True)
class Figure:
    """A section of the page: its heading (`short` in the menu), panels, their legend, and a caption that explains them."""

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


def packed(values: Any, dtype: str = "f4") -> Json:
    """Numbers in the binary form that plotly decodes: exact, small, and able to hold NaN as JSON is not."""
    array = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    packed: Json = {"dtype": dtype, "bdata": b64encode(array.tobytes()).decode()}
    if array.ndim > 1:
        packed["shape"] = ",".join(str(size) for size in array.shape)
    return packed


def curve(
    name: str, x: np.ndarray, y: np.ndarray, look: Look, *, dash: str = "solid", log: bool = False, **changes: Any
) -> Json:
    """A line; on a logarithmic axis without what is not positive."""
    y = np.where(y > 0, y, np.nan) if log else y
    line: Json = {
        "type": "scatter",
        "mode": "lines+markers" if look.round else "lines",
        "name": plot_text(name),
        "x": packed(x, "f8"),
        "y": packed(y, "f8"),
        "line": {"color": colour(look.colour), "width": 1.6 if dash == "dash" else 2, "dash": dash},
        "marker": {"color": colour(look.colour), "size": 7, "symbol": _SYMBOLS[look.round % len(_SYMBOLS)]},
        "hovertemplate": "%{y:.4g}",
    }
    if look.round:
        line["marker"]["maxdisplayed"] = 12
    return line | changes


def layout(**changes: Any) -> Json:
    """The layout that all plots share, with changes to it."""
    common: Json = {
        "paper_bgcolor": colour("clear"),
        "plot_bgcolor": colour("clear"),
        "font": {"color": colour("ink"), "size": 12},
        "hoverlabel": {"bgcolor": colour("panel"), "bordercolor": colour("line"), "font": {"color": colour("ink")}},
        "margin": {"l": 52, "r": 12, "t": 22, "b": 40},
        "showlegend": False,
        "modebar": {"bgcolor": colour("clear"), "color": colour("soft"), "activecolor": colour("ink")},
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


def vertical(x: float, name: str = "ink", dash: str = "dash", **changes: Any) -> Json:
    """A vertical line over the whole plot, as a shape."""
    line = {"color": colour(name), "width": 1.4, "dash": dash}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line} | changes


def label(x: float, text: str, within: tuple[float, float], name: str = "ink") -> Json:
    """The label of a vertical line above the plot, as an annotation, on the side of the line that has more room."""
    return {
        "x": x, "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "right" if x > sum(within) / 2 else "left",
        "text": text, "showarrow": False, "font": {"size": 11, "color": colour(name)},
    }  # fmt: skip
