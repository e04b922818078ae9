"""Collapse through the network: each metric over the measured layers, in the order of the model."""

import numpy as np

from .._run import Run
from .._story import in_order
from .._text import capital, plot_text, shorten
from ._plot import SERIES, Figure, Json, Panel, Swatch, axis, colour, layout, log_axis, packed, split_name

_SHOWN = 6
LAST = "classifier input"


def build(run: Run) -> Figure | str:
    """The figure, or the reason why there is none."""
    layers = layer_order(run)
    if len(layers) < 2:
        return "Layer-wise curves: one layer was measured."
    names = in_order(run, list(dict.fromkeys(row.name for row in run.metrics)))
    panels = [panel for name in names if (panel := _panel(run, name, layers)) is not None]
    if not panels:
        return "Layer-wise curves: no metric was measured on more than one layer."
    return Figure(
        id="layers",
        heading="Collapse through the layers",
        short="Layers",
        caption="The same metrics on the features of inner layers, from the first layer measured to the input of the "
        "classifier. Dashed lines are the optimum where it is known and the same for all layers; "
        "an optimum of 0 lies below every logarithmic axis.",
        panels=panels[:_SHOWN],
        more=panels[_SHOWN:],
        legend=[
            *(Swatch(split_name(split), SERIES[i % len(SERIES)]) for i, split in enumerate(run.splits)),
            Swatch("optimum", "soft", "dash"),
        ],
    )


def layer_order(run: Run) -> list[str]:
    """Layers in the order of the result, the input of the classifier (the empty name) last."""
    layers = list(dict.fromkeys(row.layer for row in run.metrics))
    return [layer for layer in layers if layer] + [layer for layer in layers if not layer]


def _panel(run: Run, name: str, layers: list[str]) -> Panel | None:
    definition = run.definition(name)
    values = {split: np.array([_value(run, name, split, layer) for layer in layers]) for split in run.splits}
    measured = np.array([np.isfinite(row) for row in values.values()])
    if measured.any(axis=0).sum() < 2:
        return None
    log = definition.log and all(np.all(row[np.isfinite(row)] > 0) for row in values.values())
    data = [_line(run, split, row) for split, row in values.items() if np.isfinite(row).any()]
    optimum = _optimum(run, name)
    if optimum is not None and not (log and optimum <= 0):
        data.append(_optimum_line(optimum, len(layers)))
    y = log_axis(list(values.values())) if log else axis(nticks=6)
    ticks = [plot_text(_short_layer(layer)) for layer in layers]
    x = axis(tickvals=list(range(len(layers))), ticktext=ticks, range=[-0.3, len(layers) - 0.7], showgrid=False)
    return Panel(
        title=capital(definition.title),
        code="" if definition.title == name else name,
        data=data,
        layout=layout(xaxis=x, yaxis=y, hovermode="x unified", margin={"l": 52, "r": 12, "t": 10, "b": 28}),
    )


def _value(run: Run, name: str, split: str, layer: str) -> float:
    row = run.find(name, split, layer)
    return np.nan if row is None or row.value is None else row.value


def _short_layer(layer: str) -> str:
    """The end of a long module path tells layers apart; its beginning seldom does."""
    if not layer:
        return LAST
    return layer if len(layer) <= 16 else "…" + shorten(layer[-15:], 15)


def _line(run: Run, split: str, values: np.ndarray) -> Json:
    name = SERIES[run.splits.index(split) % len(SERIES)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plot_text(split_name(split)),
        "x": packed(np.arange(len(values))),
        "y": packed(values, "f8"),
        "line": {"color": colour(name), "width": 2},
        "marker": {"size": 7},
        "hovertemplate": "%{y:.4g}",
    }


def _optimum(run: Run, name: str) -> float | None:
    found = {best for row in run.metrics if row.name == name and (best := run.best(row)) is not None}
    return found.pop() if len(found) == 1 else None


def _optimum_line(value: float, count: int) -> Json:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "optimum",
        "x": packed(np.arange(count)),
        "y": packed(np.full(count, value), "f8"),
        "line": {"color": colour("soft"), "width": 1.6, "dash": "dash"},
        "hovertemplate": "%{y:.4g}",
    }
