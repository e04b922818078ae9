"""What a simulation did: its lines over steps, time or temperature, and its tables as colours."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from ..._schema import HeatMap, Line, Plot, SimulationFile
from .._run import Run
from .._text import capital, number, plot_text, shorten
from ._plot import Figure, Json, Look, Panel, Swatch, axis, colour, curve, layout, log_axis, look, packed
from ._tracks import SOFT

_DASHES = {"found": "solid", "predicted": "dash", "baseline": "dot", "measured": "dashdot"}
_SWATCHES = {"found": "line", "baseline": "dot"}
_MOST_NUMBERS = 400


def simulation_figures(simulation: SimulationFile, overlay: Run | None = None) -> list[Figure]:
    """A figure a plot; the metrics of collapse share one, with the curves of a measured run where one is laid over."""
    plots = [with_run(plot, overlay) if isinstance(plot, Plot) else plot for plot in simulation.plots or []]
    alone = [(index, plot) for index, plot in enumerate(plots) if isinstance(plot, HeatMap) or not plot.metric]
    metrics = [plot for plot in plots if isinstance(plot, Plot) and plot.metric]
    together = [_metrics(metrics, overlay)] if any(map(_can_be_drawn, metrics)) else []
    shorts = [_short(plot.title) for _, plot in alone]
    shorts = [
        one if shorts.count(one) == 1 else shorten(plot.title, 44) for one, (_, plot) in zip(shorts, alone, strict=True)
    ]
    return [_figure(index, plot, short) for (index, plot), short in zip(alone, shorts, strict=True)] + together


def _can_be_drawn(plot: Plot) -> bool:
    """Whether a line has a value that its axis can show."""
    return any(np.any((y > 0) if plot.log_y else np.isfinite(y)) for y in (_array(line.y) for line in plot.lines))


def _array(values: Sequence[float | None] | Sequence[Sequence[float | None]]) -> np.ndarray:
    """Numbers as an array; null becomes NaN."""
    return np.array(values, dtype=np.float64)


def with_run(plot: Plot, run: Run | None) -> Plot:
    """The plot with what was measured in a run: its history, spread over the same axis."""
    if run is None or not plot.metric:
        return plot
    lines = [
        Line(f"measured, {split or 'run'}", *_spread(plot, run, key), role="measured")
        for split in run.splits
        if (key := f"{split}/{plot.metric}" if split else plot.metric) in run.history
    ]
    return replace(plot, lines=[*plot.lines, *lines])


def _spread(plot: Plot, run: Run, key: str) -> tuple[list[float | None], list[float | None]]:
    """The curve of a run with its epochs stretched from the first to the last x: training has no time in a model."""
    epochs, values = run.history[key]
    ends = np.concatenate([_array(line.x) for line in plot.lines if line.x])
    low, high = float(ends.min()), float(ends.max())
    share = (epochs - epochs[0]) / max(epochs[-1] - epochs[0], 1)
    x = low * (high / low) ** share if plot.log_x and low > 0 else low + share * (high - low)
    return x.tolist(), values.tolist()


def _short(title: str) -> str:
    return shorten(title.split(",")[0].split(":")[0], 44)


def _figure(index: int, plot: Plot | HeatMap, short: str) -> Figure:
    panel = _heat(plot) if isinstance(plot, HeatMap) else _panel(plot, "wide", _looks([plot]))
    return Figure(
        id=f"plot-{index}",
        heading=capital(plot.title),
        short=capital(short),
        caption=plot.caption,
        panels=[panel],
        legend=[] if isinstance(plot, HeatMap) else _legend([plot]),
    )


def _metrics(every: list[Plot], overlay: Run | None) -> Figure:
    plots = [plot for plot in every if _can_be_drawn(plot)]
    empty = ", ".join(plot.metric for plot in every if not _can_be_drawn(plot))
    zero = f" Without a plot, as no value is above 0: {empty}." if empty else ""
    laid = " The run that is laid over it has its epochs stretched over the same axis, as a model knows no epochs."
    return Figure(
        id="collapse",
        heading="Collapse over the simulation",
        short="Collapse",
        caption="Each plot follows one metric of collapse. Dashed lines are what the theory predicts; one of 0 lies below every "
        f"logarithmic axis.{zero}{'' if overlay is None else laid}",
        panels=[_panel(plot, "small", _looks(plots)) for plot in plots],
        legend=_legend(plots),
    )


def _looks(plots: list[Plot]) -> dict[str, Look]:
    """One look a name of a line, whichever plots it stands in.

    What is called after a line that was found, as its prediction is, looks alike; a single line that is not is grey.
    """
    lines = [line for plot in plots for line in plot.lines]
    found = list(dict.fromkeys(line.name for line in lines if line.role == "found"))
    looks = {name: look(i) for i, name in enumerate(found)}
    measured = dict.fromkeys(line.name for line in lines if line.role == "measured")
    looks |= {name: SOFT if i else Look("ink") for i, name in enumerate(measured)}
    others = dict.fromkeys(line.name for line in lines if line.name not in looks)
    of = {name: next((first for first in found if name.startswith(f"{first}, ")), "") for name in others}
    alone = [name for name in others if not of[name]]
    looks |= {name: SOFT if len(alone) == 1 else look(len(found) + i) for i, name in enumerate(alone)}
    return looks | {name: looks[first] for name, first in of.items() if first}


def _legend(plots: list[Plot]) -> list[Swatch]:
    looks = _looks(plots)
    lines = {line.name: line for plot in plots for line in plot.lines}
    kinds = {name: "points" if line.points else _SWATCHES.get(line.role, "dash") for name, line in lines.items()}
    return [Swatch(name, looks[name], kind) for name, kind in kinds.items()]


def _panel(plot: Plot, shape: str, looks: dict[str, Look]) -> Panel:
    small = shape == "small"
    y = plot_text(shorten(plot.y, 28 if small else 42))
    xs, ys = [_array(line.x) for line in plot.lines], [_array(line.y) for line in plot.lines]
    notes = [plot.caption] if small else []
    if plot.log_y and any(np.any(values <= 0) for values in ys):
        notes.append("Values of 0 or below cannot stand on a log axis.")
    return Panel(
        title=capital(plot.title if small else plot.y),  # the heading has the title where a plot stands alone
        code=plot.metric if plot.metric != plot.title else "",
        note=" ".join(notes),
        data=[_trace(plot, line, looks[line.name]) for line in plot.lines],
        layout=layout(
            xaxis=log_axis(xs, title=plot_text(plot.x)) if plot.log_x else axis(plot_text(plot.x), nticks=7),
            yaxis=log_axis(ys, title=y) if plot.log_y else axis(y, nticks=6),
            hovermode="x unified" if small else "closest",
        ),
        shape=shape,
    )


def _trace(plot: Plot, line: Line, its_look: Look) -> Json:
    x, y = _array(line.x), _array(line.y)
    keep = np.isfinite(x) & ((x > 0) | (not plot.log_x))
    few = line.role == "found" and keep.sum() < 3  # a line of one point shows nothing
    mode = {"mode": "markers" if line.points else "lines+markers"} if line.points or few else {}
    dash = _DASHES.get(line.role, "solid")
    trace = curve(line.name, x[keep], y[keep], its_look, dash=dash, log=plot.log_y, hovertemplate="%{y:.5g}", **mode)
    trace["line"]["width"] = 2
    if line.points:
        trace["marker"].pop("maxdisplayed", None)
    return trace


def _heat(plot: HeatMap) -> Panel:
    """Cells coloured from the least to the largest value, with the numbers in them where there is room."""
    values = _array(plot.values)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    text = [[number(value) if np.isfinite(value) else "" for value in row] for row in values.tolist()]
    trace: Json = {
        "type": "heatmap",
        "z": packed(values, "f8"),
        "x": [plot_text(label) for label in plot.x_labels],
        "y": [plot_text(label) for label in plot.y_labels],
        "zmin": low,
        "zmax": high if high > low else low + 1,
        "colorscale": [[0, colour("panel")], [1, colour(look(0).colour)]],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": "%{y} · %{x}<br>%{z:.5g}<extra></extra>",
    }
    if values.size <= _MOST_NUMBERS:
        trace |= {"text": text, "texttemplate": "%{text}", "textfont": {"size": 11}}
    return Panel(
        title=capital(plot.title),
        note=f"from {number(low)}, pale, to {number(high)}, dark",
        data=[trace],
        layout=layout(
            xaxis=axis(plot_text(plot.x), type="category", showgrid=False),
            yaxis=axis(plot_text(plot.y), type="category", showgrid=False, autorange="reversed"),
        ),
        shape="wide tall" if len(plot.y_labels) > 10 else "wide",
    )
