"""Flags: what a reader must know beside the numbers, found from the same terms."""

from collections.abc import Callable, Iterator

import torch

from ._metric import Absent
from ._result import CollapseResult, Flag
from ._terms import Terms
from .nc1 import between_rank

_FEW = 5


def find_flags(terms: Terms, result: CollapseResult) -> list[Flag]:
    """Every flag that applies."""
    return [flag for find in _FINDERS for flag in find(terms, result)]


def _missing(terms: Terms, _: CollapseResult) -> Iterator[Flag]:
    gone = (~terms.present).nonzero()[:, 0].tolist()
    if gone:
        some = ", ".join(map(str, gone[:_FEW])) + (", ..." if len(gone) > _FEW else "")
        sentence = f"{len(gone)} of {len(terms.present)} classes have no samples ({some}); metrics are over the {terms.K} others."
        yield Flag("missing_classes", sentence, severity="warning")


def _small(terms: Terms, _: CollapseResult) -> Iterator[Flag]:
    counts = terms.stats.counts.cpu()[terms.present]
    single = int((counts == 1).sum())
    if single:
        sentence = f"{single} classes have one sample only: their variance is zero by definition, not by collapse."
        yield Flag("single_samples", sentence, severity="warning")
    if terms.K > 1 and int(counts.max()) > 2 * int(counts.min()):
        sentence = (
            f"Classes are imbalanced ({int(counts.max())} to {int(counts.min())} samples): variants weighted by class and "
            "by sample differ."
        )
        yield Flag("imbalance", sentence)


def _regime(terms: Terms, result: CollapseResult) -> Iterator[Flag]:
    if terms.d + 1 >= terms.K or "nc2/etf_distance" not in result.numbers:
        return
    floor = result.numbers.get("nc2/etf_floor", 0.0)
    sentence = (
        f"K = {terms.K} > d + 1 = {terms.d + 1}: no simplex fits. Its distance cannot fall below {floor:.4g}, and NC2, and "
        "NC3 through the product, do not tell how collapsed the classes are; the GNC2 metrics do."
    )
    yield Flag("beyond_simplex", sentence, "nc2/etf_distance", "warning")


def _rank(terms: Terms, result: CollapseResult) -> Iterator[Flag]:
    if "nc1/pinv" not in result.numbers:
        return
    full, rank = min(terms.K - 1, terms.d), between_rank(terms.mean_spectrum()[0], terms.K, terms.d)
    if rank < full:
        sentence = (
            f"The centred class means span {rank} of min(K-1, d) = {full} dimensions; scatter within classes along the "
            "missing ones is not counted."
        )
        yield Flag("rank_deficient", sentence, "nc1/pinv", "warning")


def _bound(terms: Terms, result: CollapseResult) -> Iterator[Flag]:
    if not terms.exact_margins and any(key.startswith("gnc2/margin") for key in result.numbers):
        sentence = (
            "The margin is its lower bound, 1 - max cosine: at this many classes the exact one is computed only when asked "
            "for (exact_margins=True)."
        )
        yield Flag("margin_is_a_bound", sentence, "gnc2/margin", "warning")


def _optimum(terms: Terms, result: CollapseResult) -> Iterator[Flag]:
    if "gnc2/margin_optimum" not in result.numbers or terms.optimum is None:
        return
    if terms.optimum.status == "bound":
        sentence = (
            f"No code is known here for K = {terms.K}, d = {terms.d}: the optimum shown is the bound 1, which need not be "
            "reachable, so that the ratio understates the result."
        )
        yield Flag("optimum_is_a_bound", sentence, "gnc2/margin_optimum", "warning")
    elif terms.optimum.status != "proved":
        yield Flag(
            "optimum_is_best_known",
            f"The optimum is the best known, not proved. {terms.optimum.source.rstrip('.')}.",
            "gnc2/margin_optimum",
        )


def _precision(terms: Terms, result: CollapseResult) -> Iterator[Flag]:
    dtype = terms.stats.feature_dtype
    if dtype is None or dtype == torch.float64 or "nc1/trace_ratio" not in result.numbers:
        return
    # Rounding to nearest moves an entry x by at most eps |x| / 2, uniformly: variance (eps x)^2 / 12.
    eps = torch.finfo(dtype).eps
    means = terms.means.raw
    floor = eps**2 / 12 * float((terms.class_weights("sample") @ means.square()).sum()) / terms.between_trace()
    if result.numbers["nc1/trace_ratio"] < 10 * floor:
        name = str(dtype).removeprefix("torch.")
        sentence = (
            f"Features were {name}: rounding alone gives a trace ratio up to about {floor:.2g}, and what was measured is at that "
            "floor. The network may be more collapsed than its features can show."
        )
        yield Flag("precision_floor", sentence, "nc1/trace_ratio", "warning")


def _left_out(terms: Terms, _: CollapseResult) -> Iterator[Flag]:
    left_out = terms.stats.left_out
    if left_out["ignored"]:
        yield Flag("ignored_samples", f"{left_out['ignored']} samples carry the ignored label and were left out.")
    if left_out["non_finite"]:
        sentence = f"{left_out['non_finite']} samples had NaN or infinity in their features and were left out."
        yield Flag("dropped_samples", sentence, severity="warning")
    if terms.normalized is not None and terms.normalized.left_out["zero_norm"]:
        sentence = (
            f"{terms.normalized.left_out['zero_norm']} features are zero and have no direction; they count as zero."
        )
        yield Flag("zero_features", sentence, severity="warning")


def _duplicates(terms: Terms, result: CollapseResult) -> Iterator[Flag]:
    for side, where in (("normalized_means", "gnc2/max_cosine"), ("weight", "gnc2/max_cosine@weight")):
        try:
            pairs = getattr(terms, side).pairs if where in result.numbers else None
        except Absent:
            continue
        if pairs is not None and pairs.max_cosine > 1 - 1e-6:
            i, j = terms.present.nonzero()[:, 0][list(pairs.closest)].tolist()
            sentence = f"Classes {i} and {j} point the same way (cosine above 0.999999)."
            yield Flag("coincident_classes", sentence, where, "warning")


_FINDERS: tuple[Callable[[Terms, CollapseResult], Iterator[Flag]], ...] = (
    _missing,
    _small,
    _left_out,
    _regime,
    _rank,
    _bound,
    _optimum,
    _precision,
    _duplicates,
)
