"""The main job: from a model (or features) to every number of collapse, its optimum and its flags, in two passes.

First pass: class statistics, of the features, of the unit-norm features and of named layers. Second pass, where the
data can be read again: decisions and margins, against the class means of the training split. In between, nothing of
size N is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import torch
from torch import Tensor, nn

from ._collect import Collected
from ._errors import InputError, OptionError
from ._names import names_options
from ._numbering import number_classes
from ._passes import Chosen, two_passes
from ._sources import Array, Features, Loader, ModelOptions, ModelSource, Source, array_tensor, open_sources
from .metrics import CollapseResult
from .probe import Classifier
from .statistics import ClassStatistics


@overload
def measure(
    model: nn.Module,
    loader: Loader | Mapping[str, Loader],
    *,
    classifier: str | nn.Module | Classifier | None = None,
    layers: Sequence[str] | str = (),
    pool: str | Callable[[Tensor], Tensor] = "mean",
    mode: str = "eval",
    forward: Callable[[nn.Module, Any], Any] | None = None,
    strict: bool = False,
    device: torch.device | str | None = None,
    ood: Loader | None = None,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    preset: str | None = None,
    min_samples: int = 1,
    exact_margins: bool | None = None,
    optimum: str | None = "lookup",
    scatter: str = "auto",
    second_pass: bool = True,
    ignore_index: int = -100,
    nan: str = "raise",
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
    optimum: str | None = "lookup",
    scatter: str = "auto",
    second_pass: bool = True,
    ignore_index: int = -100,
    nan: str = "raise",
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
    mode: str = "eval",
    forward: Callable[[nn.Module, Any], Any] | None = None,
    strict: bool = False,
    device: torch.device | str | None = None,
    ood: Loader | Features | None = None,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    preset: str | None = None,
    min_samples: int = 1,
    exact_margins: bool | None = None,
    optimum: str | None = "lookup",
    scatter: str = "auto",
    second_pass: bool = True,
    ignore_index: int = -100,
    nan: str = "raise",
    seed: int = 0,
    progress: bool = True,
) -> CollapseResult:
    """Measure the collapse of a model on its data, or of features that are there already.

    The model is left exactly as it was (flags, buffers, hooks, random state). The classifier is found by running the
    first batch; say ``classifier="name"`` where it is ambiguous: that layer's output is compared with the model's, and a
    flag says where they differ. Under torchrun, with a process group initialised, each rank reads its own loader (or
    its own part of a file) and every rank returns the result of all.

    Args:
        model: a ``torch.nn.Module``; or features: a path (safetensors, parquet, npz, npy; files, folders, shards), a
            ``neucollapse.data.FeatureFile``, a pair (features, labels), or a mapping from split names to any of these.
        loader: for a model, an iterable of ``(inputs, labels)``, or a mapping such as ``{"train": ..., "test": ...}``.
            Decisions and test collapse use the class means of the split named ``train``, or else of the first.
        weight: for features, classifier rows (K, d), with ``bias`` (K,), in place of those in the file.
        bias: (K,), beside a weight.
        renumber: for features, make labels that are sparse ids classes 0 to K - 1, in rising order over all splits.
        classifier: of a model, the name of the classifier.
        layers: of a model, names of inner layers to measure too, or ``"auto"``; their keys end in ``@layer:NAME``.
        pool: of a model, how inner outputs become one vector a sample; this and the next four as in
            ``neucollapse.probe.feature_batches``.
        mode: of a model, ``"eval"`` or ``"keep"``.
        forward: of a model, called as ``forward(model, inputs)`` in its place.
        strict: of a model, raise where this would warn.
        device: of a model, where inputs are moved.
        ood: a loader (or features) of data outside all classes, for NC5; its labels are not used.
        num_classes: K, if neither classifier nor labels tell.
        class_names: names of the classes, in order. Labels may be these names; those of features may be any strings,
            which are numbered in alphabetical order where ``class_names`` is not given.
        preset: only what one paper reports.
        min_samples: leave out classes of which the training split has fewer samples; a flag lists them.
        exact_margins: exact one-vs-rest margins beyond K = 2,000 too (``True``), or never (``False``).
        optimum: ``"lookup"`` the best known code, ``"solve"`` for one where none is proved and K d <= 5,000, or None.
        scatter: ``"full"``, ``"trace"``, or ``"auto"``: full up to d = 8,192; or ``"class"``: full, and of each class
            by itself too (K d^2 numbers), for the effective rank within classes.
        second_pass: read the data again for decisions and margins.
        ignore_index: label of samples to leave out.
        nan: what NaN or infinity in features does: ``"raise"`` or ``"drop"``.
        seed: of the solver.
        progress: show a progress bar on standard error.

    Returns:
        A ``CollapseResult``, a mapping from keys such as ``"nc1/pinv"`` or ``"test/nc1/pinv"`` to numbers.

    Raises:
        InputError: what was given cannot be used; the sentence says why. An option that does not exist, or that a model
            or features have no use for, is an ``OptionError``, which is a ``TypeError`` too.
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
    if scatter not in ("auto", "full", "trace", "class"):
        raise InputError(f'expected scatter to be "auto", "full", "trace" or "class", got {scatter!r}')
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and isinstance(model, nn.Module):
            raise OptionError(f"{name}= needs features: a model is measured at its own classifier; see classifier=")
    options = ModelOptions(classifier, layers, pool, mode, forward, strict, device)
    chosen = Chosen(
        preset, exact_margins, optimum, scatter, second_pass, ignore_index, nan, seed, progress, min_samples
    )
    sources = open_sources(model, loader, options, class_names or ())
    first = next(iter(sources.values()))
    if isinstance(first, ModelSource):
        options = replace(options, classifier=first.classifier)
    W, b = _classifier(first, weight, bias)
    numbering = number_classes(
        sources,
        None if W is None else len(W),
        num_classes=num_classes,
        class_names=class_names,
        ignore_index=ignore_index,
        renumber=renumber,
    )
    outside = None if ood is None else lambda: _outside(model, ood, first.dim, options, chosen)
    return two_passes(sources, numbering, (W, b), outside, chosen)


def _classifier(first: Source, weight: Array | None, bias: Array | None) -> tuple[Tensor | None, Tensor | None]:
    W = first.weight if weight is None else array_tensor(weight, "weight")
    b = (first.bias if weight is None else None) if bias is None else array_tensor(bias, "bias")
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


def _outside(model: Any, ood: Any, dim: int, options: ModelOptions, chosen: Chosen) -> ClassStatistics:
    """Statistics of out-of-distribution features, all of them one class."""
    data = (model, ood) if isinstance(model, nn.Module) else (ood, None)
    opened = open_sources(*data, options)
    if len(opened) > 1:
        raise InputError(f"expected one set of data outside all classes, got the splits {', '.join(opened)} in ood=")
    (source,) = opened.values()
    if source.dim != dim:
        raise InputError(f"expected data outside all classes of dimension {dim}, got {source.dim} in ood=")
    collected = Collected(1, dim, "trace", {**chosen.statistics, "ignore_index": -100})
    collected.read(rows._replace(labels=torch.zeros_like(rows.labels), layers={}) for rows in source.stream())
    return collected.statistics("")[0]
