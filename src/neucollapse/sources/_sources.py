"""The three kinds of source: a model over a loader, files, arrays."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .._errors import OptionError
from ..data import FeatureFile
from ..probe import Classifier, FeatureBatches
from ._rows import Rows, ranks_now


@dataclass(frozen=True)
class ModelOptions:
    """What only a model has; as in `neucollapse.probe.feature_batches`."""

    classifier: str | nn.Module | Classifier | None = None
    layers: Sequence[str] | str = ()
    pool: str | Callable[[Tensor], Tensor] = "mean"
    mode: Literal["eval", "keep"] = "eval"
    forward: Callable[[nn.Module, Any], Any] | None = None
    strict: bool = False
    device: torch.device | str | None = None

    def refuse(self) -> None:
        """Raise `OptionError` if any of these was given."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default and not (field.name == "layers" and not len(value)):
                raise OptionError(f"{field.name}= needs a model, and measure was given features: leave it out")


class Source(ABC):
    """A set of samples that can be streamed; `repeatable` says whether more than once.

    `texts` are the strings that the labels count, if they were strings; `places`, once they are known, are the class
    numbers of those strings.
    """

    dim: int
    repeatable = True
    classifier: Classifier | None = None
    texts: list[str] | None = None
    places: Tensor | None = None

    def head(self) -> tuple[Tensor | None, Tensor | None]:
        """The weight and the bias of the classifier that comes with the samples."""
        return None, None

    def class_names(self) -> list[str] | None:
        """Names that are stored in an order, beside the labels."""
        return None

    @abstractmethod
    def stream(self) -> Iterator[Rows]:
        """The rows, batch by batch."""

    @abstractmethod
    def labels(self) -> Iterator[Tensor]:
        """The labels alone, block by block."""

    def batches(self) -> int | None:
        """How many batches the stream has; None where it does not say."""
        return 1


class ModelSource(Source):
    """A model over a loader. One `FeatureBatches` makes both passes, and warns if the second differs from the first."""

    def __init__(self, features: FeatureBatches) -> None:
        self._features = features
        self.repeatable = features.repeatable
        self.classifier = self._head = features.classifier
        self.dim = self._head.dim

    def head(self) -> tuple[Tensor | None, Tensor | None]:
        """Weight and bias of the model's classifier."""
        return self._head.weight, self._head.bias

    def stream(self) -> Iterator[Rows]:
        """The rows, batch by batch."""
        for batch in self._features:
            yield Rows(batch.features, batch.labels, batch.logits, batch.layers)

    def labels(self) -> Iterator[Tensor]:
        """The labels alone, for which the model has to run too."""
        return (rows.labels for rows in self.stream())

    def batches(self) -> int | None:
        """The length of the loader, if it has one."""
        try:
            return len(self._features)
        except TypeError:
            return None


class FileSource(Source):
    """Features in files; under torchrun each rank reads one contiguous part."""

    def __init__(self, file: FeatureFile) -> None:
        self._file, self.dim, self.texts = file, file.dim, list(file.parts[0].names) or None

    def head(self) -> tuple[Tensor | None, Tensor | None]:
        """Weight and bias stored beside the features."""
        return self._file.weight, self._file.bias

    def class_names(self) -> list[str] | None:
        """Names stored beside the features."""
        stored = any(part.features.class_names() for part in self._file.parts)
        return self._file.class_names if stored else None

    def stream(self) -> Iterator[Rows]:
        """The rows of this rank, batch by batch."""
        rank, ranks = ranks_now()
        for features, labels in self._file.shard(rank, ranks) if ranks > 1 else self._file:
            yield Rows(features, labels)

    def labels(self) -> Iterator[Tensor]:
        """The labels of the whole file; its features are not read."""
        return self._file.labels()

    def batches(self) -> int | None:
        """As many as the whole file has."""
        return len(self._file)


class ArraySource(Source):
    """Features (N, d) and labels (N,) in memory."""

    def __init__(self, features: Tensor, labels: Tensor, texts: list[str] | None = None) -> None:
        self._rows, self.dim, self.texts = Rows(features, labels), features.shape[-1], texts

    def stream(self) -> Iterator[Rows]:
        """All rows at once."""
        yield self._rows

    def labels(self) -> Iterator[Tensor]:
        """All labels at once."""
        yield self._rows.labels
