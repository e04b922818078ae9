"""Generalized neural collapse of Jiang et al., for any K and d: GNC1, GNC2 and GNC3, on unit-norm features.

GNC2 asks how far the directions of the classes are apart, against the best possible: the distance of each to the convex
hull of all others, at least (one-vs-rest margin), and the largest cosine between two. Directions are those of the
uncentred means of unit-norm features: the sum of an optimal code need not be zero, and centring one lowers its margin.
"""

from torch import Tensor

from ..geometry import one_vs_rest
from ._absent import Absent
from ._linear_algebra import EPS, finite
from ._metric import Metric, for_a_simplex
from ._range import NONNEGATIVE, SHARE, UP_TO_2, Bound, Range
from ._rows import directions
from ._shared import shared
from ._terms import EXACT_MARGINS_UP_TO, Need, Terms
from .nc1 import pinv_of
from .nc3 import cosine_deviations
from .uniformity import energy_optimum, energy_range


def _gnc1(terms: Terms, *, ratio: bool) -> float:
    terms.need_distinct_means(normalized=True)
    if ratio:
        return terms.within_trace(normalized=True) / terms.between_trace(normalized=True)
    return pinv_of(terms, about="sample", normalized=True)  # the paper's global mean is over samples


@shared
def distances(terms: Terms, side: str) -> Tensor:
    """Distance of the direction of each class to the convex hull of the others, (K',)."""
    return one_vs_rest(finite(getattr(terms, side).need_nonzero(centred=False), "rows")).distance


def _margin(terms: Terms, side: str) -> float:
    terms.need_pairs()
    return float(distances(terms, side).min()) if terms.exact else 1 - getattr(terms, side).pairs.max_cosine


def _optimum(terms: Terms) -> float:
    terms.need_pairs()
    if terms.optimum is None:
        raise Absent("optima were not asked for")
    return terms.optimum.margin


def _ratio(terms: Terms, side: str) -> float:
    best = _optimum(terms)
    if not best:
        raise Absent("the largest possible margin is zero: on a line only two directions differ")
    return _margin(terms, side) / best


def _max_cosine(terms: Terms, side: str) -> float:
    terms.need_pairs()
    return getattr(terms, side).pairs.max_cosine


def _centred_pairs(terms: Terms, what: str) -> float:
    terms.need_pairs()
    return getattr(terms.means.centred_pairs, what)


def _gnc3(terms: Terms) -> float:
    W, M = (rows.need_nonzero(centred=False) for rows in (terms.weight, terms.normalized_means))
    return float(cosine_deviations(W, M).mean())


def _jiang(terms: Terms) -> float:
    terms.need_pairs()
    means = terms.centred_means("sample", normalized=True)
    if bool(terms.normalized_precision.coincide(means).any()):
        raise Absent("a class mean equals the global mean and has no direction")
    return float(cosine_deviations(terms.weight.need_nonzero(centred=False), directions(means)).mean())


def _jiang_floor(terms: Terms) -> float:
    terms.need_pairs()
    W = terms.weight.need_nonzero(centred=False)
    centred = W - terms.class_weights("sample") @ W
    if bool((centred.abs() <= 4 * EPS).all(dim=1).any()):
        raise Absent("a classifier row equals their mean and has no direction")
    return float(cosine_deviations(W, directions(centred)).mean())


def _balanced_simplex(terms: Terms) -> float | None:
    return for_a_simplex(terms) if terms.is_balanced else None


_MOST = Bound("K/(K-1)", lambda K, _: K / (K - 1))


def _gnc2(side: str, suffix: str, of: str) -> tuple[Metric, ...]:
    needs: tuple[Need, ...] = ("classifier",) if suffix else ("unit norm",)
    return (
        Metric(
            f"gnc2/margin{suffix}",
            "one-vs-rest margin",
            "min_k dist(u_k, conv{u_j: j≠k})",
            f"Least distance of the direction of one class to the convex hull of the others; {of}. Exact up to "
            f"K = {EXACT_MARGINS_UP_TO} or where asked for; else the lower bound 1 - max cosine, flagged.",
            Range(0, _MOST),
            "gnc2/margin_optimum",
            lambda terms: _margin(terms, side),
            "jiang2023",
            optimum=lambda terms: None if terms.optimum is None else terms.optimum.margin,
            of_classifier=bool(suffix),
            needs=needs,
        ),
        Metric(
            f"gnc2/margin_ratio{suffix}",
            "margin against the best known",
            "gnc2/margin / gnc2/margin_optimum",
            f"One-vs-rest margin as a share of the largest known for this K and d; {of}. Above 1 it beats what is known.",
            NONNEGATIVE,
            "1",
            lambda terms: _ratio(terms, side),
            "jiang2023",
            optimum=lambda terms: None if terms.optimum is None else 1.0,
            of_classifier=bool(suffix),
            needs=needs,
        ),
        Metric(
            f"gnc2/max_cosine{suffix}",
            "largest cosine between classes",
            "max_{i≠j} cos(u_i, u_j)",
            f"Signed cosine of the two closest class directions; {of}. 1 - max cosine is a lower bound of the margin.",
            Range(Bound("-1/(K-1)", lambda K, _: -1 / (K - 1)), 1),
            "the least possible",
            lambda terms: _max_cosine(terms, side),
            "gao2023study",
            optimum=lambda terms: None if terms.optimum is None else terms.optimum.max_cosine,
            of_classifier=bool(suffix),
            needs=needs,
        ),
    )


METRICS = (
    Metric(
        "gnc1/pinv",
        "within against between scatter, unit norm",
        "tr(S_W S_B⁺) / K on h/‖h‖",
        "nc1/pinv of the unit-norm features, global mean over samples.",
        NONNEGATIVE,
        "0",
        lambda terms: _gnc1(terms, ratio=False),
        "jiang2023",
        log=True,
        needs=("unit norm", "scatter"),
    ),
    Metric(
        "gnc1/trace_ratio",
        "ratio of traces, unit norm",
        "tr S_W / tr S_B on h/‖h‖",
        "nc1/trace_ratio of the unit-norm features.",
        NONNEGATIVE,
        "0",
        lambda terms: _gnc1(terms, ratio=True),
        "jiang2023",
        log=True,
        needs=("unit norm",),
    ),
    *_gnc2("normalized_means", "", "directions of the uncentred means of unit-norm features"),
    Metric(
        "gnc2/margin_optimum",
        "largest margin known",
        "max over K unit vectors in ℝᵈ",
        "The largest one-vs-rest margin of K unit vectors in d dimensions: proved for K ≤ 2d and d = 2, the best known "
        "elsewhere; where no code is known, the bound 1, flagged.",
        Range(0, _MOST),
        "itself",
        _optimum,
        "jiang2023",
    ),
    Metric(
        "gnc2/distance_variance",
        "spread of distances between classes",
        "var ‖u_i - u_j‖",
        "Variance over pairs of the distances between directions of centred class means. Zero at a simplex; not zero at "
        "the optimum for K > d+1.",
        SHARE,
        "0 for K ≤ d+1 only",
        lambda terms: _centred_pairs(terms, "distance_variance"),
        "wu2024",
        log=True,
        optimum=for_a_simplex,
    ),
    Metric(
        "gnc2/log_variance",
        "spread of logarithmic energies",
        "var log(1/‖u_i - u_j‖)",
        "Variance over pairs of the logarithmic energy of directions of centred class means. Zero at a simplex; not zero "
        "at the optimum for K > d+1.",
        NONNEGATIVE,
        "0 for K ≤ d+1 only",
        lambda terms: _centred_pairs(terms, "log_variance"),
        "wu2024",
        log=True,
        optimum=for_a_simplex,
    ),
    Metric(
        "gnc2/log_mean",
        "logarithmic energy of centred means",
        "mean log(1/‖u_i - u_j‖)",
        "Mean logarithmic energy over pairs of the directions of centred class means, as in its paper; gnc2/energy takes "
        "uncentred means of unit-norm features.",
        energy_range(0.0),
        "the least possible",
        lambda terms: _centred_pairs(terms, "log_mean"),
        "wu2024",
        optimum=energy_optimum(0.0),
    ),
    *_gnc2("weight", "@weight", "classifier rows"),
    Metric(
        "gnc3/cosine",
        "misalignment of classifier and means",
        "mean_k 1 - cos(w_k, μ_k), μ_k of h/‖h‖",
        "One less the cosine of a classifier row with the mean of the unit-norm features of its class, both uncentred.",
        UP_TO_2,
        "0",
        _gnc3,
        "jiang2023",
        log=True,
        needs=("classifier", "unit norm"),
    ),
    Metric(
        "gnc3/jiang",
        "misalignment about the global mean",
        "mean_k 1 - cos(w_k, μ_k - μ_G)",
        "The paper's form: class means of the unit-norm features are centred, classifier rows are not. For a code whose "
        "sum is not zero it stays above zero at perfect alignment; see gnc3/jiang_floor.",
        UP_TO_2,
        "gnc3/jiang_floor",
        _jiang,
        "jiang2023",
        log=True,
        optimum=_balanced_simplex,
        needs=("classifier", "unit norm"),
    ),
    Metric(
        "gnc3/jiang_floor",
        "what perfect alignment would give",
        "mean_k 1 - cos(w_k, w_k - w̄)",
        "The value of gnc3/jiang if each class mean were its classifier row.",
        UP_TO_2,
        "itself",
        _jiang_floor,
        "jiang2023",
        log=True,
        needs=("classifier",),
    ),
)
