"""Where features come from: a model and a loader, files, or tensors, all read as one stream of rows, twice if need be."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from ._errors import InputError

if TYPE_CHECKING:
    from .data import FeatureFile
    from .probe import FeatureBatches


class Rows(NamedTuple):
    """Rows of a stream: features (N, d), labels (N,), the model's logits (N, K) if it has any, and inner layers."""

    features: Tensor
    labels: Tensor
    logits: Tensor | None = None
    layers: Mapping[str, Tensor] = {}


@dataclass
class ModelSource:
    """A model over a loader. Both passes are one object's, which warns if the second differs from the first."""

    features: "FeatureBatches"
    class_names: list[str] | None = None

    @property
    def repeatable(self) -> bool:
        return self.features.repeatable

    @property
    def classifier(self) -> str | None:
        return self.features.classifier.name

    @property
    def weight(self) -> Tensor | None:
        return self.features.classifier.weight

    @property
    def bias(self) -> Tensor | None:
        return self.features.classifier.bias

    @property
    def num_classes(self) -> int:
        return self.features.classifier.num_classes

    @property
    def dim(self) -> int:
        return self.features.classifier.dim

    def stream(self) -> Iterator[Rows]:
        for batch in self.features:
            yield Rows(batch.features, batch.labels, batch.logits, batch.layers)

    def batches(self) -> int | None:
        return _length(self.features)


@dataclass
class FileSource:
    """Features in files; under torchrun each rank reads its own contiguous part."""

    file: "FeatureFile"
    repeatable: bool = True
    classifier: str | None = None

    @property
    def weight(self) -> Tensor | None:
        return self.file.weight

    @property
    def bias(self) -> Tensor | None:
        return self.file.bias

    @property
    def class_names(self) -> list[str] | None:
        return self.file.class_names

    @property
    def num_classes(self) -> int:
        return self.file.num_classes if self.weight is None else len(self.weight)

    @property
    def dim(self) -> int:
        return self.file.dim

    def stream(self) -> Iterator[Rows]:
        rank, ranks = ranks_now()
        for features, labels in self.file.shard(rank, ranks) if ranks > 1 else self.file:
            yield Rows(features, labels)

    def batches(self) -> int | None:
        return _length(self.file)


@dataclass
class TensorSource:
    """Features and labels in memory."""

    features: Tensor
    labels: Tensor
    repeatable: bool = True
    classifier: str | None = None
    weight: Tensor | None = None
    bias: Tensor | None = None
    class_names: list[str] | None = None

    @property
    def num_classes(self) -> int:
        return int(self.labels.max()) + 1 if self.labels.numel() else 1

    @property
    def dim(self) -> int:
        return self.features.shape[-1]

    def stream(self) -> Iterator[Rows]:
        yield Rows(self.features, self.labels)

    def batches(self) -> int | None:
        return 1


Source = ModelSource | FileSource | TensorSource
"""A set of samples that can be streamed; ``repeatable`` says whether more than once."""


def ranks_now() -> tuple[int, int]:
    """This process's rank and the number of ranks: (0, 1) without an initialised process group."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def open_sources(model: Any, data: Any, **options: Any) -> dict[str, Source]:
    """One source a split, from what ``measure`` was given; one unnamed split has the name ``""``."""
    if not isinstance(model, nn.Module):
        if data is not None:
            kind = type(model).__name__
            raise InputError(f"expected measure(model, loader) or measure(features), got {kind} and a second argument")
        parts = model if isinstance(model, Mapping) else _file_splits(model)
        return _named(parts, _feature_source)
    if data is None:
        raise InputError("expected a loader beside the model: measure(model, loader)")
    if isinstance(data, Mapping) and any(
        not isinstance(part, Iterable) or isinstance(part, str) for part in data.values()
    ):
        raise InputError('expected a loader, or a mapping from split names to loaders such as {"train": loader}')
    parts = data if isinstance(data, Mapping) else {"": data}
    return _named(parts, lambda loader: _model_source(model, loader, **options))


def _named(parts: Mapping[str, Any], open_one: Any) -> dict[str, Source]:
    if not parts:
        raise InputError("expected at least one split, got an empty mapping")
    for name in parts:
        if not isinstance(name, str) or "/" in name or "@" in name or (not name and len(parts) > 1):
            raise InputError(f"expected names of splits without '/' and '@', got {name!r}")
    return {name: open_one(part) for name, part in parts.items()}


def _file_splits(features: Any) -> dict[str, Any]:
    if not isinstance(features, str | Path):
        return {"": features}
    from .data import feature_splits, open_features

    splits = feature_splits(features)
    return {split: open_features(features, split=split) for split in splits} if splits else {"": features}


def _feature_source(features: Any) -> Source:
    from .data import FeatureFile, open_features

    if isinstance(features, FeatureFile):
        return FileSource(features)
    if isinstance(features, str | Path):
        return FileSource(open_features(features))
    if isinstance(features, tuple | list) and len(features) == 2:
        X, y = (torch.as_tensor(part) for part in features)
        return TensorSource(X, y)
    raise InputError(
        f"expected a model, a path to features, (features, labels), or a mapping from split names to these, got "
        f"{type(features).__name__}"
    )


def _model_source(model: nn.Module, loader: Any, **options: Any) -> ModelSource:
    from .probe import feature_batches

    options["allow_empty"] = ranks_now()[1] > 1
    if isinstance(loader, Iterator):  # the classifier must be known before the only pass: its first batch tells
        first = list(islice(loader, 1))
        options["classifier"] = feature_batches(model, first, **options).classifier
        loader = chain(first, loader)
    return ModelSource(feature_batches(model, loader, logits=True, **options))


def _length(stream: Any) -> int | None:
    try:
        return len(stream)
    except TypeError:
        return None
