"""What the runs of the convolutional model tell, in words, numbers and plots."""

import math
from collections.abc import Sequence
from statistics import mean

from torch import Tensor

from .._findings import Role, curve, level
from .._model import Comparison, Findings, HeatMap, Line, Plot, Row, State
from .settings import ConvRank
from .stable_rank import data_stable_rank, quadratic_stable_rank, robust_level

WITHIN, GROWTH = 0.25, 3.0
"""The claim is tested as: filters within 25 % of their rank without noise, 2K (at the power 2 that of `quadratic_stable_rank`),
up to noise under which the stable rank of the data has grown threefold."""

_SHOWN = 24  # filters in the heat map
FILTERS, DATA, CLEAN = "stable rank of the filters", "stable rank of the data", "stable rank of the clean data"


def conv_findings(settings: ConvRank, rows: Sequence[Row], cosines: State) -> Findings:
    """The findings of all runs; cosines of filters and signals by level of noise, if the signals are known."""
    grown = first_grown(settings, rows)
    position = len(settings.noise) - 1 if grown is None else settings.noise.index(grown)
    chosen = cosines.get(f"cosines/{position}")
    if settings.data == "digits":
        sentences, comparisons, agrees = _digits(settings, rows), [], None
    else:
        sentences = _synthetic(settings, rows, grown)
        comparisons, agrees = _comparisons(settings, rows), claim_holds(settings, rows)
    plots = _plots(settings, rows)
    return Findings(
        sentences=[*sentences, _errors(settings, rows)],
        comparisons=comparisons,
        plots=plots if chosen is None else [*plots, _heat_map(settings, chosen)],
        tensors={} if chosen is None else {"cosines": chosen},
        agrees=agrees,
    )


def by_level(settings: ConvRank, rows: Sequence[Row], key: str) -> list[list[float]]:
    """For each level of noise the numbers of all runs."""
    return [[row.value for row in rows if row.key == key and row.x == noise] for noise in settings.noise]


def _means(settings: ConvRank, rows: Sequence[Row], key: str) -> list[float]:
    return [mean(values) for values in by_level(settings, rows, key)]


def expected_rank(settings: ConvRank) -> float:
    """Stable rank of the filters from a small start without noise: 2K above the power 2, less at it."""
    return quadratic_stable_rank(settings.signals) if settings.power == 2 else 2.0 * settings.signals


def first_grown(settings: ConvRank, rows: Sequence[Row]) -> float | None:
    """The least noise under which the stable rank of the data has grown threefold in every run; None if there is none."""
    ranks = zip(settings.noise, by_level(settings, rows, DATA), by_level(settings, rows, CLEAN), strict=True)
    grown = (noise for noise, *pair in ranks if all(a >= GROWTH * b for a, b in zip(*pair, strict=True)))
    return next(grown, None)


def kept_until(settings: ConvRank, rows: Sequence[Row]) -> float | None:
    """The largest noise up to which all filters are within 25 % of what is expected; None if they are not at the first."""
    kept, rank = None, expected_rank(settings)
    for noise, ranks in zip(settings.noise, by_level(settings, rows, FILTERS), strict=True):
        if any(abs(value - rank) > WITHIN * rank for value in ranks):
            break
        kept = noise
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


def _synthetic(settings: ConvRank, rows: Sequence[Row], grown: float | None) -> list[str]:
    K, kept, rank = settings.signals, kept_until(settings, rows), f"{expected_rank(settings):.3g}"
    at = 0 if grown is None else settings.noise.index(grown)
    learnable = f"{robust_level(settings.samples, settings.power):.3g}"
    aligned = mean(by_level(settings, rows, "alignment")[at])
    sentences = [
        _headline(settings, rows, grown),
        f"They stay within 25 % of {rank} {'at no level' if kept is None else f'up to noise {kept:g}'}. A filter learns a noise "
        f"patch as fast as a signal at about noise n^(1/q) = {learnable}, by an estimate of the order of magnitude; from there "
        f"on a rank near {rank} is a coincidence.",
        f"The filters that grew have a mean cosine of {aligned:.3f} with the signal they are nearest to, at noise "
        f"{settings.noise[at]:g}.",
    ]
    if settings.power == 2:
        sentences.append(
            "With the power 2 all positive responses grow in proportion, no filter settles on one signal, and many filters from "
            f"a small start have a stable rank near 2K / (1 + (K-1)/pi) = {quadratic_stable_rank(K):.3g}, not 2K."
        )
    return sentences


def _headline(settings: ConvRank, rows: Sequence[Row], grown: float | None) -> str:
    K, filters, data = settings.signals, by_level(settings, rows, FILTERS), by_level(settings, rows, DATA)
    if not has_learned(settings, rows):
        return (
            f"Nothing is decided: a network has not learned its training set in {settings.steps} steps, and its filters, of "
            f"stable rank {_range(*filters)}, are near their start."
        )
    if grown is None:
        return (
            f"The stable rank of the data does not grow threefold at these levels of noise: it ends at {_range(data[-1])}, "
            f"from {2 * K}. That of the filters is then {_range(filters[-1])}."
        )
    at, word = settings.noise.index(grown), "keep" if claim_holds(settings, rows) else "do not keep"
    what = f"the rank of the clean data, 2K = {2 * K},"
    if settings.power == 2 and K > 1:
        what = (
            f"the rank {expected_rank(settings):.3g}, to which the power 2 lowers that of the clean data, 2K = {2 * K},"
        )
    return (
        f"The filters {word} {what} within 25 %: up to noise of norm {grown:g} the stable rank of the data grows from {2 * K} to "
        f"{_range(data[at])}, and that of the filters is {_range(*filters[: at + 1])} (at the start of training "
        f"{_range(by_level(settings, rows, FILTERS + ' at the start')[at])})."
    )


def _comparisons(settings: ConvRank, rows: Sequence[Row]) -> list[Comparison]:
    expected = [_data_rank(settings, noise) for noise in settings.noise]
    won = _means(settings, rows, "stable rank by the winners")
    if settings.power == 2:
        won = [quadratic_stable_rank(settings.signals)] * len(won)
    limit = "stable rank of the filters; the limit of a small start without noise, derived here"
    columns = settings.noise, expected, _means(settings, rows, DATA), won, _means(settings, rows, FILTERS)
    result = []
    for noise, rank, data, winners, filters in zip(*columns, strict=True):
        result.append(Comparison(f"data, noise {noise:g}", rank, data, "stable rank of all patches; derived here"))
        result.append(Comparison(f"filters, noise {noise:g}", winners, filters, limit))
    return result


def _data_rank(s: ConvRank, noise: float) -> float:
    return data_stable_rank(s.signals, s.samples, s.patches, s.dim, noise, orthogonal=s.orthogonal)


def _digits(settings: ConvRank, rows: Sequence[Row]) -> list[str]:
    data, filters, clean = (by_level(settings, rows, key) for key in (DATA, FILTERS, CLEAN))
    return [
        f"From noise of norm {settings.noise[0]:g} to {settings.noise[-1]:g} the stable rank of the patches goes from "
        f"{_range(data[0])} to {_range(data[-1])}, that of the filters from {_range(filters[0])} to {_range(filters[-1])}; the "
        f"images alone have {_range(clean[0])}.",
        "Images of digits are no orthogonal signals: nothing is predicted of them here.",
    ]


def _errors(settings: ConvRank, rows: Sequence[Row]) -> str:
    errors, losses = _means(settings, rows, "test error"), _means(settings, rows, "final train loss")
    cells = zip(settings.noise, errors, losses, strict=True)
    parts = [f"{error:.3f} (training loss {loss:.2g}) at noise {noise:g}" for noise, error, loss in cells]
    return f"Test error: {', '.join(parts)}."


def _plots(settings: ConvRank, rows: Sequence[Row]) -> list[Plot]:
    levels, synthetic = settings.noise, settings.data == "synthetic"

    def ends(label: str, key: str, role: Role = "found") -> Line:
        return Line(label, levels, _means(settings, rows, key), role, points=role == "found")

    def training(key: str) -> list[Line]:
        return [curve(rows, key, f"noise {x:g}, run 0", label=f"noise {x:g}") for x in levels]

    ranks, falling = [ends("data", DATA), ends("filters", FILTERS)], training("rank/stable@weight")
    ranks.append(ends("2K" if synthetic else "clean data", CLEAN, "predicted"))
    ranks.append(ends("filters at the start", FILTERS + " at the start", "baseline"))
    if synthetic:
        fine = [levels[-1] * i / 100 for i in range(101)]
        ranks.append(Line("data, predicted", fine, [_data_rank(settings, x) for x in fine], "predicted"))
        falling.append(level("2K", 2.0 * settings.signals, falling))
    noise, rank = "norm of a noise patch", "stable rank of the filters in training"
    return [
        Plot("Stable rank under noise", noise, "stable rank", ranks,
             "Noise multiplies the stable rank of the data. Filters stay near that of the clean data, until they learn noise.",
             log_y=True),
        Plot("Loss at the end", noise, "logistic loss", [ends("training", "final train loss"), ends("test", "test loss")],
             "Where the test loss leaves the training loss, the network fits noise.", log_y=True),
        Plot("Training loss", "step", "training loss", training("train loss"),
             "Nothing seems to happen while responses are small: then the first filters explode.", log_y=True),
        Plot("Stable rank of the filters in training", "step", rank, falling,
             "From that of random filters the stable rank falls as one filter for each signal takes over.",
             log_y=True, metric="rank/stable@weight"),
    ]  # fmt: skip


def _heat_map(settings: ConvRank, cosines: Tensor) -> HeatMap:
    shown = cosines[:_SHOWN]
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


def _range(*parts: Sequence[float]) -> str:
    values = [value for part in parts for value in part]
    least, largest = f"{min(values):.3g}", f"{max(values):.3g}"
    return least if least == largest else f"{least}-{largest}"
