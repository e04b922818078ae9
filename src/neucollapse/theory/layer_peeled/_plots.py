"""Plots of the layer-peeled model under imbalance."""

import math
from collections.abc import Sequence

from .._findings import curve, level
from .._model import Line, Plot, Row, series

_GAP, _RATIO = "own logit less another minority class's", "samples of a majority class over those of a minority class"


def plots(rows: Sequence[Row], threshold: float) -> list[Plot]:
    """The gap over the ratio with its threshold, the classifiers' cosines, and gradient descent where it was run."""
    found = curve(rows, "minority gap", "optimum", label="found", points=True)
    convex = curve(rows, "minority gap", "predicted", label="convex optimum", role="predicted")
    lines = [found, convex]
    if math.isfinite(threshold):
        most = max(series(rows, "minority gap", "optimum")[1])
        lines.append(Line("predicted threshold", [threshold] * 2, [0.0, most], role="predicted"))
    cosines = [
        curve(rows, f"cosine of {group} classifiers", "optimum", label=group, points=True)
        for group in ("minority", "majority")
    ]
    result = [
        Plot(
            "Minority collapse over the imbalance ratio", _RATIO, _GAP, lines,
            "How far a minority class's own logit stands above another minority class's. At 0 nothing tells the two apart.",
            log_x=True,
        ),
        Plot(
            "Angles of the classifiers", _RATIO, "mean cosine", [line for line in cosines if line.x],
            "Mean cosine between the classifiers of two minority and of two majority classes. 1 says that they are the same; "
            "where classifiers vanish there is no angle.",
            log_x=True,
        ),
    ]  # fmt: skip
    descended = curve(rows, "minority gap", "gradient descent")
    if not descended.x:
        return result
    foretold = series(rows, "minority gap", "predicted")[1][-1]
    caption = "The same gap while gradient descent trains classifier and features from a random start."
    lines = [descended, level("convex optimum", foretold, [descended])]
    result.append(Plot("Gradient descent at the largest ratio", "step", _GAP, lines, caption))
    caption = "Within-class variability goes to 0; equal norms of class means need balanced classes."
    for key, y in (("nc1/cdnv", "CDNV"), ("nc2/equinorm", "spread of the norms of class means")):
        line = curve(rows, key, "gradient descent")
        result.append(Plot(f"{y} under gradient descent", "step", y, [line], caption, log_y=True, metric=key))
    return result
