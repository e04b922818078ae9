"""Where features come from: a model and a loader, files, or arrays, all read as one stream of rows, twice if need be."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, Union

import numpy as np
import torch
from torch import Tensor, nn

from ._errors import ClassifierWarning, InputError, OptionError
from ._labels import class_names_of, flat_labels

if TYPE_CHECKING:
    from ._labels import Labels
    from .data import FeatureFile
    from .probe import Classifier, FeatureBatches

T = TypeVar("T")
Array = Union[Tensor, "np.ndarray[Any, Any]", Sequence[Sequence[float]], Sequence[float]]
"""What may stand for numbers: a tensor, anything NumPy reads as an array, nested lists."""
Features = Union[str, Path, "FeatureFile", "tuple[Array, Labels]"]
"""Features that are there already, with their labels."""
Loader = Iterable[Any]
"""An iterable of batches; a batch may be anything that the model takes."""


class Rows(NamedTuple):
    """Rows of a stream: features (N, d), labels (N,), the model's logits (N, K) if it has any, and inner layers."""

    features: Tensor
    labels: Tensor
    logits: Tensor | None = None
    layers: Mapping[str, Tensor] = {}

    def keep(self, mask: Tensor) -> "Rows":
        """The rows where ``mask`` (N,) is true."""
        logits = None if self.logits is None else self.logits[mask]
        layers = {name: features[mask] for name, features in self.layers.items()}
        return Rows(self.features[mask], self.labels[mask], logits, layers)


@dataclass(frozen=True)
class ModelOptions:
    """What only a model has; as in ``neucollapse.probe.feature_batches``."""

    classifier: "str | nn.Module | Classifier | None" = None
    layers: Sequence[str] | str = ()
    pool: str | Callable[[Tensor], Tensor] = "mean"
    mode: str = "eval"
    forward: Callable[[nn.Module, Any], Any] | None = None
    strict: bool = False
    device: torch.device | str | None = None

    def refuse(self) -> None:
        """Raise ``OptionError`` if any of these was given."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default and not (field.name == "layers" and not len(value)):
                raise OptionError(f"{field.name}= needs a model, and measure was given features: leave it out")


@dataclass
class ModelSource:
    """A model over a loader. Both passes are one object's, which warns if the second differs from the first."""

    features: "FeatureBatches"
    class_names: list[str] | None = None

    @property
    def repeatable(self) -> bool:
        return self.features.repeatable

    @property
    def classifier(self) -> "Classifier | None":
        return self.features.classifier

    @property
    def weight(self) -> Tensor | None:
        return self.features.classifier.weight

    @property
    def bias(self) -> Tensor | None:
        return self.features.classifier.bias

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
    places: Tensor | None = None
    repeatable: bool = True
    classifier: "Classifier | None" = None

    @property
    def weight(self) -> Tensor | None:
        return self.file.weight

    @property
    def bias(self) -> Tensor | None:
        return self.file.bias

    @property
    def texts(self) -> list[str] | None:
        """The strings that the labels count, if they are strings."""
        return list(self.file.parts[0].names) or None

    @property
    def class_names(self) -> list[str] | None:
        """Names that are stored in an order, beside the labels."""
        stored = any(part.features.class_names() for part in self.file.parts)
        return self.file.class_names if stored else None

    @property
    def dim(self) -> int:
        return self.file.dim

    def labels(self) -> Iterator[Tensor]:
        yield from self.file.labels()

    def stream(self) -> Iterator[Rows]:
        rank, ranks = ranks_now()
        for features, labels in self.file.shard(rank, ranks) if ranks > 1 else self.file:
            yield Rows(features, labels)

    def batches(self) -> int | None:
        return _length(self.file)


@dataclass
class ArraySource:
    """Features (N, d) and labels (N,) in memory; ``texts`` are the strings that the labels count, if they were strings.

    ``places``, once they are known, are the class numbers of those strings.
    """

    features: Tensor
    own_labels: Tensor
    texts: list[str] | None = None
    places: Tensor | None = None
    repeatable: bool = True
    classifier: "Classifier | None" = None
    weight: Tensor | None = None
    bias: Tensor | None = None
    class_names: list[str] | None = None

    @property
    def dim(self) -> int:
        return self.features.shape[-1]

    def labels(self) -> Iterator[Tensor]:
        yield self.own_labels

    def stream(self) -> Iterator[Rows]:
        yield Rows(self.features, self.own_labels)

    def batches(self) -> int | None:
        return 1


Source = ModelSource | FileSource | ArraySource
"""A set of samples that can be streamed; ``repeatable`` says whether more than once."""


def ranks_now() -> tuple[int, int]:
    """This process's rank and the number of ranks: (0, 1) without an initialised process group."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def from_all_ranks(thing: T) -> list[T]:
    """What each rank has in place of ``thing``, in the order of ranks."""
    ranks = ranks_now()[1]
    if ranks == 1:
        return [thing]
    import torch.distributed as dist

    everyone: list[Any] = [None] * ranks
    dist.all_gather_object(everyone, thing)
    return everyone


def open_sources(
    model: nn.Module | Features | Mapping[str, Features],
    data: Loader | Mapping[str, Loader] | None,
    options: ModelOptions,
    class_names: Sequence[str] = (),
) -> dict[str, Source]:
    """One source a split, from what ``measure`` was given; one unnamed split has the name ``""``."""
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
    if isinstance(data, Mapping) and any(
        not isinstance(part, Iterable) or isinstance(part, str) for part in data.values()
    ):
        raise InputError('expected a loader, or a mapping from split names to loaders such as {"train": loader}')
    return _model_sources(model, _named(data if isinstance(data, Mapping) else {"": data}), options, class_names)


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
    from .data import feature_splits, open_features

    splits = feature_splits(features)
    return {split: open_features(features, split=split) for split in splits} if splits else {"": features}


def _feature_source(features: Features) -> Source:
    from .data import FeatureFile, open_features

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
    """Numbers as a tensor in one piece, in their own precision; Python's are float64."""
    from .probe import tensor_of, whole

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
    from .probe import feature_batches

    sources: dict[str, Source] = {}
    for name, loader in loaders.items():
        given = {field.name: getattr(options, field.name) for field in fields(options)}
        allow_empty = ranks_now()[1] > 1
        batches = feature_batches(model, loader, logits=True, allow_empty=allow_empty, class_names=class_names, **given)
        sources[name] = ModelSource(batches)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ClassifierWarning)  # the result has a flag that says so
            options = replace(options, classifier=batches.classifier)
    return sources


def _length(stream: Any) -> int | None:
    try:
        return len(stream)
    except TypeError:
        return None
