"""`collapse_metrics`: every metric that the statistics and the classifier allow, with optima, reasons and flags."""

from collections.abc import Iterable

import torch
from torch import Tensor

from .._errors import InputError
from .._labels import Array
from .._names import names_options, unknown_name
from ..geometry import Optimum
from ..statistics import ClassStatistics, ScatterByClass
from ..statistics._subset import without_classes
from ._absent import Absent
from ._decisions import Decisions
from ._flags import find_flags
from ._linear_algebra import finite
from ._registry import REGISTRY, names
from ._result import CollapseResult
from ._terms import Terms
from .cdnv import measured_pairs
from .gnc import distances


@names_options
def collapse_metrics(
    stats: ClassStatistics,
    weight: Array | None = None,
    bias: Array | None = None,
    normalized: ClassStatistics | None = None,
    *,
    decisions: Decisions | None = None,
    reference: ClassStatistics | None = None,
    ood: ClassStatistics | None = None,
    by_class: ScatterByClass | None = None,
    preset: str | None = None,
    keys: Iterable[str] | None = None,
    min_samples: int = 1,
    left_out: Iterable[int] = (),
    exact_margins: bool | None = None,
    optimum: bool = True,
    solved: Optimum | None = None,
) -> CollapseResult:
    """All metrics of collapse that these statistics and this classifier allow, by flat key.

    Nothing of size N or K x K is allocated, and nothing is changed. What cannot be computed is in `result.absent`
    with the reason; what a reader must know is in `result.flags`.

    Args:
        stats: statistics of the features.
        weight: classifier rows (K, d), any array-like; `bias` (K,). Without them, what needs them is absent.
        normalized: statistics of the unit-norm features (`ClassStatistics(..., normalize=True)`), which GNC1-3 and
            the energies of class means need.
        decisions: counts of a second pass, for NC4, accuracies and margins; `reference`: the statistics whose class
            means decided there, if not `stats`.
        ood: statistics of out-of-distribution features (one class), for NC5.
        by_class: the scatter of each class by itself, for the effective rank within classes.
        preset: only what one paper reports, by its key (`"papyan2020"`, `"jiang2023"`, ...).
        keys: only these keys.
        min_samples: leave out classes with fewer samples in `reference` (or else in `stats`); a flag lists them. Give
            the same to `Decisions`. Their scatter cannot be taken out of the (d, d) sum of all classes, unless they have
            one sample each: what needs it is then absent.
        left_out: classes whose few samples did not enter the statistics in the first place; the flag lists them too.
        exact_margins: whether `gnc2/margin` is exact; by default up to K = 2,000 classes, beyond which its lower
            bound 1 - max cosine is reported and flagged.
        optimum: look up the best possible values for this K and d.
        solved: a code that counts as the optimum where it beats the best known one. One of another size (there are
            classes without samples here, or it was made for another layer) is not compared with.

    Returns:
        A `CollapseResult`: a mapping from keys to numbers.

    Raises:
        InputError: shapes that do not fit together, an unknown key or preset, statistics without samples. An unknown
            name is an `UnknownNameError` (a `KeyError` too), with the one that was likely meant; NaN or infinity in means or
            classifier are a `NonFiniteError`.

    Examples:
        >>> from neucollapse.geometry import simplex
        >>> stats = ClassStatistics(num_classes=4, dim=3)
        >>> stats.update(simplex(4).repeat(5, 1), torch.arange(4).repeat(5))
        >>> result = collapse_metrics(stats, weight=simplex(4))
        >>> result["nc1/pinv"], round(result["nc2/etf_distance"], 9), round(result["gnc2/margin@weight"], 9)
        (0.0, 0.0, 1.333333333)
    """
    if not stats.num_samples:
        raise InputError("expected statistics of at least one sample, got none: call update first")
    K, d = stats.num_classes, stats.dim
    for name, other in (("normalized", normalized), ("reference", reference)):
        if other is not None and (other.num_classes, other.dim) != (K, d):
            raise InputError(f"expected {name} statistics with K={K}, d={d}, got K={other.num_classes}, d={other.dim}")
    if normalized is not None and not normalized.normalize:
        raise InputError("expected normalized= to be statistics with normalize=True, got ones of the raw features")
    few = _few(stats, reference or stats, min_samples)
    named = {*left_out, *(few & stats.present.cpu()).nonzero()[:, 0].tolist()}
    stats = without_classes(stats, few)
    normalized, reference = (side and without_classes(side, few) for side in (normalized, reference))
    terms = Terms(
        stats,
        normalized,
        _checked(weight, (K, d), "weight"),
        _checked(bias, (K,), "bias"),
        decisions=decisions,
        reference=reference,
        ood=ood,
        by_class=by_class,
        exact_margins=exact_margins,
        find_optimum=optimum,
        solved=solved,
        few=tuple(sorted(named)),
        min_samples=min_samples,
    )
    result = CollapseResult(info={"num_classes": K, "dim": d})
    for name in _chosen(preset, keys):
        _compute(terms, name, result)
    result.flags.extend(find_flags(terms, result))
    result.info["citations"] = sorted({REGISTRY[name].citation for name in result.numbers} - {""})
    result.arrays.update(_arrays(terms, result))
    return result


@names_options
def weight_metrics(weight: Array, *, exact_margins: bool | None = None, optimum: bool = True) -> CollapseResult:
    """What a classifier's weight tells without any data: the metrics whose keys end in `@weight`.

    Args:
        weight: classifier rows (K, d), any array-like.
        exact_margins: as in `collapse_metrics`.
        optimum: look up the best possible values for this K and d.

    Returns:
        A `CollapseResult`.

    Raises:
        InputError: if the weight is no (K, d) matrix, or holds NaN or infinity (a `NonFiniteError`).

    Examples:
        >>> from neucollapse.geometry import orthoplex
        >>> round(weight_metrics(orthoplex(8, 4))["gnc2/margin_ratio@weight"], 9)
        1.0
    """
    rows = torch.as_tensor(weight).detach().to("cpu", torch.float64)
    if rows.ndim != 2 or not rows.numel():
        raise InputError(f"expected weight of shape (K, d), got {tuple(rows.shape)}")
    K, d = rows.shape
    finite(rows, "weight")
    stats = ClassStatistics(K, d, "trace")  # only tells that every class is there
    stats.update(torch.zeros(K, d, dtype=torch.float64), torch.arange(K))
    keys = [name for name in names() if REGISTRY[name].of_classifier]
    result = collapse_metrics(stats, rows, keys=keys, exact_margins=exact_margins, optimum=optimum)
    result.flags = [flag for flag in result.flags if flag.code != "single_samples"]
    result.arrays = {"weight": rows}
    return result


def _few(stats: ClassStatistics, reference: ClassStatistics, min_samples: int) -> Tensor:
    """Which classes (K,) have too few samples in the reference; raises where no others are left."""
    if min_samples < 1:
        raise InputError(f"expected min_samples of at least 1, got {min_samples}")
    few = (reference.counts < min_samples).cpu() & (min_samples > 1)
    if not bool((stats.present.cpu() & ~few).any()):
        raise InputError(f"expected a class of at least min_samples={min_samples} samples, got none")
    return few


def _chosen(preset: str | None, keys: Iterable[str] | None) -> list[str]:
    if preset is not None and keys is not None:
        raise InputError(f"expected a preset or keys, got both (preset={preset!r})")
    chosen = names(preset) if keys is None else list(keys)
    for key in chosen:
        if key not in REGISTRY:
            raise unknown_name("metric", key, REGISTRY)
    return chosen


def _compute(terms: Terms, name: str, result: CollapseResult) -> None:
    metric = REGISTRY[name]
    terms = terms.classifier if metric.of_classifier else terms
    try:
        value = metric.value(terms)
    except Absent as reason:
        result.absent[name] = str(reason)
        return
    except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
        result.absent[name] = f"{name} rests on a decomposition of a matrix that did not converge"
        return
    reason = metric.range.why_not(value, terms.K, terms.d)
    if reason is not None:
        result.absent[name] = f"{name} {reason}"
        return
    result.numbers[name] = value
    best = _plain_number(metric.at_collapse) if metric.optimum is None else metric.optimum(terms)
    if best is not None:
        result.optima[name] = float(best)


def _plain_number(at_collapse: str) -> float | None:
    try:
        return float(at_collapse)
    except ValueError:
        return None  # words, not a number


def _checked(values: Array | None, shape: tuple[int, ...], name: str) -> Tensor | None:
    if values is None:
        return None
    tensor = torch.as_tensor(values).detach().to("cpu", torch.float64)
    if tuple(tensor.shape) != shape:
        raise InputError(f"expected {name} of shape {shape}, got {tuple(tensor.shape)}")
    return finite(tensor, name)


def _arrays(terms: Terms, result: CollapseResult) -> dict[str, Tensor]:
    """What the report draws; margins and CDNV class by class, NaN for absent classes."""
    arrays = {"class_means": terms.features.class_means, "counts": terms.stats.counts.cpu()}
    if terms.normalized is not None:
        arrays["normalized_means"] = terms.unit_norm.class_means
    if terms.decisions is not None and terms.full_weight is not None:
        arrays["margin_edges"], arrays["margin_counts"] = terms.decisions.edges, terms.decisions.histogram.cpu()
    by_class = {
        f"one_vs_rest_{side}": (own.present, distances(getattr(own, side)))
        for own, side, suffix in ((terms, "normalized_means", ""), (terms.classifier, "weight", "@weight"))
        if own.exact and {f"gnc2/margin{suffix}", f"gnc2/margin_ratio{suffix}"} & result.numbers.keys()
    }
    pairs = measured_pairs(terms, result)
    if pairs is not None:
        worst = pairs.worst
        by_class["cdnv_worst"] = terms.present, worst.where(worst < torch.inf, torch.nan)
    for name, (present, values) in by_class.items():
        arrays[name] = torch.full((terms.stats.num_classes,), torch.nan, dtype=torch.float64)
        arrays[name][present] = values
    return arrays
