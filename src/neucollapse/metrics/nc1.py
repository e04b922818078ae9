"""NC1, collapse of the variability within classes: its scatter S_W against the scatter S_B between class means.

The literature agrees on the idea and not on the number: with or without 1/K, through a pseudo-inverse or traces, with
the global mean over classes or over samples. Every variant has its own name here.
"""

import torch
from torch import Tensor

from .._types import Float
from ..statistics import Precision
from ._absent import Absent
from ._discriminant import discriminant, entry_error, sum_error
from ._features import Features
from ._linear_algebra import cut_off, finite, resolved_spectrum, spectrum
from ._metric import Metric
from ._range import SHARE
from ._terms import Terms


def pinv(within_scatter: Float[Tensor, "d d"], centred_means: Float[Tensor, "K d"], rank: int | None = None) -> float:
    r"""tr(S_W S_B^+) / K, with the rank of S_B known rather than guessed.

    $$
    \frac1K \operatorname{tr}(S_W S_B^+) = \sum_{i \le r} \frac{v_i^\top S_W v_i}{s_i^2},
    \qquad S_B = \frac1K M^\top M, \quad M = U \operatorname{diag}(s) V^\top
    $$

    for M the class means less their global mean. By default r counts the singular values above
    4 max(K, d) * 2.2e-16 * s_1, at most min(K - 1, d); no library's default tolerance is used.

    Args:
        within_scatter: S_W, (d, d).
        centred_means: M, (K, d), classes present only.
        rank: use exactly the first `rank` directions instead, with no cut-off.

    Returns:
        A number in [0, inf); 0 at collapse. The same for features scaled, rotated or shifted. NaN or infinity in an
        argument are a `NonFiniteError`.

    Reference:
        Papyan, Han, Donoho 2020 (arXiv 2008.08186), caption of Figure 6.

    Examples:
        >>> means = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
        >>> round(pinv(0.02 * torch.eye(2, dtype=torch.float64), means), 12)
        0.01
    """
    s, V = spectrum(finite(centred_means, "class means"))
    r = between_rank(s, *centred_means.shape) if rank is None else rank
    return float((_along(finite(within_scatter, "within-class scatter"), V)[:r] / s[:r] ** 2).sum())


def _along(S: Float[Tensor, "d d"], V: Float[Tensor, "d r"]) -> Float[Tensor, "r"]:
    """v^T S v for each column v."""
    return ((S @ V) * V).sum(dim=0)


def between_rank(s: Tensor, K: int, d: int) -> int:
    """Numerical rank of centred class means in float64: at most min(K - 1, d), fewer where means are dependent."""
    return int((s[: min(K - 1, d)] > cut_off(s, K, d)).sum())


def variability_collapse_index(
    within_scatter: Float[Tensor, "d d"],
    weighted_means: Float[Tensor, "K d"],
    *,
    precision: Precision | None = None,
) -> float:
    r"""1 - tr(S_T^+ S_B) / rank(S_B), with S_T = S_W + S_B, formed without subtracting from one.

    With S_B = M^T M = V diag(s^2) V^T and C = W_{11} - W_{12} W_{22}^+ W_{21} the Schur complement of S_W on the range
    of S_B, it is the mean of c / (1 + c) over the eigenvalues c of diag(1/s) C diag(1/s): exact near collapse, where
    c is tiny, and defined where S_T is singular.

    Args:
        within_scatter: S_W (d, d), over samples.
        weighted_means: M (K, d), rows sqrt(n_c / N) (mu_c - mu_G) with mu_G over samples, so that S_B = M^T M.
        precision: of the features; by default float64 features of the size of these means and scatter.

    Returns:
        A number in [0, 1]; 0 at collapse. Unchanged by invertible linear maps of the features.

    Reference:
        Xu, Liu 2023 (arXiv 2306.03440).

    Examples:
        >>> means = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64) / 2**0.5
        >>> round(variability_collapse_index(torch.eye(2, dtype=torch.float64), means), 12)
        0.5
    """
    if precision is None:
        size = (within_scatter.diagonal() + weighted_means.square().sum(0)).sqrt()
        precision = Precision(torch.float64, size, size, len(weighted_means))
    W, M = finite(within_scatter, "within-class scatter"), finite(weighted_means, "class means")
    between = resolved_spectrum(M, precision, min(len(M) - 1, M.shape[1]))
    return _mean_share(discriminant(W, *between, precision).ratios)


def _mean_share(ratios: Tensor) -> float:
    return float((ratios / (1 + ratios)).mean())


def pinv_of(features: Features, weighting: str = "sample", about: str = "class") -> float:
    """tr(S_W S_B^+) / K along the directions that the features resolve."""
    features.need_distinct_means()
    S_W, precision = finite(features.within_scatter(weighting), "within-class scatter"), features.precision
    inverse = features.between_inverse(about)
    value = inverse.trace_with(S_W) if inverse else None
    if inverse and value is not None:
        error = float(inverse.matrix.diagonal() @ entry_error(S_W, precision))
    else:
        s, V = features.mean_spectrum(about)
        value, error = (float(along @ s**-2) for along in (_along(S_W, V), sum_error(S_W, V, precision)))
    return _known(features, value / features.K, error / features.K)


def _svd(terms: Terms) -> float:
    value = pinv_of(terms.features)
    resolved, full = terms.features.between_rank(), min(terms.K - 1, terms.d)
    if resolved < full:
        raise Absent(
            f"class means span {resolved} directions that {terms.features.precision.name} features resolve, and the rank is "
            f"fixed at min(K-1, d) = {full}: use nc1/pinv"
        )
    return value


def _known(features: Features, value: float, error: float) -> float:
    """`value`, unless too much of it may be rounding of the sum S_W; the largest such share is kept for the flags."""
    # In double precision a millionth is a degeneracy.
    if error > (1e-6 if features.precision.dtype == torch.float64 else 0.1) * value:
        raise Absent(
            f"the sum over samples is rounded by up to {error:.2g} of this number, which came out as {value:.2g}: some "
            f"directions of {features.precision.name} features are too narrow beside others"
        )
    features.doubt = max(features.doubt, error / value if value else 0.0)
    return value


def _vci(terms: Terms) -> float:
    split = terms.features.discriminant
    return _known(terms.features, _mean_share(split.ratios), split.error)


def trace_ratio(features: Features, within: str = "sample", between: str = "class") -> float:
    """tr S_W / tr S_B, each an average over classes or samples."""
    features.need_distinct_means()
    return _ratio(features.within_trace(within), features.between_trace(between))


def _ratio(numerator: float, denominator: float) -> float:
    if not denominator:
        raise Absent("all class means coincide, so the scatter between classes is zero and the ratio has no value")
    return numerator / denominator


def _fraction(terms: Terms, *, within: bool) -> float:
    W, B = terms.features.within_trace(), terms.features.between_trace()
    return _ratio(W if within else B, W + B)


METRICS = (
    Metric(
        "nc1/pinv", "within against between scatter", "tr(S_W S_B⁺) / K",
        "Scatter within classes, measured in units of the scatter between class means, summed over its directions and "
        "divided by K. S_W is pooled over samples; S_B is averaged over classes about the mean of class means.",
        lambda terms: pinv_of(terms.features), "papyan2020", needs=("scatter",),
    ),
    Metric(
        "nc1/pinv_unscaled", "within against between scatter, without 1/K", "tr(S_W S_B⁺)",
        "nc1/pinv times the number of classes, as in the notebook of Papyan and Han.",
        lambda terms: pinv_of(terms.features) * terms.K, "papyan2020", needs=("scatter",),
    ),
    Metric(
        "nc1/svd", "within against between scatter, rank fixed", "tr(S_W S_B⁺) / K at rank min(K-1, d)",
        "nc1/pinv inverting exactly min(K-1, d) directions of S_B. Absent where the features do not resolve so many: "
        "the inverse of rounding is no number.",
        _svd, "han2022", needs=("scatter",),
    ),
    Metric(
        "nc1/pinv_sample_mean", "within against between scatter, about the sample mean",
        "tr(S_W S_B⁺) / K, μ_G = Σ n_c μ_c / N",
        "nc1/pinv with the global mean over samples instead of over classes. Equal for balanced classes.",
        lambda terms: pinv_of(terms.features, about="sample"), "zhu2021", needs=("scatter",),
    ),
    Metric(
        "nc1/pinv_class_scatter", "within against between scatter, S_W over classes",
        "tr(S̄_W S_B⁺) / K, S̄_W = Σ_c S_c / (K n_c)",
        "nc1/pinv with each class alike in S_W. Needs class_counts before the pass. Equal for balanced classes.",
        lambda terms: pinv_of(terms.features, weighting="class"), "papyan2020", needs=("scatter",),
    ),
    Metric(
        "nc1/trace_ratio", "ratio of traces", "tr S_W / tr S_B",
        "Mean squared distance of a sample to its class mean, over that of a class mean to the mean of class means.",
        lambda terms: trace_ratio(terms.features), "tirer2022",
    ),
    Metric(
        "nc1/trace_ratio_class_scatter", "ratio of traces, S_W averaged over classes", "tr S̄_W / tr S_B",
        "nc1/trace_ratio with each class alike in tr S_W. Equal for balanced classes.",
        lambda terms: trace_ratio(terms.features, within="class"), "tirer2022",
    ),
    Metric(
        "nc1/trace_ratio_sample", "ratio of traces, over samples", "tr S_W / tr S_B, both over samples",
        "nc1/trace_ratio with S_B averaged over samples about the sample mean. Equal for balanced classes.",
        lambda terms: trace_ratio(terms.features, between="sample"), "tirer2022",
    ),
    Metric(
        "nc1/within_fraction", "share of variance within classes", "tr S_W / (tr S_W + tr S_B)",
        "Part of the total variance that is within classes.",
        lambda terms: _fraction(terms, within=True), "rangamani2023", range=SHARE,
    ),
    Metric(
        "nc1/between_fraction", "share of variance between classes", "tr S_B / (tr S_W + tr S_B)",
        "Part of the total variance that is between classes; one less nc1/within_fraction.",
        lambda terms: _fraction(terms, within=False), "rangamani2023", range=SHARE, at_collapse="1", log=False,
    ),
    Metric(
        "nc1/vci", "variability collapse index", "1 - tr(S_T⁺ S_B) / rank S_B",
        "Scatter within classes as linear probing sees it: unchanged by invertible linear maps of the features. "
        "S_T = S_W + S_B, all averaged over samples.",
        _vci, "xu2023", range=SHARE, needs=("scatter",),
    ),
)  # fmt: skip
