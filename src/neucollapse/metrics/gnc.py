"""Generalized neural collapse of Jiang et al., for any K and d: GNC1, GNC2 and GNC3, on unit-norm features.

GNC2 asks how far the directions of the classes are apart, against the best possible: the distance of each to the convex
hull of all others, at least (one-vs-rest margin), and the largest cosine between two. Directions are those of the
uncentred means of unit-norm features: the sum of an optimal code need not be zero, and centring one lowers its margin.
"""

from torch import Tensor

from ..geometry import one_vs_rest
from ._absent import Absent
from ._linear_algebra import EPS, finite
from ._metric import Metric, for_a_simplex, on_weight
from ._range import NONNEGATIVE, SHARE, UP_TO_2, Bound, Range
from ._rows import Rows, directions
from ._shared import shared
from ._terms import EXACT_MARGINS_UP_TO, Terms
from .nc1 import pinv_of, trace_ratio
from .nc3 import cosine_deviations
from .uniformity import energy_optimum, energy_range


@shared
def distances(rows: Rows) -> Tensor:
    """Distance of the direction of each class to the convex hull of the others, (K',)."""
    return one_vs_rest(finite(rows.need_nonzero(centred=False), "rows")).distance


def _margin(terms: Terms, rows: Rows) -> float:
    return float(distances(rows).min()) if terms.exact else 1 - rows.pairs.max_cosine


def _optimum(terms: Terms) -> float:
    if terms.optimum is None:
        raise Absent("optima were not asked for")
    return terms.optimum.margin


def _ratio(terms: Terms, rows: Rows) -> float:
    best = _optimum(terms)
    if not best:
        raise Absent("the largest possible margin is zero: on a line only two directions differ")
    return _margin(terms, rows) / best


def _gnc3(terms: Terms) -> float:
    W, M = (rows.need_nonzero(centred=False) for rows in (terms.weight, terms.normalized_means))
    return float(cosine_deviations(W, M).mean())


def _jiang(terms: Terms) -> float:
    features = terms.unit_norm
    means = features.centred_means("sample")
    if bool(features.precision.coincide(means).any()):
        raise Absent("a class mean equals the global mean and has no direction")
    return float(cosine_deviations(terms.weight.need_nonzero(centred=False), directions(means)).mean())


def _jiang_floor(terms: Terms) -> float:
    W = terms.weight.need_nonzero(centred=False)
    centred = W - terms.features.class_weights("sample") @ W
    if bool((centred.abs() <= 4 * EPS).all(dim=1).any()):
        raise Absent("a classifier row equals their mean and has no direction")
    return float(cosine_deviations(W, directions(centred)).mean())


def _balanced_simplex(terms: Terms) -> float | None:
    return for_a_simplex(terms) if terms.features.is_balanced else None


_MOST = Bound("K/(K-1)", lambda K, _: K / (K - 1))

_GNC2 = (
    Metric(
        "gnc2/margin", "one-vs-rest margin", "min_k dist(u_k, conv{u_j: j≠k})",
        "Least distance of the direction of one class to the convex hull of the others; directions of the uncentred means of "
        f"unit-norm features. Exact up to K = {EXACT_MARGINS_UP_TO} or where asked for; else the lower bound 1 - max cosine, "
        "flagged.",
        _margin, "jiang2023", range=Range(0, _MOST), at_collapse="gnc2/margin_optimum", log=False,
        optimum=lambda terms: None if terms.optimum is None else terms.optimum.margin,
        side="normalized_means", needs=("unit norm", "pairs"),
    ),
    Metric(
        "gnc2/margin_ratio", "margin against the best known", "gnc2/margin / gnc2/margin_optimum",
        "One-vs-rest margin as a share of the largest known for this K and d; directions of the uncentred means of unit-norm "
        "features. Above 1 it beats what is known.",
        _ratio, "jiang2023", at_collapse="1", log=False,
        optimum=lambda terms: None if terms.optimum is None else 1.0,
        side="normalized_means", needs=("unit norm", "pairs"),
    ),
    Metric(
        "gnc2/max_cosine", "largest cosine between classes", "max_{i≠j} cos(u_i, u_j)",
        "Signed cosine of the two closest class directions; directions of the uncentred means of unit-norm features. 1 - max "
        "cosine is a lower bound of the margin.",
        lambda _, rows: rows.pairs.max_cosine, "gao2023study",
        range=Range(Bound("-1/(K-1)", lambda K, _: -1 / (K - 1)), 1), at_collapse="the least possible", log=False,
        optimum=lambda terms: None if terms.optimum is None else terms.optimum.max_cosine,
        side="normalized_means", needs=("unit norm", "pairs"),
    ),
)  # fmt: skip

METRICS = (
    Metric(
        "gnc1/pinv", "within against between scatter, unit norm", "tr(S_W S_B⁺) / K on h/‖h‖",
        "nc1/pinv of the unit-norm features, global mean over samples.",
        lambda terms: pinv_of(terms.unit_norm, about="sample"), "jiang2023", needs=("unit norm", "scatter"),
    ),
    Metric(
        "gnc1/trace_ratio", "ratio of traces, unit norm", "tr S_W / tr S_B on h/‖h‖",
        "nc1/trace_ratio of the unit-norm features.",
        lambda terms: trace_ratio(terms.unit_norm), "jiang2023", needs=("unit norm",),
    ),
    *_GNC2,
    Metric(
        "gnc2/margin_optimum", "largest margin known", "max over K unit vectors in ℝᵈ",
        "The largest one-vs-rest margin of K unit vectors in d dimensions: proved for K ≤ 2d and d = 2, the best known "
        "elsewhere; where no code is known, the bound 1, flagged.",
        _optimum, "jiang2023", range=Range(0, _MOST), at_collapse="itself", log=False, needs=("pairs",),
    ),
    Metric(
        "gnc2/distance_variance", "spread of distances between classes", "var ‖u_i - u_j‖",
        "Variance over pairs of the distances between directions of centred class means. Zero at a simplex; not zero at "
        "the optimum for K > d+1.",
        lambda _, rows: rows.centred_pairs.distance_variance, "wu2024",
        range=SHARE, at_collapse="0 for K ≤ d+1 only", optimum=for_a_simplex, side="means", needs=("pairs",),
    ),
    Metric(
        "gnc2/log_variance", "spread of logarithmic energies", "var log(1/‖u_i - u_j‖)",
        "Variance over pairs of the logarithmic energy of directions of centred class means. Zero at a simplex; not zero "
        "at the optimum for K > d+1.",
        lambda _, rows: rows.centred_pairs.log_variance, "wu2024",
        range=NONNEGATIVE, at_collapse="0 for K ≤ d+1 only", optimum=for_a_simplex, side="means", needs=("pairs",),
    ),
    Metric(
        "gnc2/log_mean", "logarithmic energy of centred means", "mean log(1/‖u_i - u_j‖)",
        "Mean logarithmic energy over pairs of the directions of centred class means, as in its paper; gnc2/energy takes "
        "uncentred means of unit-norm features.",
        lambda _, rows: rows.centred_pairs.log_mean, "wu2024",
        range=energy_range(0.0), at_collapse="the least possible", log=False, optimum=energy_optimum(0.0),
        side="means", needs=("pairs",),
    ),
    *on_weight(_GNC2),
    Metric(
        "gnc3/cosine", "misalignment of classifier and means", "mean_k 1 - cos(w_k, μ_k), μ_k of h/‖h‖",
        "One less the cosine of a classifier row with the mean of the unit-norm features of its class, both uncentred.",
        _gnc3, "jiang2023", range=UP_TO_2, needs=("classifier", "unit norm"),
    ),
    Metric(
        "gnc3/jiang", "misalignment about the global mean", "mean_k 1 - cos(w_k, μ_k - μ_G)",
        "The paper's form: class means of the unit-norm features are centred, classifier rows are not. For a code whose "
        "sum is not zero it stays above zero at perfect alignment; see gnc3/jiang_floor.",
        _jiang, "jiang2023", range=UP_TO_2, at_collapse="gnc3/jiang_floor", optimum=_balanced_simplex,
        needs=("classifier", "unit norm", "pairs"),
    ),
    Metric(
        "gnc3/jiang_floor", "what perfect alignment would give", "mean_k 1 - cos(w_k, w_k - w̄)",
        "The value of gnc3/jiang if each class mean were its classifier row.",
        _jiang_floor, "jiang2023", range=UP_TO_2, at_collapse="itself", needs=("classifier", "pairs"),
    ),
)  # fmt: skip
