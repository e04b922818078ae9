"""Open what `measure` was given: one source a split."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import Tensor, nn

from .._errors import ClassifierWarning, InputError
from .._labels import class_names_of, flat_labels
from ..data import FeatureFile, feature_splits, open_features
from ..probe import feature_batches, tensor_of, whole
from ._rows import Array, Features, Loader, ranks_now
from ._sources import ArraySource, FileSource, ModelOptions, ModelSource, Source

T = TypeVar("T")


def open_sources(
    model: nn.Module | Features | Mapping[str, Features],
    data: Loader | Mapping[str, Loader] | None,
    options: ModelOptions,
    class_names: Sequence[str] = (),
) -> dict[str, Source]:
    """One source a split, from what `measure` was given; one unnamed split has the name `""`.

    Features with an option that only a model has are refused with an `OptionError`.

    Raises:
        InputError: what was given is neither a model with a loader nor features.
    """
    if not isinstance(model, nn.Module):
        if data is not None:
            kind = type(model).__name__
            raise InputError(f"expected measure(model, loader) or measure(features), got {kind} and a second argument")
        options.refuse()
        parts = model if isinstance(model, Mapping) else _file_splits(model)
        if {"features", "labels"} <= set(parts):
            raise InputError("expected features and labels as a pair, measure((features, labels)), got a mapping")
        return {name: _feature_source(part) for name, part in _named(parts).items()}
    if data is None:
        raise InputError("expected a loader beside the model: measure(model, loader)")
    loaders = data if isinstance(data, Mapping) else {"": data}
    if isinstance(data, Mapping) and any(
        not isinstance(one, Iterable) or isinstance(one, str) for one in data.values()
    ):
        raise InputError('expected a loader, or a mapping from split names to loaders such as {"train": loader}')
    return _model_sources(model, _named(loaders), options, class_names)


def _named(parts: Mapping[str, T]) -> Mapping[str, T]:
    if not parts:
        raise InputError("expected at least one split, got an empty mapping")
    for name in parts:
        if not isinstance(name, str) or "/" in name or "@" in name or (not name and len(parts) > 1):
            raise InputError(f"expected names of splits without '/' and '@', got {name!r}")
    return parts


def _file_splits(features: Features) -> dict[str, Features]:
    if not isinstance(features, str | Path):
        return {"": features}
    return {split: open_features(features, split=split) for split in feature_splits(features)} or {"": features}


def _feature_source(features: Features) -> Source:
    if isinstance(features, FeatureFile):
        return FileSource(features)
    if isinstance(features, str | Path):
        return FileSource(open_features(features))
    if isinstance(features, tuple | list) and len(features) == 2:
        X = array_tensor(features[0], "features")
        if X.ndim < 2:
            raise InputError(f"expected features of shape (N, d), got {tuple(X.shape)}")
        labels, texts = class_names_of(features[1])
        return ArraySource(X.reshape(-1, X.shape[-1]), flat_labels(labels, X.shape[:-1]), texts)
    raise InputError(
        f"expected a model, a path to features, (features, labels), or a mapping from split names to these, got "
        f"{type(features).__name__}"
    )


def array_tensor(value: Array, name: str) -> Tensor:
    """Numbers as a tensor in one piece, in the precision that they have; Python's are float64."""
    if isinstance(value, Tensor):
        return whole(value.detach())
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"expected {name} as numbers in one array, got {error}") from None
    if array.dtype.kind not in "biuf":
        raise InputError(f"expected {name} as numbers in one array, got {type(value).__name__} of {array.dtype}")
    return tensor_of(array)


def _model_sources(
    model: nn.Module, loaders: Mapping[str, Loader], options: ModelOptions, class_names: Sequence[str]
) -> dict[str, Source]:
    """Every split is measured at the classifier that the first one's first batch has shown."""
    sources: dict[str, Source] = {}
    for name, loader in loaders.items():
        batches = feature_batches(
            model, loader, logits=True, allow_empty=ranks_now()[1] > 1, class_names=class_names, **vars(options)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ClassifierWarning)  # the result has a flag that says so
            sources[name] = ModelSource(batches)
        options = replace(options, classifier=sources[name].classifier)
    return sources
