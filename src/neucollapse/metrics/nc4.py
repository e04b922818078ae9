"""NC4, decisions of the nearest class mean; accuracies, margins and test collapse, all from a second pass."""

import math
from collections.abc import Callable

import torch

from ._absent import Absent
from ._decisions import Decisions
from ._metric import Metric
from ._range import ANY, SHARE, Range
from ._terms import Need, Terms


def _share(name: str) -> Callable[[Terms], float]:
    return lambda terms: terms.counted.counts[name] / terms.counted.counts["samples"]


def _margin(read: Callable[[Terms, Decisions], float]) -> Callable[[Terms], float]:
    def compute(terms: Terms) -> float:
        terms.classifier.need("pairs")  # also where features of one class alone were seen
        return read(terms, terms.counted)

    return compute


def _normalized(terms: Terms, decisions: Decisions) -> float:
    W = terms.classifier.weight
    H = decisions.unit * math.sqrt(len(W.raw) * decisions.sums["squared_norm"] / decisions.counts["samples"])
    scale = W.unit * float(torch.linalg.matrix_norm(W.raw)) * H
    if not scale or not math.isfinite(scale):
        raise Absent("the classifier or the features are all zero, or too large to multiply")
    return decisions.least["margin"] / scale


def _margin_of_a_simplex(terms: Terms) -> float | None:
    """Averaged over pairs and classes, no linear logits of balanced classes have a larger least margin at unit norms."""
    return 1 / (terms.K - 1) if _all_balanced(terms) and terms.d + 1 >= terms.K else None


def _cosine_margin_of_a_simplex(terms: Terms) -> float | None:
    """The mean over j of (w_y - w_j) has at most this length, on average over classes that count alike."""
    return terms.K / (terms.K - 1) if _all_balanced(terms) and terms.d + 1 >= terms.K else None


def _all_balanced(terms: Terms) -> bool:
    return bool(terms.present.all()) and terms.features.is_balanced


def _best_margin(terms: Terms) -> float | None:
    """The largest margin of any code: for unit features, the least cosine margin is at most a one-vs-rest margin."""
    return None if terms.optimum is None or not bool(terms.present.all()) else terms.optimum.margin


def _test_collapse(terms: Terms, name: str) -> float:
    decisions, reference = terms.counted, terms.reference or terms.stats
    means = reference.centred_means().cpu()[reference.present.cpu()]
    if bool(reference.precision.coincide(means).all()):
        raise Absent("all reference class means coincide")
    between = float((means / decisions.unit).square().sum()) / len(means)
    strangers = decisions.counts["strangers"]
    if strangers and name == "to_own_mean":
        raise Absent(f"{strangers} samples belong to classes of which the reference has no mean")
    return decisions.sums[name] / decisions.counts["samples"] / between


def _rescaled(terms: Terms) -> float:
    decisions = terms.counted
    largest = decisions.largest["squared_norm"]
    if not largest:
        raise Absent("all features are zero")
    return terms.features.within_trace() * (terms.features.unit / decisions.unit) ** 2 / largest


_DECIDED: tuple[Need, ...] = ("decisions", "classifier")

METRICS = (
    Metric(
        "nc4/mismatch", "classifier against nearest class mean", "share of h: argmax(Wh + b) ≠ argmin_k ‖h - μ_k‖",
        "How often the classifier decides otherwise than the nearest class mean of the training split.",
        _share("differ"), "papyan2020", range=SHARE, log=False, needs=_DECIDED,
    ),
    Metric(
        "nc4/mismatch_without_bias", "classifier against nearest class mean, bias left out",
        "share of h: argmax(Wh) ≠ argmin_k ‖h - μ_k‖",
        "nc4/mismatch with the bias of the classifier left out.",
        _share("differ_without_bias"), "wu2024", range=SHARE, log=False, needs=_DECIDED,
    ),
    Metric(
        "accuracy/linear", "accuracy of the classifier", "share of h: argmax(Wh + b) = y",
        "How often the model is right.",
        _share("linear"), range=SHARE, at_collapse="1", log=False, needs=_DECIDED,
    ),
    Metric(
        "accuracy/ncc", "accuracy of the nearest class mean", "share of h: argmin_k ‖h - μ_k‖ = y",
        "How often the nearest class mean of the training split is that of the true class.",
        _share("nearest"), "hui2022", range=SHARE, at_collapse="1", log=False, needs=("decisions",),
    ),
    Metric(
        "test_collapse/strong", "distance to the training mean of the true class",
        "mean ‖h - μ_y‖² / tr S_B (means of train)",
        "Mean squared distance to the training mean of the true class, over the scatter between training means. On the "
        "training split it is nc1/trace_ratio.",
        lambda terms: _test_collapse(terms, "to_own_mean"), "hui2022", needs=("decisions",),
    ),
    Metric(
        "test_collapse/weak", "distance to the nearest training mean",
        "mean min_k ‖h - μ_k‖² / tr S_B (means of train)",
        "Mean squared distance to the nearest training mean, right or wrong, over the scatter between training means.",
        lambda terms: _test_collapse(terms, "to_nearest_mean"), "hui2022", needs=("decisions",),
    ),
    Metric(
        "nc1/rescaled", "scatter within classes over the largest feature", "tr S_W / max_i ‖h_i‖²",
        "Mean squared distance of a sample to the mean of its class, over the largest squared length of a feature (RNC1): "
        "squared, so that the scale of the features does not count. It does not see how far class means are apart.",
        _rescaled, "sakamoto2025", range=SHARE, needs=("decisions",),
    ),
    Metric(
        "margins/min", "least margin of logits", "min_i z_y - max_{j≠y} z_j",
        "The least logit margin over samples. It grows without bound with the norms; see margins/normalized_min.",
        _margin(lambda _, decisions: decisions.least["margin"]), "gao2023margins",
        range=ANY, at_collapse="grows", log=False, needs=_DECIDED,
    ),
    Metric(
        "margins/normalized_min", "least margin at unit norms", "min_i (z_y - max_{j≠y} z_j) / (‖W‖_F √(K mean‖h‖²))",
        "The least logit margin, with classifier and features (one a class) at unit Frobenius norm. Meaningful for a "
        "linear head, of which the optimum is: a scale inside the head counts into it.",
        _margin(_normalized), "gao2023margins",
        range=ANY, at_collapse="1/(K-1) for a simplex", log=False, optimum=_margin_of_a_simplex, needs=_DECIDED,
    ),
    Metric(
        "margins/cosine_min", "least margin of cosines", "min_i cos(w_y, h) - max_{j≠y} cos(w_j, h)",
        "The least margin over samples, on the sphere. At collapse every sample reaches 1 - max cosine.",
        _margin(lambda _, decisions: decisions.least["cosine_margin"]), "jiang2023",
        range=Range(-2, 2), at_collapse="1 - max cosine", log=False, optimum=_best_margin, needs=_DECIDED,
    ),
    Metric(
        "margins/cosine_mean", "mean margin of cosines", "mean_i cos(w_y, h) - max_{j≠y} cos(w_j, h)",
        "Mean over samples of the margin on the sphere.",
        _margin(lambda _, decisions: decisions.sums["cosine_margin"] / decisions.counts["samples"]), "jiang2023",
        range=Range(-2, 2), at_collapse="1 - max cosine", log=False, optimum=_cosine_margin_of_a_simplex, needs=_DECIDED,
    ),
    Metric(
        "margins/cosine_median", "median margin of cosines", "median_i cos(w_y, h) - max_{j≠y} cos(w_j, h)",
        "Median over samples of the margin on the sphere, from a histogram with bins of 0.01.",
        _margin(lambda _, decisions: decisions.quantile(0.5)), "jiang2023",
        range=Range(-2, 2), at_collapse="1 - max cosine", log=False, needs=_DECIDED,
    ),
)  # fmt: skip
