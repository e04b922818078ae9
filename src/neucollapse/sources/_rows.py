"""Rows of a stream, what may be given for them, and what the ranks of a distributed run tell each other."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch.distributed as dist
from torch import Tensor

from .._labels import Array, Labels
from ..data import FeatureFile

T = TypeVar("T")
Features = str | Path | FeatureFile | tuple[Array, Labels]
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
        """The rows where `mask` (N,) is true."""
        logits = None if self.logits is None else self.logits[mask]
        layers = {name: features[mask] for name, features in self.layers.items()}
        return Rows(self.features[mask], self.labels[mask], logits, layers)


def ranks_now() -> tuple[int, int]:
    """This process's rank and the number of ranks: (0, 1) without an initialised process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def from_all_ranks(thing: T) -> list[T]:
    """What each rank has in place of `thing`, in the order of ranks."""
    ranks = ranks_now()[1]
    if ranks == 1:
        return [thing]
    everyone: list[Any] = [None] * ranks
    dist.all_gather_object(everyone, thing)
    return everyone
