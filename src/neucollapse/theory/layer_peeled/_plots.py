"""Plots of the layer-peeled model under imbalance."""

import math
from collections.abc import Sequence

from .._model import Line, Plot, Row, series


def plots(rows: Sequence[Row], threshold: float) -> list[Plot]:
    """The gap over the ratio with its threshold, the classifiers' cosines, and gradient descent where it was run."""
    ratios, gaps = series(rows, "minority gap", "optimum")
    lines = [
        Line("found", ratios, gaps, points=True),
        Line("convex optimum", *series(rows, "minority gap", "predicted"), role="predicted"),
    ]
    if math.isfinite(threshold):
        lines.append(Line("predicted threshold", [threshold] * 2, [0.0, max(gaps)], role="predicted"))
    result = [
        Plot(
            "Minority collapse over the imbalance ratio", "samples of a majority class over those of a minority class",
            "own logit less another minority class's", lines,
            "How far a minority class's own logit stands above another minority class's. At 0 nothing tells the two apart.",
            log_x=True,
        ),
        Plot(
            "Angles of the classifiers", "samples of a majority class over those of a minority class", "mean cosine",
            [
                Line(group, *series(rows, f"cosine of {group} classifiers", "optimum"), points=True)
                for group in ("minority", "majority")
                if series(rows, f"cosine of {group} classifiers", "optimum")[0]
            ],
            "Mean cosine between the classifiers of two minority and of two majority classes. 1 says that they are the same; "
            "where classifiers vanish there is no angle.",
            log_x=True,
        ),
    ]  # fmt: skip
    steps, descended = series(rows, "minority gap", "gradient descent")
    if steps:
        foretold = series(rows, "minority gap", "predicted")[1][-1]
        result.append(
            Plot(
                "Gradient descent at the largest ratio", "step", "own logit less another minority class's",
                [
                    Line("gradient descent", steps, descended),
                    Line("convex optimum", [steps[0], steps[-1]], [foretold] * 2, role="predicted"),
                ],
                "The same gap while gradient descent trains classifier and features from a random start.",
            )
        )  # fmt: skip
        for key, y in (("nc1/cdnv", "CDNV"), ("nc2/equinorm", "spread of the norms of class means")):
            line = Line("gradient descent", *series(rows, key, "gradient descent"))
            caption = "Within-class variability goes to 0; equal norms of class means need balanced classes."
            result.append(Plot(f"{y} under gradient descent", "step", y, [line], caption, log_y=True, metric=key))
    return result
