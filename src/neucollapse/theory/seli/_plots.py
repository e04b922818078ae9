"""Plots of unconstrained features with unequal classes."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from .._findings import curve
from .._model import Line, Plot, Row

DISTANCES = ("logits", "classifiers", "class means")


def simplex_plots(rows: Sequence[Row]) -> list[Plot]:
    """Distances to SELI over the logarithm of the decay, found and predicted, far beyond what floats can hold."""
    lines = _beside(rows, {name: f"distance of {name}" for name in DISTANCES})
    return [
        Plot(
            "Towards simplex-encoded labels", "log(1 / decay)", "distance of directions", lines,
            "Frobenius norm between unit matrices. A slope of -1: the distance falls as one over the logarithm of the decay.",
            log_x=True, log_y=True,
        ),
        _metric(rows, "nc2/equinorm", "Spread of the norms of class means",
                "Equal norms would be 0. Classes of different size keep different norms in the limit."),
    ]  # fmt: skip


def frame_plots(rows: Sequence[Row], counts: Tensor) -> list[Plot]:
    """Lengths of classifiers over the decay, one class of each size."""
    sizes = sorted(set(counts.tolist()), reverse=True)
    chosen = sizes if len(sizes) <= 4 else [sizes[i * (len(sizes) - 1) // 3] for i in range(4)]
    lines = _beside(rows, {f"{size} samples": f"length of classifier {counts.tolist().index(size)}" for size in chosen})
    return [
        Plot(
            "Lengths of classifiers", "log(1 / decay)", "length", lines,
            "One class of each size. A class whose length is 0 has collapsed: its decay costs more than its samples gain.",
        ),
        _metric(rows, "nc2/equinorm", "Spread of the norms of class means",
                "Equal norms would be 0: it goes there for balanced classes alone."),
    ]  # fmt: skip


def _beside(rows: Sequence[Row], keys: Mapping[str, str]) -> list[Line]:
    """Points of the optimum and a line of its prediction for each key, by the name of its lines."""
    lines = []
    for name, key in keys.items():
        lines.append(curve(rows, key, "optimum", label=name, points=True))
        lines.append(curve(rows, key, "predicted", label=f"{name}, predicted", role="predicted"))
    return lines


def _metric(rows: Sequence[Row], key: str, title: str, caption: str) -> Plot:
    line = curve(rows, key, "optimum", label="found", points=True)
    return Plot(title, "log(1 / decay)", "coefficient of variation", [line], caption, metric=key)
