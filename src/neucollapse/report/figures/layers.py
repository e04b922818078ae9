"""Collapse through the network: each metric over the measured layers, in the order of the model."""

import numpy as np

from .._history import Curve
from .._run import Run
from .._story import in_order
from .._text import plot_text, shorten
from ._plot import Figure, Panel, axis, layout, log_axis
from ._tracks import OPTIMUM, Track, metric_panel, split_legend, split_look, split_name, traces

_SHOWN = 6
LAST = "classifier input"


def build(run: Run) -> Figure | str:
    """The figure, or the reason why there is none."""
    layers = layer_order(run)
    if len(layers) < 2:
        return "Layer-wise curves: one layer was measured."
    names = in_order(run, list(dict.fromkeys(row.name for row in run.info.metrics)))
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
        legend=[*split_legend(run, run.splits), OPTIMUM],
    )


def layer_order(run: Run) -> list[str]:
    """Layers in the order of the result, the input of the classifier (the empty name) last."""
    layers = list(dict.fromkeys(row.layer for row in run.info.metrics))
    return [layer for layer in layers if layer] + [layer for layer in layers if not layer]


def _panel(run: Run, name: str, layers: list[str]) -> Panel | None:
    places, optima = np.arange(len(layers)), {run.best(row) for row in run.info.metrics if row.name == name} - {None}
    best = optima.pop() if len(optima) == 1 else None
    tracks = [
        Track(split_name(split), split_look(run, split), Curve(places, values), best)
        for split in run.splits
        if np.isfinite(values := np.array([_value(run, name, split, layer) for layer in layers])).any()
    ]
    values = [track.curve.y for track in tracks]
    if not tracks or np.isfinite(values).any(axis=0).sum() < 2:
        return None
    definition = run.definition(name)
    log = definition.log and all(np.all(row[np.isfinite(row)] > 0) for row in values)
    ticks = [plot_text(_short_layer(layer)) for layer in layers]
    x = axis(tickvals=places.tolist(), ticktext=ticks, range=[-0.3, len(layers) - 0.7], showgrid=False)
    y = log_axis(values) if log else axis(nticks=6)
    margin = {"l": 52, "r": 12, "t": 10, "b": 28}
    plot = layout(xaxis=x, yaxis=y, hovermode="x unified", margin=margin)
    return metric_panel(definition, name, traces(tracks, log, marked=True), plot)


def _value(run: Run, name: str, split: str, layer: str) -> float:
    row = run.find(name, split, layer)
    return np.nan if row is None or row.value is None else row.value


def _short_layer(layer: str) -> str:
    """The end of a long module path tells layers apart; its beginning seldom does."""
    if not layer:
        return LAST
    return layer if len(layer) <= 16 else "…" + shorten(layer[-15:], 15)
