"""What the runs of the convolutional model tell, in words, numbers and plots."""

import math
from collections.abc import Sequence
from statistics import mean

from torch import Tensor

from .._model import Comparison, Findings, HeatMap, Line, Plot, Row, State
from .settings import ConvRank
from .stable_rank import data_stable_rank, quadratic_stable_rank, robust_level

WITHIN, GROWTH = 0.25, 3.0
"""The claim is tested as: filters within 25 % of their rank without noise, 2K (at the power 2 that of ``quadratic_stable_rank``),
up to noise under which the stable rank of the data has grown threefold."""

_SHOWN = 24  # filters in the heat map
FILTERS, DATA, CLEAN = "stable rank of the filters", "stable rank of the data", "stable rank of the clean data"


def conv_findings(settings: ConvRank, rows: Sequence[Row], cosines: State) -> Findings:
    """The findings of all runs; cosines of filters and signals by level of noise, if the signals are known."""
    grown = first_grown(settings, rows)
    chosen = cosines.get(f"cosines/{len(settings.noise) - 1 if grown is None else settings.noise.index(grown)}")
    if settings.data == "digits":
        sentences, comparisons, agrees = _digits(settings, rows), [], None
    else:
        sentences, comparisons, agrees = *_synthetic(settings, rows, grown), claim_holds(settings, rows)
    plots = [_rank_plot(settings, rows), _loss_plot(settings, rows), *_training_plots(settings, rows)]
    return Findings(
        sentences=[*sentences, _errors(settings, rows)],
        comparisons=comparisons,
        plots=plots if chosen is None else [*plots, _heat_map(settings, chosen)],
        tensors={} if chosen is None else {"cosines": chosen},
        agrees=agrees,
    )


def by_level(settings: ConvRank, rows: Sequence[Row], key: str) -> list[list[float]]:
    """For each level of noise the numbers of all runs."""
    return [[row.value for row in rows if row.key == key and row.x == level] for level in settings.noise]


def expected_rank(settings: ConvRank) -> float:
    """Stable rank of the filters from a small start without noise: 2K above the power 2, less at it."""
    return quadratic_stable_rank(settings.signals) if settings.power == 2 else 2.0 * settings.signals


def first_grown(settings: ConvRank, rows: Sequence[Row]) -> float | None:
    """The least noise under which the stable rank of the data has grown threefold in every run; None if there is none."""
    for level, data, clean in zip(
        settings.noise, by_level(settings, rows, DATA), by_level(settings, rows, CLEAN), strict=True
    ):
        if all(a >= GROWTH * b for a, b in zip(data, clean, strict=True)):
            return level
    return None


def kept_until(settings: ConvRank, rows: Sequence[Row]) -> float | None:
    """The largest noise up to which all filters are within 25 % of what is expected; None if they are not at the first."""
    kept, rank = None, expected_rank(settings)
    for level, ranks in zip(settings.noise, by_level(settings, rows, FILTERS), strict=True):
        if any(abs(value - rank) > WITHIN * rank for value in ranks):
            break
        kept = level
    return kept


def has_learned(settings: ConvRank, rows: Sequence[Row]) -> bool:
    """Whether every run has got below half the loss of guessing; filters of others are those of the start."""
    return all(loss < math.log(2) / 2 for losses in by_level(settings, rows, "final train loss") for loss in losses)


def claim_holds(settings: ConvRank, rows: Sequence[Row]) -> bool | None:
    """Whether all filters stay within 25 % of what is expected until the data has grown threefold; None if it is not tested."""
    grown, kept = first_grown(settings, rows), kept_until(settings, rows)
    if grown is None or not has_learned(settings, rows):
        return None
    return kept is not None and kept >= grown


def _synthetic(settings: ConvRank, rows: Sequence[Row], grown: float | None) -> tuple[list[str], list[Comparison]]:
    K, levels = settings.signals, settings.noise
    filters, data = by_level(settings, rows, FILTERS), by_level(settings, rows, DATA)
    sentences = []
    if not has_learned(settings, rows):
        sentences.append(
            f"Nothing is decided: a network has not learned its training set in {settings.steps} steps, and its filters, of "
            f"stable rank {_range([value for values in filters for value in values])}, are near their start."
        )
    elif grown is None:
        sentences.append(
            f"The stable rank of the data does not grow threefold at these levels of noise: it ends at {_range(data[-1])}, "
            f"from {2 * K}. That of the filters is then {_range(filters[-1])}."
        )
    else:
        at = levels.index(grown)
        word = "keep" if claim_holds(settings, rows) else "do not keep"
        sentences.append(
            f"The filters {word} {_what(settings)} within 25 %: up to noise of norm {grown:g} the stable rank of the data grows "
            f"from {2 * K} to {_range(data[at])}, and that of the filters is "
            f"{_range([value for values in filters[: at + 1] for value in values])} (at the start of training "
            f"{_range(by_level(settings, rows, FILTERS + ' at the start')[at])})."
        )
    kept = kept_until(settings, rows)
    held = "at no level" if kept is None else f"up to noise {kept:g}"
    rank = f"{expected_rank(settings):.3g}"
    sentences.append(
        f"They stay within 25 % of {rank} {held}. A filter learns a noise patch as fast as a signal at about noise n^(1/q) = "
        f"{robust_level(settings.samples, settings.power):.3g}, by an estimate of the order of magnitude; from there on a rank "
        f"near {rank} is a coincidence."
    )
    aligned = by_level(settings, rows, "alignment")[0 if grown is None else levels.index(grown)]
    sentences.append(
        f"The filters that grew have a mean cosine of {mean(aligned):.3f} with the signal they are nearest to"
        + (f", at noise {grown:g}." if grown is not None else f", at noise {levels[0]:g}.")
    )
    if settings.power == 2:
        sentences.append(
            "With the power 2 all positive responses grow in proportion, no filter settles on one signal, and many filters from "
            f"a small start have a stable rank near 2K / (1 + (K-1)/pi) = {quadratic_stable_rank(K):.3g}, not 2K."
        )
    return sentences, _comparisons(settings, rows)


def _what(settings: ConvRank) -> str:
    """What the filters are expected to keep, in words."""
    if settings.power == 2 and settings.signals > 1:
        rank = f"{expected_rank(settings):.3g}"
        return f"the rank {rank}, to which the power 2 lowers that of the clean data, 2K = {2 * settings.signals},"
    return f"the rank of the clean data, 2K = {2 * settings.signals},"


def _comparisons(settings: ConvRank, rows: Sequence[Row]) -> list[Comparison]:
    K, rows_of = settings.signals, lambda key: [mean(values) for values in by_level(settings, rows, key)]
    winners = rows_of("stable rank by the winners")
    result = []
    for level, data, filters, won in zip(settings.noise, rows_of(DATA), rows_of(FILTERS), winners, strict=True):
        expected = data_stable_rank(
            K, settings.samples, settings.patches, settings.dim, level, orthogonal=settings.orthogonal
        )
        result.append(Comparison(f"data, noise {level:g}", expected, data, "stable rank of all patches; derived here"))
        if settings.power == 2:
            won = quadratic_stable_rank(K)
        meaning = "stable rank of the filters; the limit of a small start without noise, derived here"
        result.append(Comparison(f"filters, noise {level:g}", won, filters, meaning))
    return result


def _digits(settings: ConvRank, rows: Sequence[Row]) -> list[str]:
    data, filters = by_level(settings, rows, DATA), by_level(settings, rows, FILTERS)
    clean = by_level(settings, rows, CLEAN)[0]
    return [
        f"From noise of norm {settings.noise[0]:g} to {settings.noise[-1]:g} the stable rank of the patches goes from "
        f"{_range(data[0])} to {_range(data[-1])}, that of the filters from {_range(filters[0])} to {_range(filters[-1])}; the "
        f"images alone have {_range(clean)}.",
        "Images of digits are no orthogonal signals: nothing is predicted of them here.",
    ]


def _errors(settings: ConvRank, rows: Sequence[Row]) -> str:
    test, loss = by_level(settings, rows, "test error"), by_level(settings, rows, "final train loss")
    parts = [
        f"{mean(errors):.3f} (training loss {mean(losses):.2g}) at noise {level:g}"
        for level, errors, losses in zip(settings.noise, test, loss, strict=True)
    ]
    return f"Test error: {', '.join(parts)}."


def _rank_plot(settings: ConvRank, rows: Sequence[Row]) -> Plot:
    levels, synthetic = list(settings.noise), settings.data == "synthetic"
    means = {key: [mean(values) for values in by_level(settings, rows, key)] for key in (DATA, FILTERS, CLEAN)}
    lines = [
        Line("data", levels, means[DATA], points=True),
        Line("filters", levels, means[FILTERS], points=True),
        Line("2K" if synthetic else "clean data", levels, means[CLEAN], role="predicted"),
        Line(
            "filters at the start",
            levels,
            [mean(v) for v in by_level(settings, rows, FILTERS + " at the start")],
            "baseline",
        ),
    ]
    if synthetic:
        fine = [levels[-1] * i / 100 for i in range(101)]
        sizes = (settings.signals, settings.samples, settings.patches, settings.dim)
        ranks = [data_stable_rank(*sizes, level, orthogonal=settings.orthogonal) for level in fine]
        lines.append(Line("data, predicted", fine, ranks, role="predicted"))
    caption = "Noise multiplies the stable rank of the data. Filters stay near that of the clean data, until they learn noise."
    return Plot("Stable rank under noise", "norm of a noise patch", "stable rank", lines, caption, log_y=True)


def _loss_plot(settings: ConvRank, rows: Sequence[Row]) -> Plot:
    levels = list(settings.noise)
    lines = [
        Line(name, levels, [mean(values) for values in by_level(settings, rows, key)], points=True)
        for name, key in (("training", "final train loss"), ("test", "test loss"))
    ]
    caption = "Where the test loss leaves the training loss, the network fits noise."
    return Plot("Loss at the end", "norm of a noise patch", "logistic loss", lines, caption, log_y=True)


def _training_plots(settings: ConvRank, rows: Sequence[Row]) -> list[Plot]:
    captions = {
        "train loss": "Nothing seems to happen while responses are small: then the first filters explode.",
        "rank/stable@weight": "From that of random filters the stable rank falls as one filter for each signal takes over.",
    }
    plots = []
    for key, caption in captions.items():
        lines = []
        for level in settings.noise:
            series = [row for row in rows if row.key == key and row.series == f"noise {level:g}, run 0"]
            lines.append(Line(f"noise {level:g}", [row.x for row in series], [row.value for row in series]))
        if key == "rank/stable@weight" and settings.data == "synthetic":
            lines.append(Line("2K", [0.0, float(settings.steps)], [2.0 * settings.signals] * 2, role="predicted"))
        title = "Training loss" if key == "train loss" else "Stable rank of the filters in training"
        metric = "" if key == "train loss" else key
        plots.append(Plot(title, "step", title.lower(), lines, caption, log_y=True, metric=metric))
    return plots


def _heat_map(settings: ConvRank, cosines: Tensor) -> HeatMap:
    shown = cosines[: min(_SHOWN, max(2 * settings.signals, _SHOWN))]
    shown = shown[shown.argmax(1).argsort(stable=True)]
    return HeatMap(
        "Cosine of filters and signals",
        "signal (the first half has label +1)",
        "the largest filters",
        [str(k + 1) for k in range(2 * settings.signals)],
        [str(i + 1) for i in range(len(shown))],
        shown.tolist(),
        "Ordered by the signal they are nearest to. A 1 in each row: every filter that grew has chosen one signal.",
    )


def _range(values: Sequence[float]) -> str:
    least, largest = f"{min(values):.3g}", f"{max(values):.3g}"
    return least if least == largest else f"{least}-{largest}"
