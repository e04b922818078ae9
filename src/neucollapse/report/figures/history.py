"""Collapse over epochs: one small plot a metric, train and test, each with its optimum."""

import numpy as np

from .._history import Curve
from .._run import Run
from .._story import in_order
from .._text import capital, plot_text
from ._plot import SERIES, Figure, Json, Panel, Swatch, axis, colour, layout, log_axis, packed, split_name, vertical

_SHOWN = 9
_MARKS = "terminal_phase"  # of the epochs, shown as the shaded zone


def build(run: Run) -> Figure | str:
    """The figure, or the reason why there is none."""
    groups = _by_name(run)
    if not groups:
        return "Collapse over epochs: there is no history, because this run measured and did not train."
    panels = [_panel(run, name, curves) for name, curves in groups.items()]
    epoch = run.zero_error_epoch
    zone = (
        f"From epoch {epoch} on, every training sample is classified correctly (shaded: the terminal phase). "
        if epoch is not None
        else ""
    )
    return Figure(
        id="history",
        heading="Collapse over epochs",
        short="Epochs",
        caption=f"Each plot follows one quantity through training. {zone}Dashed lines are the optimum, the best value "
        "known for this number of classes and dimension; the distance to it is what is left to collapse. "
        "An optimum of 0 lies below every logarithmic axis.",
        panels=panels[:_SHOWN],
        more=panels[_SHOWN:],
        legend=_legend(run, groups),
    )


def _by_name(run: Run) -> dict[str, dict[str, Curve]]:
    """Curves by metric, then by split; those of inner layers are left to the layer-wise figure."""
    groups: dict[str, dict[str, Curve]] = {}
    for key, curve in run.history.items():
        split = next((split for split in run.splits if split and key.startswith(f"{split}/")), "")
        name = key.removeprefix(f"{split}/") if split else key
        if "@layer:" not in name and name != _MARKS and np.isfinite(curve.values).any():
            groups.setdefault(name, {})[split] = curve
    return {name: groups[name] for name in in_order(run, list(groups))}


def _legend(run: Run, groups: dict[str, dict[str, Curve]]) -> list[Swatch]:
    used = {split for curves in groups.values() for split in curves}
    entries = [
        Swatch(split_name(split), SERIES[i % len(SERIES)]) for i, split in enumerate(run.splits) if split in used
    ]
    entries.append(Swatch("optimum", "soft", "dash"))
    if run.zero_error_epoch is not None:
        entries.append(Swatch("terminal phase", "zone", "zone"))
    return entries


def _panel(run: Run, name: str, curves: dict[str, Curve]) -> Panel:
    definition = run.definition(name)
    log = definition.log or name == "loss"
    data, notes = [], []
    for split, curve in curves.items():
        data.append(line(split_name(split), _colour(run, split), curve, log))
        if log and np.any(curve.values <= 0):
            notes.append(f"{split_name(split)}: values of 0 or below cannot stand on a log axis")
    for value, splits in _optima(run, name, list(curves)).items():
        if log and value <= 0:
            continue  # the caption says so
        line_colour = "soft" if len(splits) == len(curves) else _colour(run, splits[0])
        data.append(optimum_line(value, line_colour, list(curves.values())))
    shapes, annotations = _terminal_phase(run.zero_error_epoch, span(list(curves.values())))
    return Panel(
        title=capital(definition.title),
        code="" if definition.title == name else name,
        note="; ".join(dict.fromkeys(notes)),
        data=data,
        layout=over_epochs(list(curves.values()), log) | {"shapes": shapes, "annotations": annotations},
    )


def over_epochs(curves: list[Curve], log: bool) -> Json:
    """The layout of a plot of curves over epochs."""
    first, last = span(curves)
    whole: Json = {"dtick": 1} if last - first < 6 else {"nticks": 6}
    y = log_axis([curve.values for curve in curves]) if log else axis(nticks=6)
    return layout(xaxis=axis("epoch", range=_padded((first, last)), **whole), yaxis=y, hovermode="x unified")


def span(curves: list[Curve]) -> tuple[float, float]:
    """The first and the last epoch of all."""
    return min(curve.epochs[0] for curve in curves), max(curve.epochs[-1] for curve in curves)


def _colour(run: Run, split: str) -> str:
    return SERIES[run.splits.index(split) % len(SERIES)] if split in run.splits else SERIES[0]


def line(name: str, colour_name: str, curve: Curve, log: bool) -> Json:
    """A curve; on a logarithmic axis without what is not positive."""
    values = np.where(curve.values > 0, curve.values, np.nan) if log else curve.values
    marked = len(curve.epochs) < 3 or np.isfinite(values).sum() < 3  # a line of one point shows nothing
    return {
        "type": "scatter",
        "mode": "lines+markers" if marked else "lines",
        "name": plot_text(name),
        "x": packed(curve.epochs),
        "y": packed(values, "f8"),
        "line": {"color": colour(colour_name), "width": 2},
        "hovertemplate": "%{y:.4g}",
    }


def _optima(run: Run, name: str, splits: list[str]) -> dict[float, list[str]]:
    """The optima of the metric, each with the splits it holds for."""
    found: dict[float, list[str]] = {}
    for split in splits:
        row = run.find(name, split)
        if row is not None and (best := run.best(row)) is not None:
            found.setdefault(best, []).append(split)
    return found


def optimum_line(value: float, name: str, curves: list[Curve]) -> Json:
    """A dashed line over the epochs of the curves."""
    epochs = np.unique(np.concatenate([curve.epochs for curve in curves]))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "optimum",
        "x": packed(epochs),
        "y": packed(np.full(len(epochs), value), "f8"),
        "line": {"color": colour(name), "width": 1.6, "dash": "dash"},
        "hovertemplate": "%{y:.4g}",
    }


def _padded(span: tuple[float, float]) -> list[float]:
    pad = 0.02 * (span[1] - span[0]) or 0.5
    return [span[0] - pad, span[1] + pad]


def _terminal_phase(epoch: int | None, span: tuple[float, float]) -> tuple[list[Json], list[Json]]:
    if epoch is None or epoch > span[1]:
        return [], []
    zone: Json = {
        "type": "rect", "x0": epoch, "x1": _padded(span)[1], "y0": 0, "y1": 1, "yref": "paper", "layer": "below",
        "fillcolor": colour("zone", 0.5), "line": {"width": 0},
    }  # fmt: skip
    late = epoch > span[0] + 0.5 * (span[1] - span[0])
    line, label = vertical(
        epoch, f"zero error, epoch {epoch}", name="soft", dash="dot", anchor="right" if late else "left"
    )
    return [zone, line], [label]
