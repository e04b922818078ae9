"""The figures of the deep linear model: ranks over the flow, and which code is cheapest at which depth."""

import math
from collections.abc import Callable, Sequence

from ...geometry import best_known
from .._findings import level
from .._model import HeatMap, Line, Plot, Row, series
from .schatten import first_depth, orthoplex_value, polygon_value, simplex_value
from .settings import DeepLinear

TABLE_CLASSES = (4, 6, *range(8, 21), 50, 100)
"""The numbers of classes of the table of first winning depths."""


def depth_plots(rows: Sequence[Row], settings: DeepLinear) -> list[Plot]:
    """Rank and margin along the flow, and the singular values of one start at the largest depth."""
    K, deepest = settings.classes, max(settings.depths)
    best = best_known(K, settings.dim).margin
    wanted = {
        "rank/effective": ("Effective rank of the unit features", "neural collapse", K - 1.0),
        "gnc2/margin": ("One-vs-rest margin of the unit features", f"best for d = {settings.dim}", best),
    }
    plots = []
    for key, (title, name, target) in wanted.items():
        lines = [_against_log_loss(rows, f"L = {L}, start 1", key, f"L = {L}") for L in settings.depths]
        lines.append(level(name, target, lines))
        caption = "The first start at each depth, over the fall of the loss by powers of e. Deeper products end at a lower rank."
        plots.append(Plot(title, "-log loss", key, lines, caption, metric=key))
    names = [f"singular value {i}" for i in range(1, K + 1)]
    lines = [_against_log_loss(rows, f"L = {deepest}, start 1", name, name) for name in names]
    caption = (
        "They grow one after another, the largest first: in deep products a mode grows with a power of its own size."
    )
    title = f"Singular values of the logits, L = {deepest}"
    return [*plots, Plot(title, "-log loss", "singular value", lines, caption, log_y=True)]


def phase_plots(
    rows: Sequence[Row], settings: DeepLinear, classes: Sequence[int], depths: Sequence[int]
) -> list[Plot | HeatMap]:
    """Prices of the candidates, the dimension preferred over (K, L) and over (width, L), the table of first winning depths."""
    K, labels = settings.classes, [str(L) for L in depths]
    prices = [row for row in rows if row.key == "candidate"]
    names = list(dict.fromkeys(row.series for row in prices))
    table = [[row.value / simplex_value(K) for row in prices if row.series == name] for name in names]
    phase = [series(rows, f"K = {k}", "phase")[1] for k in classes]
    first = [[_first(value, k) for value in (orthoplex_value, polygon_value)] for k in TABLE_CLASSES]
    return [
        HeatMap(
            f"What a unit margin costs, K = {K}", "L", "code", labels, names, table,
            "Sum of singular values to the power 2/L, over that of the simplex: below 1 beats neural collapse. The least of a "
            "column is preferred at that depth.",
        ),
        HeatMap(
            "The dimension of the cheapest code", "L", "K", labels, [str(k) for k in classes], phase,
            "Of the simplex, simplices at right angles, the polygon and the codes of the atlas. K - 1 is neural collapse.",
        ),
        HeatMap(
            f"The same within a width, K = {K}", "L", "width", labels, *_by_width(prices, depths),
            "The cheapest code among those of at most so many dimensions.",
        ),
        HeatMap(
            "The first depth at which a code beats the simplex", "code", "K", ["orthoplex", "polygon"],
            [str(k) for k in TABLE_CLASSES], first, "From the closed forms; an orthoplex needs an even number of classes.",
        ),
    ]  # fmt: skip


def _by_width(prices: Sequence[Row], depths: Sequence[int]) -> tuple[list[str], list[list[float]]]:
    dims = {row.series: int(row.series.rsplit("= ", 1)[1]) for row in prices}
    widths = sorted(set(dims.values()))
    values = {(row.series, row.x): row.value for row in prices}

    def cheapest(width: int, L: int) -> float:
        return float(min((round(values[name, L], 9), dim) for name, dim in dims.items() if dim <= width)[1])

    return [str(width) for width in widths], [[cheapest(width, L) for L in depths] for width in widths]


def _against_log_loss(rows: Sequence[Row], start: str, key: str, name: str) -> Line:
    return Line(name, [-value for value in series(rows, "log loss", start)[1]], series(rows, key, start)[1])


def _first(value: Callable[[int, int], float], K: int) -> float:
    """The first depth at which a code beats the simplex; NaN where there is none, or no orthoplex of so many classes."""
    if value is orthoplex_value and K % 2:
        return math.nan
    depth = first_depth(lambda L: value(K, L) < simplex_value(K))
    return math.nan if depth is None else float(depth)
