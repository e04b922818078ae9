"""Every metric by name, and what each paper reports, by the paper's key."""

from collections.abc import Iterable

from .._names import unknown_name
from . import bias, cdnv, gnc, mse, nc0, nc1, nc2, nc3, nc4, nc5, rank, uniformity
from ._metric import Metric

REGISTRY: dict[str, Metric] = {
    metric.name: metric
    for module in (nc0, nc1, cdnv, nc2, nc3, nc4, nc5, bias, gnc, uniformity, rank, mse)
    for metric in module.METRICS
}

PRESETS: dict[str, tuple[str, ...]] = {
    paper: tuple(keys.split())
    for paper, keys in {
        "papyan2020": (
            "nc1/pinv nc2/equinorm nc2/equinorm_uncentred@weight nc2/equiangular nc2/equiangular@weight "
            "nc2/equiangular_std nc2/equiangular_std@weight nc3/frobenius_uncentred_weight nc4/mismatch"
        ),
        "han2022": (
            "nc1/pinv_unscaled nc2/equinorm nc2/equinorm@weight nc2/equiangular nc2/equiangular@weight "
            "nc3/frobenius_squared nc4/mismatch mse/loss mse/within mse/means mse/off_path"
        ),
        "zhu2021": (
            "nc1/pinv_sample_mean nc2/etf_distance_uncentred@weight nc3/product_sample_mean_uncentred_weight "
            "bias/relation_sample_mean"
        ),
        "tirer2022": "nc1/trace_ratio nc2/etf_distance nc2/orthogonal_frame_distance",
        "galanti2022": "nc1/cdnv",
        "rangamani2023": "nc1/within_fraction nc1/between_fraction",
        "xu2023": "nc1/vci",
        "kothapalli2023": "nc1/pinv nc2/etf_distance nc3/product nc4/mismatch",
        "jiang2023": (
            "gnc1/pinv gnc2/margin@weight gnc2/margin_optimum gnc2/margin_ratio@weight gnc3/jiang "
            "gnc3/jiang_floor accuracy/ncc"
        ),
        "liu2023": "gnc2/energy gnc2/energy_excess gnc2/energy@weight gnc2/energy_excess@weight",
        "wu2024": (
            "nc1/pinv nc1/cdnv gnc2/distance_variance gnc2/log_variance gnc2/log_mean nc3/length nc3/uniform "
            "nc4/mismatch_without_bias"
        ),
        "hui2022": "accuracy/ncc test_collapse/strong test_collapse/weak",
        "ammar2024": "nc5/cosine",
    }.items()
}


def names(preset: str | None = None) -> list[str]:
    """Names of all metrics, or of those one paper reports. An unknown preset is an `UnknownNameError`.

    Examples:
        >>> names("rangamani2023")
        ['nc1/within_fraction', 'nc1/between_fraction']
    """
    if preset is None:
        return list(REGISTRY)
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    return list(PRESETS[preset])


def describe(keys: str | Iterable[str]) -> dict[str, dict[str, object]]:
    """Definitions of metrics by key, as plain values: title, symbol, definition, range, value at collapse, citation, family.

    Args:
        keys: one key or several, as in a result; a split and an inner layer may stand around them. A key that is no
            metric's is an `UnknownNameError`.

    Examples:
        >>> describe("nc1/vci")["nc1/vci"]["title"], describe(["test/nc1/pinv@layer:block"]).keys()
        ('variability collapse index', dict_keys(['nc1/pinv']))
    """
    stems = dict.fromkeys(_stem(key) for key in ([keys] if isinstance(keys, str) else keys))
    fields = ("title", "symbol", "definition", "at_collapse", "citation", "family", "log")
    words = {stem: {field: getattr(REGISTRY[stem], field) for field in fields} for stem in stems}
    return {stem: {**values, "range": str(REGISTRY[stem].range)} for stem, values in words.items()}


def _stem(key: str) -> str:
    """The key of the metric on class means: without the name of a split and without `@weight` or `@layer:NAME`."""
    bare = key.split("@")[0]
    for stem in (bare, bare.partition("/")[2]):
        if stem in REGISTRY:
            return stem
    raise unknown_name("metric", key, REGISTRY)
