"""Collapse over epochs: one small plot a metric, train and test, each with its optimum."""

from collections.abc import Sequence

import numpy as np

from ..._schema import Definition
from .._history import Curve
from .._run import Run
from .._story import in_order
from ._plot import Figure, Json, Look, Panel, Swatch, axis, colour, label, layout, log_axis, vertical
from ._tracks import OPTIMUM, Track, metric_panel, split_legend, split_look, split_name, traces

_SHOWN = 9
_MARKS = "terminal_phase"  # of the epochs, shown as the shaded zone


def build(run: Run) -> Figure | str:
    """The figure, or the reason why there is none."""
    groups = _by_name(run)
    if not groups:
        return "Collapse over epochs: there is no history, because this run measured and did not train."
    panels = [_panel(run, name, curves) for name, curves in groups.items()]
    epoch, zone, swatches = run.zero_error_epoch, "", []
    if epoch is not None:
        zone = f"From epoch {epoch} on, every training sample is classified correctly (shaded: the terminal phase). "
        swatches = [Swatch("terminal phase", Look("zone"), "zone")]
    return Figure(
        id="history",
        heading="Collapse over epochs",
        short="Epochs",
        caption=f"Each plot follows one quantity through training. {zone}Dashed lines are the optimum, the best value "
        "known for this number of classes and dimension; the distance to it is what is left to collapse. "
        "An optimum of 0 lies below every logarithmic axis.",
        panels=panels[:_SHOWN],
        more=panels[_SHOWN:],
        legend=[*split_legend(run, {split for curves in groups.values() for split in curves}), OPTIMUM, *swatches],
    )


def _by_name(run: Run) -> dict[str, dict[str, Curve]]:
    """Curves by metric, then by split; those of inner layers are left to the layer-wise figure."""
    groups: dict[str, dict[str, Curve]] = {}
    for key, curve in run.history.items():
        split = next((split for split in run.splits if split and key.startswith(f"{split}/")), "")
        name = key.removeprefix(f"{split}/") if split else key
        if "@layer:" not in name and name != _MARKS and np.isfinite(curve.y).any():
            groups.setdefault(name, {})[split] = curve
    return {name: groups[name] for name in in_order(run, list(groups))}


def _panel(run: Run, name: str, curves: dict[str, Curve]) -> Panel:
    tracks = [
        Track(split_name(split), split_look(run, split), curve, run.best_of(name, split))
        for split, curve in curves.items()
    ]
    return over_epochs(run.definition(name), name, tracks, run.zero_error_epoch)


def over_epochs(definition: Definition, name: str, tracks: Sequence[Track], zero_error: int | None = None) -> Panel:
    """One quantity over epochs; the terminal phase is shaded from the epoch `zero_error` on."""
    log = definition.log or name == "loss"
    first, last = min(track.curve.x[0] for track in tracks), max(track.curve.x[-1] for track in tracks)
    pad = 0.02 * (last - first) or 0.5
    whole: Json = {"dtick": 1} if last - first < 6 else {"nticks": 6}
    y = log_axis([track.curve.y for track in tracks]) if log else axis(nticks=6)
    plot = layout(xaxis=axis("epoch", range=[first - pad, last + pad], **whole), yaxis=y, hovermode="x unified")
    if zero_error is not None and zero_error <= last:
        zone: Json = {
            "type": "rect", "x0": zero_error, "x1": last + pad, "y0": 0, "y1": 1, "yref": "paper", "layer": "below",
            "fillcolor": colour("zone", 0.5), "line": {"width": 0},
        }  # fmt: skip
        plot["shapes"] = [zone, vertical(zero_error, "soft", "dot")]
        plot["annotations"] = [label(zero_error, f"zero error, epoch {zero_error}", (first, last), "soft")]
    below = [track.name for track in tracks if log and np.any(track.curve.y <= 0)]
    notes = [f"{name}: values of 0 or below cannot stand on a log axis" for name in below]
    return metric_panel(definition, name, traces(tracks, log), plot, "; ".join(notes))
