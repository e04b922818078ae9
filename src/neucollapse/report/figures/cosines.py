"""Distribution of the cosines of all pairs of classes, where a Gram matrix would be too large to read."""

import numpy as np

from .._run import Run
from .._story import has_simplex
from .._text import number
from ._cosine import codes, pairs
from ._plot import Figure, Panel, Swatch, axis, colour, curve, label, layout, look, vertical
from .gram import MOST_CLASSES

_MOST_ROWS = 2000
_BINS = 120


def build(run: Run) -> Figure | str:
    """The figure, or the reason why there is none."""
    if run.num_classes <= MOST_CLASSES:
        return ""  # the Gram matrices show every pair
    # Every s-th class, so that 50,000 classes never need all their pairs.
    step = -(-run.num_classes // _MOST_ROWS)
    cosines = {title: pairs(units[::step]) for title, units in codes(run).items()}
    cosines = {title: values for title, values in cosines.items() if len(values)}
    if not cosines:
        return "Angles between classes: the run holds neither class means nor a classifier."
    target = cosines.pop("Best code", None)
    about = "about their common mean" if has_simplex(run) else "about the origin"
    sample = f" Of the {run.num_classes:,} classes, every {step}th is taken." if step > 1 else ""
    return Figure(
        id="gram",
        heading="Angles between classes",
        short="Angles",
        caption=f"How the cosines of all pairs of class vectors, taken {about}, are distributed. The further left the right "
        f"end of a curve, the better the two closest classes are kept apart.{sample}",
        panels=[_panel(cosines, target)],
        legend=[Swatch(title, look(i)) for i, title in enumerate(cosines)],
    )


def _panel(cosines: dict[str, np.ndarray], target: np.ndarray | None) -> Panel:
    everything = np.concatenate(list(cosines.values()))
    edges = np.linspace(everything.min() - 1e-3, everything.max() + 1e-3, _BINS + 1)
    data = []
    for i, (title, values) in enumerate(cosines.items()):
        counts, _ = np.histogram(values, edges)
        bars = curve(title, (edges[1:] + edges[:-1]) / 2, 100 * counts / len(values), look(i))
        bars["line"] |= {"shape": "hvh"}
        fill = {"fill": "tozeroy", "fillcolor": colour(look(i).colour, 0.15)}
        data.append(bars | fill | {"hovertemplate": "cosine %{x:.3f}<br>%{y:.2f} % of pairs"})
    low, high = float(edges[0]), float(edges[-1])
    marks = {}
    if target is not None and len(target):
        best = float(target.max())
        words = f"closest pair of the best code, {number(best)}"
        marks = {"shapes": [vertical(best)], "annotations": [label(best, words, (low, high))]}
        low, high = min(low, best), max(high, best)
    pad = 0.03 * (high - low)
    return Panel(
        title="Cosines of all pairs of classes",
        note="; ".join(f"{title}: closest pair {number(float(values.max()))}" for title, values in cosines.items()),
        data=data,
        layout=layout(
            xaxis=axis("cosine of a pair of classes", range=[low - pad, high + pad]),
            yaxis=axis("share of pairs (%)", rangemode="tozero"),
            **marks,
        ),
        shape="wide",
    )
