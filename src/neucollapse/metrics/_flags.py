"""Flags: what a reader must know beside the numbers, found from the same terms."""

from collections.abc import Callable, Iterator, Sequence

import torch

from ..geometry import etf_floor
from ._absent import Absent
from ._rows import Rows
from ._tables import Flag, Tables
from ._terms import Terms
from .cdnv import are_one, measured_pairs

_FEW = 5
_NOTEWORTHY = 1e-3  # share of a number that may be rounding, from which it is said
_SAME = 1e-6  # one less the cosine of two classes that point the same way


def find_flags(terms: Terms, result: Tables) -> list[Flag]:
    """Every flag that applies."""
    found: list[Flag] = []
    for find in _FINDERS:
        try:
            found.extend(find(terms, result))
        except Absent:  # what the flag would be about has no value: its reason stands with the number
            continue
    return found


def _sides(terms: Terms, result: Tables, key: str) -> Iterator[tuple[Terms, str]]:
    """The terms behind `key` of the class means and of the classifier, where measured; once where they are of one size."""
    sizes = set()
    for own, where in ((terms, key), (terms.classifier, f"{key}@weight")):
        if where in result.numbers and own.K not in sizes:
            sizes.add(own.K)
            yield own, where


def _missing(terms: Terms, _: Tables) -> Iterator[Flag]:
    if terms.few:
        few = f"{len(terms.few)} classes have fewer than {terms.min_samples} samples"
        yield Flag("few_samples", f"{few} and were left out ({_some(terms.few)}).", severity="warning")
    gone = sorted({*(~terms.present).nonzero()[:, 0].tolist()} - {*terms.few})
    if gone:
        sentence = (
            f"{len(gone)} of {len(terms.present)} classes have no samples ({_some(gone)}); metrics of features are over the "
            f"{terms.K} others."
        )
        yield Flag("missing_classes", sentence, severity="warning")


def _some(classes: Sequence[int]) -> str:
    return ", ".join(map(str, classes[:_FEW])) + (", ..." if len(classes) > _FEW else "")


def _small(terms: Terms, _: Tables) -> Iterator[Flag]:
    counts = terms.features.counts
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


def _regime(terms: Terms, result: Tables) -> Iterator[Flag]:
    for own, where in _sides(terms, result, "nc2/etf_distance"):
        if own.d + 1 < own.K:
            sentence = (
                f"K = {own.K} > d + 1 = {own.d + 1}: no simplex fits. Its distance cannot fall below "
                f"{etf_floor(own.K, own.d):.4g}, and NC2, and NC3 through the product, do not tell how collapsed the classes "
                "are; the GNC2 metrics do."
            )
            yield Flag("beyond_simplex", sentence, where, "warning")


def _rank(terms: Terms, result: Tables) -> Iterator[Flag]:
    name, full = terms.features.precision.name, min(terms.K - 1, terms.d)
    for where, side, about, what in (
        ("nc1/pinv", "features", "class", "features"),
        ("gnc1/pinv", "unit_norm", "sample", "unit-norm features"),
    ):
        rank = getattr(terms, side).between_rank(about) if where in result.numbers else full
        if rank < full:
            sentence = (
                f"{name} {what} tell class means apart along {rank} of min(K-1, d) = {full} directions; the others are "
                "rounding, and were left out with the scatter within classes along them."
            )
            yield Flag("rank_deficient", sentence, where, "warning")


def _doubt(terms: Terms, _: Tables) -> Iterator[Flag]:
    doubt = max(terms.features.doubt, terms.unit_norm.doubt if terms.normalized else 0.0)
    if doubt > _NOTEWORTHY:
        sentence = (
            f"Up to {doubt:.1%} of a number that inverts a scatter may be rounding: {terms.features.precision.name} features "
            "are much narrower along some directions than along others."
        )
        yield Flag("imprecise_sums", sentence, "nc1/pinv", "warning")


def _dimensions(terms: Terms, result: Tables) -> Iterator[Flag]:
    if "nc1/vci" not in result.numbers:
        return
    features, full = terms.features, min(terms.stats.num_samples - 1, terms.d)
    found = features.discriminant.dimensions
    if found < full:
        sentence = (
            f"Features of {features.precision.name} lie in {found} of {terms.d} dimensions, as behind a LayerNorm or a "
            "bottleneck, or with constant or repeated features. The other directions are rounding; no rank and no inverse "
            "uses them."
        )
        yield Flag("unresolved_dimensions", sentence, "nc1/vci")


def _bound(terms: Terms, result: Tables) -> Iterator[Flag]:
    for own, where in _sides(terms, result, "gnc2/margin"):
        if not own.exact:
            sentence = (
                "The margin is its lower bound, 1 - max cosine: at this many classes the exact one is computed only when "
                "asked for (exact_margins=True)."
            )
            yield Flag("margin_is_a_bound", sentence, where, "warning")


def _optimum(terms: Terms, result: Tables) -> Iterator[Flag]:
    for own, ratio in _sides(terms, result, "gnc2/margin_ratio"):
        where = "gnc2/margin_optimum" if ratio == "gnc2/margin_ratio" else ratio
        if own.optimum is not None and own.optimum.status == "bound":
            sentence = (
                f"No code is known here for K = {own.K}, d = {own.d}: the optimum shown is the bound 1, which need not be "
                "reachable, so that the ratio understates the result."
            )
            yield Flag("optimum_is_a_bound", sentence, where, "warning")
        elif own.optimum is not None and own.optimum.status != "proved":
            source = own.optimum.source.rstrip(".")
            yield Flag("optimum_is_best_known", f"The optimum is the best known, not proved. {source}.", where)


def _precision(terms: Terms, result: Tables) -> Iterator[Flag]:
    dtype = terms.stats.feature_dtype
    if dtype is None or dtype == torch.float64 or "nc1/trace_ratio" not in result.numbers:
        return
    # Rounding to nearest moves an entry x by at most eps |x| / 2, uniformly: variance (eps x)^2 / 12.
    precision = terms.features.precision
    floor = precision.storage**2 / 12 * float(precision.size.square().sum()) / terms.features.between_trace()
    if result.numbers["nc1/trace_ratio"] < 10 * floor:
        sentence = (
            f"Features were {precision.name}: rounding alone gives a trace ratio up to about {floor:.2g}, and what was "
            "measured is at that floor. The network may be more collapsed than its features can show."
        )
        yield Flag("precision_floor", sentence, "nc1/trace_ratio", "warning")


def _left_out(terms: Terms, _: Tables) -> Iterator[Flag]:
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


def _coincident(terms: Terms, result: Tables) -> Iterator[Flag]:
    pairs = measured_pairs(terms, result)
    if pairs is not None:
        i, j = pairs.closest
        if are_one(terms, i, j):
            i, j = terms.means.classes[[i, j]].tolist()
            yield Flag("coincident_classes", f"Classes {i} and {j} have the same mean.", "nc1/cdnv", "warning")
    for own, side, where in (
        (terms, "normalized_means", "gnc2/max_cosine"),
        (terms.classifier, "weight", "gnc2/max_cosine@weight"),
    ):
        if where in result.numbers or where in result.absent:
            yield from _same_direction(own, side, where)


def _same_direction(terms: Terms, side: str, where: str) -> Iterator[Flag]:
    try:
        terms.need("pairs")
        rows: Rows = getattr(terms, side)
        zero = rows.classes[rows.is_zero].tolist()
        if len(zero) > 1:
            sentence = f"Classes {zero[0]} and {zero[1]} have the same row, zero, which has no direction."
            yield Flag("coincident_classes", sentence, where, "warning")
        pairs = rows.pairs
    except Absent:
        return
    # Directions closer than the rounding of the features cannot be told apart either.
    least = _SAME if rows.precision is None else max(_SAME, rows.precision.storage**2 / 2)
    if pairs.max_cosine > 1 - least:
        i, j = rows.classes[list(pairs.closest)].tolist()
        sentence = f"Classes {i} and {j} point the same way (cosine above {1 - least:.6f})."
        yield Flag("coincident_classes", sentence, where, "warning")


_FINDERS: tuple[Callable[[Terms, Tables], Iterator[Flag]], ...] = (
    _missing,
    _small,
    _left_out,
    _regime,
    _rank,
    _dimensions,
    _doubt,
    _bound,
    _optimum,
    _precision,
    _coincident,
)
