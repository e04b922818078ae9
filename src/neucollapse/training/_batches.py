"""Loaders over data sets in memory, whose order of samples is a function of seed and epoch alone."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, TensorDataset

from .._types import Int
from ._random import generator
from ._training_set import IGNORED


class ShuffledBatches(Sampler[Tensor]):
    """Batches of indices, in an order drawn afresh each epoch from (seed, epoch).

    A run that resumes at an epoch sees the batches it would have seen, without any state being saved. Lightning calls
    ``set_epoch``.

    Args:
        size: number of samples.
        batch_size: samples a batch; the last may be smaller.
        seed: of the run.
    """

    def __init__(self, size: int, batch_size: int, seed: int) -> None:
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch, counted from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Int[Tensor, " batch"]]:
        batches = list(self.order(generator(self.seed, self.epoch)).split(self.batch_size))
        if len(batches) > len(self):
            batches[-2:] = [torch.cat(batches[-2:])]
        yield from batches

    def __len__(self) -> int:
        # A last batch of one sample, which batch norm cannot take, joins the batch before it.
        alone = self.size % self.batch_size == 1 and self.size > 1
        return -(-self.size // self.batch_size) - alone

    def order(self, source: torch.Generator) -> Int[Tensor, " size"]:
        """The samples of an epoch."""
        return torch.randperm(self.size, generator=source)


class BalancedBatches(ShuffledBatches):
    """Like ``ShuffledBatches``, but an epoch has as many samples of each class present, up to one.

    A small class is gone through again and again, each time in a new order; of a large one some samples wait for later
    epochs. An epoch stays as long as the data set.

    Args:
        labels: of the samples.
        batch_size: samples a batch.
        seed: of the run.
    """

    def __init__(self, labels: Int[Tensor, " N"], batch_size: int, seed: int) -> None:
        super().__init__(len(labels), batch_size, seed)
        self.members = [(labels == k).nonzero()[:, 0] for k in labels[labels != IGNORED].unique()]

    def order(self, source: torch.Generator) -> Int[Tensor, " size"]:
        """The samples of an epoch."""
        rounds = -(-self.size // len(self.members))
        drawn = torch.stack([_again_and_again(members, rounds, source) for members in self.members], dim=1)
        # One sample a class in each round. The last round is cut, at classes drawn at random.
        drawn = drawn[:, torch.randperm(len(self.members), generator=source)].flatten()[: self.size]
        return drawn[torch.randperm(self.size, generator=source)]


def _again_and_again(members: Int[Tensor, " n"], count: int, source: torch.Generator) -> Int[Tensor, " count"]:
    """So many members: all of them in a random order, then all in another, and so on."""
    turns = -(-count // len(members))
    return torch.cat([members[torch.randperm(len(members), generator=source)] for _ in range(turns)])[:count]


def training_loader(dataset: TensorDataset, batch_size: int, seed: int, sampling: str = "shuffle") -> DataLoader[Any]:
    """Batches by ``shuffle`` or ``class-balanced``; one indexing of the tensors a batch, no collation sample by sample."""
    if sampling == "class-balanced":
        return _loader(dataset, BalancedBatches(dataset.tensors[1], batch_size, seed))
    return _loader(dataset, ShuffledBatches(len(dataset), batch_size, seed))


def evaluation_loader(dataset: TensorDataset, batch_size: int = 1024) -> DataLoader[Any]:
    """All samples in their order."""
    return _loader(dataset, list(torch.arange(len(dataset)).split(batch_size)))


def _loader(dataset: TensorDataset, sampler: "Sampler[Tensor] | list[Tensor]") -> DataLoader[Any]:
    # Its own generator: an iterator of a loader without one draws from torch's global state, which belongs to the run.
    return DataLoader(dataset, sampler=sampler, batch_size=None, generator=torch.Generator())
