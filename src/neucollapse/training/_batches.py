"""Loaders over data sets in memory, whose order of samples is a function of seed and epoch alone."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, TensorDataset

from .._types import Int


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
        # SeedSequence mixes the pair, so that (seed 0, epoch 1) and (seed 1, epoch 0) differ.
        mixed = int(np.random.SeedSequence((self.seed, self.epoch)).generate_state(1, np.uint64)[0] >> np.uint64(1))
        order = torch.randperm(self.size, generator=torch.Generator().manual_seed(mixed))
        batches = list(order.split(self.batch_size))
        if len(batches) > len(self):
            batches[-2:] = [torch.cat(batches[-2:])]
        yield from batches

    def __len__(self) -> int:
        # A last batch of one sample, which batch norm cannot take, joins the batch before it.
        alone = self.size % self.batch_size == 1 and self.size > 1
        return -(-self.size // self.batch_size) - alone


def training_loader(dataset: TensorDataset, batch_size: int, seed: int) -> DataLoader:
    """Shuffled batches; one indexing of the tensors a batch, with no collation sample by sample."""
    sampler = ShuffledBatches(len(dataset), batch_size, seed)
    return _loader(dataset, sampler)


def evaluation_loader(dataset: TensorDataset, batch_size: int = 1024) -> DataLoader:
    """All samples in their order."""
    return _loader(dataset, list(torch.arange(len(dataset)).split(batch_size)))


def _loader(dataset: TensorDataset, sampler: "Sampler[Tensor] | list[Tensor]") -> DataLoader:
    # Its own generator: an iterator of a loader without one draws from torch's global state, which belongs to the run.
    return DataLoader(dataset, sampler=sampler, batch_size=None, generator=torch.Generator())
