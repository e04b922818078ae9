"""Distribution of the cosine margins of the samples, with zero and the largest possible margin marked."""

import numpy as np

from .._run import Run
from .._text import number, plot_text
from ._plot import Figure, Json, Panel, axis, colour, label, layout, packed, vertical
from ._tracks import split_legend, split_look, split_name


def build(run: Run) -> Figure | str:
    """The figure, or the reason why there is none."""
    found = {split: histogram for split in run.splits if (histogram := _histogram(run, split)) is not None}
    if not found:
        return "Margins: the run holds no histogram of margins, which needs a classifier and a pass over the samples."
    best = _largest(run)
    known = ""
    if best is not None:
        known = (
            f" The dashed line at {number(best)} is the {_kind(run)} for all {run.num_classes} classes at once in "
            f"{run.dim} dimensions; single samples may lie beyond it."
        )
    return Figure(
        id="margins",
        heading="Margins of the samples",
        short="Margins",
        caption="The cosine margin of a sample is its cosine with the weight of its own class, less the largest cosine with "
        f"another. Below 0 it is closer in angle to another class.{known}",
        panels=[_panel(run, found, best)],
        legend=split_legend(run, [split for split in found if split], "bar"),
    )


def _histogram(run: Run, split: str) -> tuple[np.ndarray, np.ndarray] | None:
    edges, counts = run.array("margin_edges", split), run.array("margin_counts", split)
    if edges is None or counts is None or not counts.sum() > 0:
        return None
    return edges.astype(np.float64), counts.astype(np.float64)


def _kind(run: Run) -> str:
    bound = any(flag.code == "optimum_is_a_bound" for flag in run.info.flags)
    return "upper bound of the margin" if bound else "largest margin known"


def _largest(run: Run) -> float | None:
    """The largest margin that all K classes can have at once in d dimensions, as far as it is known."""
    for split in run.splits:
        margin, best = run.find("gnc2/margin", split), run.find("gnc2/margin_optimum", split)
        known = (margin and margin.optimum, best and best.value)
        if any(value is not None for value in known):
            return next(value for value in known if value is not None)
    return None


def _panel(run: Run, found: dict[str, tuple[np.ndarray, np.ndarray]], best: float | None) -> Panel:
    ends = _range(list(found.values()), best)
    lines, labels = [vertical(0, "soft", "solid")], [label(0, "0", (0, 1), "soft")]
    if best is not None:
        lines.append(vertical(best))
        labels.append(label(best, f"{_kind(run)} of all classes, {number(best)}", ends))
    return Panel(
        title="Share of samples by cosine margin",
        note="; ".join(_note(split, *found[split]) for split in found),
        data=[_bars(run, split, *found[split]) for split in found],
        layout=layout(
            xaxis=axis("cosine margin", range=list(ends)),
            yaxis=axis("share of samples (%)", rangemode="tozero"),
            shapes=lines,
            annotations=labels,
            barmode="overlay",
            bargap=0,
        ),
        shape="wide",
    )


def _bars(run: Run, split: str, edges: np.ndarray, counts: np.ndarray) -> Json:
    return {
        "type": "bar",
        "name": plot_text(split_name(split)),
        "x": packed((edges[1:] + edges[:-1]) / 2, "f8"),
        "width": packed(np.diff(edges), "f8"),
        "y": packed(100 * counts / counts.sum()),
        "marker": {"color": colour(split_look(run, split).colour, 0.6), "line": {"width": 0}},
        "hovertemplate": "margin %{x:.3f}<br>%{y:.2f} % of samples",
    }


def _range(histograms: list[tuple[np.ndarray, np.ndarray]], best: float | None) -> tuple[float, float]:
    """From the first to the last bin that holds a sample, with 0 and the largest margin in view."""
    ends = [0.0] if best is None else [0.0, best]
    for edges, counts in histograms:
        filled = np.flatnonzero(counts)
        ends += [edges[filled[0]], edges[filled[-1] + 1]]
    pad = 0.04 * (max(ends) - min(ends)) or 0.1
    return float(min(ends) - pad), float(max(ends) + pad)


def _note(split: str, edges: np.ndarray, counts: np.ndarray) -> str:
    below = counts[edges[1:] <= 0].sum() / counts.sum()
    middle = edges[np.searchsorted(np.cumsum(counts), counts.sum() / 2) + 1]
    text = f"median about {number(float(middle))}, {number(float(100 * below))} % below 0"
    return f"{split}: {text}" if split else text
