"""The main job: from a model (or features) to every number of collapse, its optimum and its flags, in two passes.

First pass: class statistics, of the features, of the unit-norm features and of named layers. Second pass, where the
data can be read again: decisions and margins, against the class means of the training split. In between, nothing of
size N is kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from . import geometry
from ._collect import Collected, across_ranks
from ._environment import command_line, environment
from ._errors import InputError
from ._progress import track
from ._sources import Source, open_sources
from .metrics import CollapseResult, Flag, collapse_metrics, names
from .statistics import ClassStatistics

_SOLVE_UP_TO = 5000  # K d
_DRAW_UP_TO = 2000  # classes whose optimal code is aligned for the report


def measure(
    model: Any,
    loader: Any = None,
    *,
    weight: Any = None,
    bias: Any = None,
    classifier: Any = None,
    layers: Sequence[str] | str = (),
    ood: Any = None,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    preset: str | None = None,
    exact_margins: bool | None = None,
    optimum: str | None = "lookup",
    scatter: str = "auto",
    second_pass: bool = True,
    ignore_index: int = -100,
    nan: str = "raise",
    seed: int = 0,
    progress: bool = True,
    **probe_options: Any,
) -> CollapseResult:
    """Measure the collapse of a model on its data, or of features that are there already.

    The model is left exactly as it was (flags, buffers, hooks, random state). The classifier is found by running the
    first batch; say ``classifier="name"`` where it is ambiguous. Under torchrun, with a process group initialised,
    each rank reads its own loader (or its own part of a file) and every rank returns the result of all.

    Args:
        model: a ``torch.nn.Module``; or features: a path (safetensors, parquet, npz, npy; files, folders, shards), a
            ``neucollapse.data.FeatureFile``, a pair (features, labels), or a mapping from split names to any of these.
        loader: for a model, an iterable of ``(inputs, labels)``, or a mapping such as ``{"train": ..., "test": ...}``.
            Decisions and test collapse use the class means of the split named ``train``, or else of the first.
        weight: for features, classifier rows (K, d) and ``bias`` (K,), if the file holds none.
        classifier: name of the classifier in the model.
        layers: names of inner layers to measure too, or ``"auto"``; their keys end in ``@layer:NAME``.
        ood: a loader (or features) of data outside all classes, for NC5; its labels are not used.
        num_classes: K, if neither classifier nor labels tell.
        class_names: names for the report.
        preset: only what one paper reports.
        exact_margins: exact one-vs-rest margins beyond K = 2,000 too (``True``), or never (``False``).
        optimum: ``"lookup"`` the best known code, ``"solve"`` for one where none is proved and K d <= 5,000, or None.
        scatter: ``"full"``, ``"trace"``, or ``"auto"``: full up to d = 8,192.
        second_pass: read the data again for decisions and margins.
        ignore_index: label of samples to leave out.
        nan: what NaN or infinity in features does: ``"raise"`` or ``"drop"``.
        seed: of the solver.
        progress: show a progress bar on standard error.
        probe_options: passed to ``neucollapse.probe.feature_batches``: ``mode``, ``pool``, ``forward``, ``strict``,
            ``device``.

    Returns:
        A ``CollapseResult``, a mapping from keys such as ``"nc1/pinv"`` or ``"test/nc1/pinv"`` to numbers.

    Raises:
        InputError: what was given cannot be used; the sentence says why.
        NonFiniteError: NaN or infinity in the features.
        FileFormatError: a file cannot be used.

    Example:
        >>> from neucollapse.geometry import simplex
        >>> labels = torch.arange(4).repeat(6)
        >>> result = measure((simplex(4)[labels], labels), weight=simplex(4), progress=False)
        >>> result["nc1/pinv"], result["nc4/mismatch"], result["accuracy/linear"]
        (0.0, 0.0, 1.0)
    """
    if optimum not in ("lookup", "solve", None):
        raise InputError(f'expected optimum to be "lookup", "solve" or None, got {optimum!r}')
    sources = open_sources(model, loader, classifier=classifier, layers=layers, **probe_options)
    first = next(iter(sources.values()))
    dims = {name: source.dim for name, source in sources.items()}
    if len(set(dims.values())) > 1:
        raise InputError(f"expected splits of one feature dimension, got {dims}")
    W = first.weight if weight is None else torch.as_tensor(weight)
    b = (first.bias if weight is None else None) if bias is None else torch.as_tensor(bias)
    if W is not None and W.ndim != 2:
        raise InputError(f"expected weight of shape (K, d), got {tuple(W.shape)}")
    K = num_classes or (len(W) if W is not None else _agreed_classes(sources))
    settings = {"ignore_index": ignore_index, "nan": nan}
    collected = {name: Collected(K, source.dim, scatter, settings) for name, source in sources.items()}
    for name, source in sources.items():
        collected[name].read(track(source.stream(), source.batches(), f"statistics {name}", show=progress))
    reference = collected["train" if "train" in collected else next(iter(collected))]
    for name, source in sources.items():
        if second_pass and source.repeatable:
            batches = track(source.stream(), source.batches(), f"decisions {name}", show=progress)
            collected[name].decide(batches, reference, W, b)
    outside = None if ood is None else _outside(model, ood, first.dim, settings, probe_options)
    solved = _solve(reference, seed) if optimum == "solve" else None
    common = {"ood": outside, "solved": solved, "optimum": optimum is not None, "exact_margins": exact_margins}
    parts: dict[str, CollapseResult] = {}
    for name, source in sources.items():
        parts[name] = _metrics(collected[name], reference, W, b, next(iter(parts.values()), None), preset, common)
        if second_pass and not source.repeatable:
            sentence = "The data could be read once only (an iterator): decisions and margins were not measured."
            parts[name].flags.append(Flag("one_pass_only", sentence, severity="warning"))
    info = {
        "num_classes": K,
        "dim": first.dim,
        "class_names": list(class_names) if class_names else first.class_names,
        "classifier": first.classifier,
        "seed": seed,
        "command": command_line(),
        "environment": environment(),
        "citations": sorted({key for part in parts.values() for key in part.info["citations"]} | {"neucollapse"}),
    }
    result = CollapseResult.join(parts, info)
    for name, rows in (("weight", W), ("bias", b), ("target", _target(reference, solved, optimum))):
        if rows is not None:
            result.arrays[name] = rows.detach().to("cpu", torch.float64)
    return result


def _agreed_classes(sources: Mapping[str, Source]) -> int:
    """Classes that the labels of all splits and ranks tell of."""
    return across_ranks(max(source.num_classes for source in sources.values()))


def _metrics(
    own: Collected,
    reference: Collected,
    W: Tensor | None,
    b: Tensor | None,
    before: CollapseResult | None,
    preset: str | None,
    common: dict[str, Any],
) -> CollapseResult:
    """The metrics of one split: on the features, then on each inner layer. ``before`` is the split already done."""
    chosen = names(preset)
    # The classifier is the same for every split: its numbers are copied, not computed again.
    keys = chosen if before is None else [key for key in chosen if not key.endswith("@weight")]
    stats, normalized = own.statistics("")
    options = {"decisions": own.decisions.get(""), "reference": reference.statistics("")[0]}
    result = collapse_metrics(stats, W, b, normalized, keys=keys, **options, **common)
    if before is not None:
        for mine, other in zip(result.tables(), before.tables(), strict=True):
            mine.update({key: value for key, value in other.items() if key.endswith("@weight")})
    for layer in own.layers:
        stats, normalized = own.statistics(layer)
        options = {"decisions": own.decisions.get(layer), "reference": reference.statistics(layer)[0]}
        inner_keys = [key for key in keys if _suits_a_layer(key)]
        inner = collapse_metrics(stats, None, None, normalized, keys=inner_keys, **options, **{**common, "ood": None})
        for mine, other in zip(result.tables()[:3], inner.tables()[:3], strict=True):
            mine.update({f"{key}@layer:{layer}": value for key, value in other.items()})
        result.flags += [Flag(f.code, f.sentence, f"{f.where}@layer:{layer}", f.severity) for f in inner.flags]
    result.arrays.update(own.sample())
    return result


def _suits_a_layer(key: str) -> bool:
    """Whether a metric needs no classifier (and no out-of-distribution data), so that an inner layer has it."""
    without = ("nc3/", "gnc3/", "nc4/", "nc5/", "bias/", "mse/", "margins/")
    return not key.endswith("@weight") and not key.startswith(without) and key != "accuracy/linear"


def _outside(
    model: Any, ood: Any, dim: int, settings: dict[str, Any], probe_options: dict[str, Any]
) -> ClassStatistics:
    """Statistics of out-of-distribution features, all of them one class."""
    data = (model, ood) if isinstance(model, torch.nn.Module) else (ood, None)
    (source,) = open_sources(*data, **probe_options).values()
    collected = Collected(1, dim, "trace", {**settings, "ignore_index": -100})
    collected.read(rows._replace(labels=torch.zeros_like(rows.labels), layers={}) for rows in source.stream())
    return collected.statistics("")[0]


def _solve(reference: Collected, seed: int) -> geometry.Optimum | None:
    stats = reference.statistics("")[0]
    K, d = int(stats.present.sum()), stats.dim
    if K < 2 or K * d > _SOLVE_UP_TO or geometry.best_known(K, d).status == "proved":
        return None
    return geometry.solve(geometry.SoftmaxCode(K, d), seed=seed, progress=False).optimum()


def _target(reference: Collected, solved: geometry.Optimum | None, optimum: str | None) -> Tensor | None:
    """The best known code, turned and numbered to lie as close as possible to the class means."""
    means = reference.statistics("")[1].class_means.cpu()
    K, d = means.shape
    if optimum is None or K < 2 or K > _DRAW_UP_TO or not bool(torch.isfinite(means).all()):
        return None
    known = geometry.best_known(K, d)
    points = known.points if known.points is not None else None if solved is None else solved.points
    return None if points is None else geometry.align(points, means)
