"""The main job: from a model (or features) to every number of collapse, its optimum and its flags, in two passes.

Source -> statistics -> metrics -> result. The first pass collects class statistics, of the features, of the unit-norm features
and of named layers. The second pass, where the data can be read again, finds decisions and margins against the class means of the
training split.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from ._environment import command_line, environment
from ._errors import InputError, OptionError
from ._labels import checked_names
from ._memory import check_memory
from ._names import names_options
from ._progress import track
from ._split import Chosen, Head, Shared, Split
from .metrics import CollapseResult, Flag
from .probe import Classifier, disagreement_sentence
from .sources import (
    Array,
    Features,
    Loader,
    ModelOptions,
    Numbering,
    Rows,
    Source,
    array_tensor,
    number_classes,
    open_sources,
)
from .statistics import ClassStatistics


@overload
def measure(
    model: nn.Module,
    loader: Loader | Mapping[str, Loader],
    *,
    classifier: str | nn.Module | Classifier | None = None,
    layers: Sequence[str] | str = (),
    pool: str | Callable[[Tensor], Tensor] = "mean",
    mode: Literal["eval", "keep"] = "eval",
    forward: Callable[[nn.Module, Any], Any] | None = None,
    strict: bool = False,
    device: torch.device | str | None = None,
    ood: Loader | None = None,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    preset: str | None = None,
    min_samples: int = 1,
    exact_margins: bool | None = None,
    optimum: Literal["lookup", "solve"] | None = "lookup",
    scatter: Literal["auto", "full", "trace", "class"] = "auto",
    second_pass: bool = True,
    ignore_index: int = -100,
    nan: Literal["raise", "drop"] = "raise",
    seed: int = 0,
    progress: bool = True,
) -> CollapseResult: ...


@overload
def measure(
    model: Features | Mapping[str, Features],
    loader: None = None,
    *,
    weight: Array | None = None,
    bias: Array | None = None,
    renumber: bool = False,
    ood: Features | None = None,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    preset: str | None = None,
    min_samples: int = 1,
    exact_margins: bool | None = None,
    optimum: Literal["lookup", "solve"] | None = "lookup",
    scatter: Literal["auto", "full", "trace", "class"] = "auto",
    second_pass: bool = True,
    ignore_index: int = -100,
    nan: Literal["raise", "drop"] = "raise",
    seed: int = 0,
    progress: bool = True,
) -> CollapseResult: ...


@names_options
def measure(
    model: nn.Module | Features | Mapping[str, Features],
    loader: Loader | Mapping[str, Loader] | None = None,
    *,
    weight: Array | None = None,
    bias: Array | None = None,
    renumber: bool = False,
    classifier: str | nn.Module | Classifier | None = None,
    layers: Sequence[str] | str = (),
    pool: str | Callable[[Tensor], Tensor] = "mean",
    mode: Literal["eval", "keep"] = "eval",
    forward: Callable[[nn.Module, Any], Any] | None = None,
    strict: bool = False,
    device: torch.device | str | None = None,
    ood: Loader | Features | None = None,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    preset: str | None = None,
    min_samples: int = 1,
    exact_margins: bool | None = None,
    optimum: Literal["lookup", "solve"] | None = "lookup",
    scatter: Literal["auto", "full", "trace", "class"] = "auto",
    second_pass: bool = True,
    ignore_index: int = -100,
    nan: Literal["raise", "drop"] = "raise",
    seed: int = 0,
    progress: bool = True,
) -> CollapseResult:
    """Measure the collapse of a model on its data, or of features that are there already.

    The model is left exactly as it was (flags, buffers, hooks, random state). The classifier is found by running the
    first batch; say `classifier="name"` where it is ambiguous: that layer's output is compared with the model's, and a
    flag says where they differ. Under torchrun, with a process group initialised, each rank reads its own loader (or
    its own part of a file) and every rank returns the result of all.

    Args:
        model: a `torch.nn.Module`; or features: a path (safetensors, parquet, npz, npy; files, folders, shards), a
            `neucollapse.data.FeatureFile`, a pair (features, labels), or a mapping from split names to any of these.
        loader: for a model, an iterable of `(inputs, labels)`, or a mapping such as `{"train": ..., "test": ...}`.
            Decisions and test collapse use the class means of the split named `train`, or else of the first.
        weight: for features, classifier rows (K, d), with `bias` (K,), in place of those in the file.
        bias: (K,), beside a weight.
        renumber: for features, make labels that are sparse ids classes 0 to K - 1, in rising order over all splits.
        classifier: of a model, the name of the classifier.
        layers: of a model, names of inner layers to measure too, or `"auto"`; their keys end in `@layer:NAME`.
        pool: of a model, how inner outputs become one vector a sample; this and the next four as in
            `neucollapse.probe.feature_batches`.
        mode: of a model, `"eval"` or `"keep"`.
        forward: of a model, called as `forward(model, inputs)` in its place.
        strict: of a model, raise where this would warn.
        device: of a model, where inputs are moved.
        ood: a loader (or features) of data outside all classes, for NC5; its labels are not used.
        num_classes: K, if neither classifier nor labels tell.
        class_names: names of the classes, in order. Labels may be these names; those of features may be any strings,
            which are numbered in alphabetical order where `class_names` is not given.
        preset: only what one paper reports.
        min_samples: leave out classes of which the training split has fewer samples; a flag lists them.
        exact_margins: exact one-vs-rest margins beyond K = 2,000 too (`True`), or never (`False`).
        optimum: `"lookup"` the best known code, `"solve"` for one where none is proved and K d <= 5,000, or None.
        scatter: `"full"`, `"trace"`, or `"auto"`: full up to d = 8,192; or `"class"`: full, and of each class
            by itself too (K d^2 numbers), for the effective rank within classes.
        second_pass: read the data again for decisions and margins.
        ignore_index: label of samples to leave out.
        nan: what NaN or infinity in features does: `"raise"` or `"drop"`.
        seed: of the solver.
        progress: show a progress bar on standard error.

    Returns:
        A `CollapseResult`, a mapping from keys such as `"nc1/pinv"` or `"test/nc1/pinv"` to numbers.

    Raises:
        OptionError: an option has no use for a model, or for features. It is an `InputError` and a `TypeError`, as is every
            other error about an option; what else cannot be used is an `InputError`, NaN or infinity in the features a
            `NonFiniteError`, and a file that cannot be read a `FileFormatError`.

    Examples:
        >>> from neucollapse.geometry import simplex
        >>> labels = torch.arange(4).repeat(6)
        >>> result = measure((simplex(4)[labels], labels), weight=simplex(4), progress=False)
        >>> result["nc1/pinv"], result["nc4/mismatch"], result["accuracy/linear"]
        (0.0, 0.0, 1.0)
    """
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and isinstance(model, nn.Module):
            raise OptionError(f"{name}= needs features: a model is measured at its own classifier; see classifier=")
    given = ModelOptions(classifier, layers, pool, mode, forward, strict, device)
    chosen = Chosen(
        preset, exact_margins, optimum, scatter, second_pass, ignore_index, nan, seed, progress, min_samples
    )
    named = checked_names(class_names)
    sources = open_sources(model, loader, given, named or ())
    first = next(iter(sources.values()))
    head = _head(first, weight, bias)
    numbering = number_classes(
        sources,
        None if head[0] is None else len(head[0]),
        num_classes=num_classes,
        class_names=named,
        ignore_index=ignore_index,
        renumber=renumber,
    )
    given = replace(given, classifier=first.classifier)
    outside = None if ood is None else lambda: _outside(model, ood, first.dim, given, chosen)
    return _measured(sources, numbering, head, outside, chosen)


def _head(first: Source, weight: Array | None, bias: Array | None) -> Head:
    """Weight and bias of the classifier: those given, or those that came with the samples."""
    if weight is None and bias is None:
        W, b = first.head()
    else:
        W = first.head()[0] if weight is None else array_tensor(weight, "weight")
        b = None if bias is None else array_tensor(bias, "bias")
    if W is not None and W.ndim != 2:
        raise InputError(f"expected weight of shape (K, d), got {tuple(W.shape)}")
    if b is not None and W is None:
        raise OptionError("bias= needs weight=: the bias of a classifier alone measures nothing")
    if W is not None and b is not None and tuple(b.shape) != (len(W),):
        raise InputError(f"expected bias of shape ({len(W)},), one number for each row of weight, got {tuple(b.shape)}")
    if W is not None and W.shape[1] != first.dim:
        turned = ": its columns are the classes, so give weight.T" if W.shape[0] == first.dim else ""
        raise InputError(f"expected weight of shape (K, {first.dim}), got {tuple(W.shape)}{turned}")
    return W, b


def _measured(
    sources: dict[str, Source],
    numbering: Numbering,
    head: Head,
    outside: Callable[[], ClassStatistics] | None,
    chosen: Chosen,
) -> CollapseResult:
    """Both passes over every split, then the metrics of each, joined to one result."""
    K, dim = numbering.num_classes, _dimension(sources, numbering.num_classes)

    def rows(name: str, words: str) -> Iterator[Rows]:
        source = sources[name]
        return track(numbering.rows(source), source.batches(), f"{words} {name}", show=chosen.progress)

    def first_pass(left_out: Tensor | None = None) -> tuple[dict[str, Split], Split]:
        found = {name: Split(K, dim, chosen) for name in sources}
        for name, split in found.items():
            split.read(rows(name, "statistics"), left_out)
        return found, found["train" if "train" in found else next(iter(found))]

    splits, reference = first_pass()
    few = _few(list(splits.values()), reference, chosen.min_samples)
    if few.any() and all(source.repeatable for source in sources.values()):
        splits, reference = first_pass(few)
    for name, split in splits.items():
        if chosen.second_pass and sources[name].repeatable:
            split.decide(rows(name, "decisions"), reference, head)
    solved = reference.solved() if chosen.optimum == "solve" else None
    shared = Shared(None if outside is None else outside(), solved, few.nonzero()[:, 0].tolist())
    parts: dict[str, CollapseResult] = {}
    for name, split in splits.items():
        parts[name] = split.metrics(reference, head, shared, next(iter(parts.values()), None))
        if chosen.second_pass and not split.is_decided:
            parts[name].flags.append(_READ_ONCE)
    first = next(iter(sources.values())).classifier
    result = CollapseResult.join(parts, _info(numbering, dim, first, chosen.seed, parts))
    result.flags += _head_flags(first, numbering, head)
    for name, array in (*zip(("weight", "bias"), head, strict=True), ("target", reference.target(solved))):
        if array is not None:
            result.arrays[name] = array.detach().to("cpu", torch.float64)
    return result


def _dimension(sources: dict[str, Source], K: int) -> int:
    """The dimension of all splits, of which statistics of K classes fit into memory."""
    dims = {name: source.dim for name, source in sources.items()}
    if len(set(dims.values())) > 1:
        raise InputError(f"expected splits of one feature dimension, got {dims}")
    dim = next(iter(dims.values()))
    each = 2 * 8 * K * (2 * dim + 4)  # as they are and at unit norm; what is allocated one by one may fit, and all not
    check_memory(len(sources) * each, f"statistics of {K} classes in {dim} dimensions")
    return dim


def _few(splits: list[Split], reference: Split, min_samples: int) -> Tensor:
    """Which classes (K,) have too few samples, if any has a share in a (d, d) sum, out of which nothing comes again."""
    largest = int(reference.plain.counts.max())
    if min_samples < 1 or min_samples > max(1, largest):
        raise InputError(
            f"expected min_samples between 1 and {largest}, the samples of the largest class, got {min_samples}"
        )
    few = (reference.plain.counts < min_samples).cpu()
    every = [stats for split in splits for stats in split.every]
    counts = torch.stack([stats.counts.cpu() for stats in every]).amax(dim=0)
    few &= counts > 0
    in_sum = any(stats.scatter == "full" for stats in every) and bool((few & (counts > 1)).any())
    return few if in_sum and bool((~few & (counts > 0)).any()) else torch.zeros_like(few)


def _outside(
    model: nn.Module | Features | Mapping[str, Features],
    ood: Any,  # a loader beside a model, features beside features
    dim: int,
    options: ModelOptions,
    chosen: Chosen,
) -> ClassStatistics:
    """Statistics of out-of-distribution features, all of them one class."""
    opened = open_sources(model, ood, options) if isinstance(model, nn.Module) else open_sources(ood, None, options)
    if len(opened) > 1:
        raise InputError(f"expected one set of data outside all classes, got the splits {', '.join(opened)} in ood=")
    (source,) = opened.values()
    if source.dim != dim:
        raise InputError(f"expected data outside all classes of dimension {dim}, got {source.dim} in ood=")
    split = Split(1, dim, replace(chosen, scatter="trace", ignore_index=-100))
    split.read(rows._replace(labels=torch.zeros_like(rows.labels), layers={}) for rows in source.stream())
    return split.plain


def _info(
    numbering: Numbering, dim: int, classifier: Classifier | None, seed: int, parts: dict[str, CollapseResult]
) -> dict[str, Any]:
    return {
        "num_classes": numbering.num_classes,
        "dim": dim,
        "class_names": numbering.class_names,
        "classifier": None if classifier is None else classifier.name,
        "seed": seed,
        "command": command_line(),
        "environment": environment(),
        "citations": sorted({key for part in parts.values() for key in part.info["citations"]} | {"neucollapse"}),
    }


_READ_ONCE = Flag(
    "one_pass_only",
    "The data could be read once only (an iterator): decisions and margins were not measured.",
    severity="warning",
)


def _head_flags(classifier: Classifier | None, numbering: Numbering, head: Head) -> list[Flag]:
    """What a reader must know of the classifier, whatever the split."""
    flags = []
    if classifier is not None and classifier.disagreement:
        flags.append(Flag("classifier_differs", f"{disagreement_sentence(classifier)}.", severity="warning"))
    if classifier is not None and classifier.is_affine is False:
        sentence = (
            f"The classifier {classifier} does not return W h + b (it normalises inside, say): what compares its rows with "
            "class means uses W as it is stored; decisions and accuracies are its own."
        )
        flags.append(Flag("classifier_not_affine", sentence))
    if numbering.is_alphabetical and head[0] is not None:
        sentence = (
            "Labels are names, and the rows of weight are taken to follow them in alphabetical order: class_names= says "
            "another order."
        )
        flags.append(Flag("alphabetical_rows", sentence, severity="warning"))
    return flags
