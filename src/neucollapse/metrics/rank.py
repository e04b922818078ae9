"""How many directions features and classifier use: stable, effective and numerical rank."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from .._types import Float
from ..statistics import Precision
from ._absent import Absent
from ._discriminant import sum_error
from ._linear_algebra import EPS, finite
from ._metric import Metric, on_weight
from ._range import Bound, Range
from ._shared import shared
from ._terms import Terms


def stable_rank(s: Float[Tensor, "r"]) -> float:
    """||A||_F^2 / ||A||_2^2 from the singular values s of A. Range [1, r]; hardly changed by small noise.

    Examples:
        >>> stable_rank(torch.tensor([2.0, 2.0, 0.0], dtype=torch.float64))
        2.0
    """
    return float(s.square().sum() / _positive(s).max().square())


def effective_rank(s: Float[Tensor, "r"]) -> float:
    """exp of the entropy of s / sum(s). Range [1, r]. Roy, Vetterli 2007.

    Examples:
        >>> round(effective_rank(torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)), 12)
        3.0
    """
    p = _positive(s) / s.sum()
    return float(torch.special.entr(p).sum().exp())


def numerical_rank(s: Float[Tensor, "r"]) -> float:
    """(||A||_* / ||A||_F)^2, squared ratio of nuclear and Frobenius norm. Range [1, r].

    Examples:
        >>> numerical_rank(torch.tensor([3.0, 3.0], dtype=torch.float64))
        2.0
    """
    return float(s.sum().square() / _positive(s).square().sum())


def _positive(s: Tensor) -> Tensor:
    if not bool((s > 0).any()):
        raise Absent("the matrix is zero and has no rank to speak of")
    return s


def _features(terms: Terms, *, centred: bool) -> Tensor:
    """Singular values of the N features over sqrt(N), from H^T H / N = S_W + sum_c (n_c / N) mu_c mu_c^T."""
    features = terms.features
    means = features.centred_means("sample") if centred else features.means.raw
    weights, within = features.class_weights("sample"), features.within_scatter("sample")
    squares = within + (weights[:, None] * means).T @ means
    return _spreads(squares, within, features.precision, features.precision.num_samples)


@shared
def _uncentred(terms: Terms) -> Tensor:
    return _features(terms, centred=False)


def _spreads(squares: Tensor, within: Tensor, precision: Precision, rows: int) -> Tensor:
    """Roots of the eigenvalues of second moments; zero for directions along which the features hold rounding alone."""
    squares, d = torch.linalg.eigvalsh(finite(squares, "second moments")), len(squares)
    alike = torch.full((d, 1), d**-0.5, dtype=torch.float64)  # the coordinates on average
    rounding = float(precision.noise(rows).square().mean()), float(sum_error(within, alike, precision))
    return squares.where(squares > max(*rounding, d * EPS * float(squares[-1])), 0.0).sqrt()


def _within_classes(terms: Terms) -> float:
    assert terms.by_class is not None  # noqa: S101 - the metric needs it
    ranks = []
    for c in terms.present.nonzero()[:, 0].tolist():
        own = terms.by_class.classes[c]
        if own.num_samples > 1:
            within = terms.features.in_units(own.within_scatter().cpu())
            s = _spreads(within, within, terms.features.precision, own.num_samples)
            ranks += [effective_rank(s)] if bool(s.any()) else []
    if not ranks:
        raise Absent("no class has two samples that the features tell apart")
    return sum(ranks) / len(ranks)


_KINDS = (
    ("stable", "stable rank", "‖A‖_F² / ‖A‖₂²", "Squared Frobenius norm over squared spectral norm", stable_rank, "zhang2025"),
    ("effective", "effective rank", "exp H(s / Σs)", "Exponential of the entropy of singular values", effective_rank, "roy2007"),
    ("numerical", "numerical rank", "(‖A‖_* / ‖A‖_F)²", "Squared ratio of nuclear to Frobenius norm", numerical_rank, ""),
)  # fmt: skip

_D = Range(1, Bound("d", lambda _, d: d))


def _both(
    name: str, title: str, symbol: str, words: str, rank: Callable[[Tensor], float], citation: str
) -> tuple[Metric, ...]:
    features = Metric(
        f"rank/{name}", title, symbol, f"{words}; A holds the features as they are, all N of them (uncentred).",
        lambda terms: rank(_uncentred(terms)), citation,
        range=_D, at_collapse="K-1 for a simplex of centred features, d for a tight frame", log=False, needs=("scatter",),
    )  # fmt: skip
    of_weight = replace(features, compute=lambda _, rows: rank(rows.spread(centred=False)), needs=())
    return features, *on_weight([of_weight])


METRICS = (
    *(metric for kind in _KINDS for metric in _both(*kind)),
    Metric(
        "rank/effective_centred", "effective rank, centred", "exp H(s / Σs) of A - μ_G",
        "Exponential of the entropy of singular values; A holds the features less the mean of all samples. An offset common "
        "to all features, which is one direction more, does not count.",
        lambda terms: effective_rank(_features(terms, centred=True)), "roy2007",
        range=_D, at_collapse="K-1 for a simplex", log=False, needs=("scatter",),
    ),
    Metric(
        "rank/effective_within_class", "effective rank within classes", "mean_c exp H(s_c / Σs_c)",
        "Exponential of the entropy of the singular values of a class's features less their mean, on average over classes. "
        "Classes that have collapsed to one point, to within rounding, do not count. Needs the scatter of each class "
        "(scatter='class').",
        _within_classes, "roy2007",
        range=_D, at_collapse="undefined: each class is one point", log=False, needs=("each class",),
    ),
)  # fmt: skip
