"""The order of samples is a function of seed and epoch alone."""

import pytest
import torch
from torch.utils.data import TensorDataset

from neucollapse.training._batches import ShuffledBatches, evaluation_loader, training_loader


def order(size, batch_size, seed, epoch):
    sampler = ShuffledBatches(size, batch_size, seed)
    sampler.set_epoch(epoch)
    return list(sampler)


@pytest.mark.parametrize(
    ("size", "batch_size", "sizes"),
    [(10, 4, [4, 4, 2]), (9, 4, [4, 5]), (8, 4, [4, 4]), (1, 4, [1]), (3, 1, [1, 1, 1]), (3, 8, [3])],
)
def test_every_sample_once(size, batch_size, sizes):
    batches = order(size, batch_size, 0, 0)
    assert [len(batch) for batch in batches] == sizes
    assert len(ShuffledBatches(size, batch_size, 0)) == len(sizes)
    assert sorted(torch.cat(batches).tolist()) == list(range(size))


def test_seed_and_epoch_both_matter_and_nothing_else_does():
    orders = {}
    for seed in range(3):
        for epoch in range(3):
            torch.rand(1)
            orders[tuple(torch.cat(order(50, 8, seed, epoch)).tolist())] = (seed, epoch)
    assert len(orders) == 9
    torch.testing.assert_close(order(50, 8, 1, 2), order(50, 8, 1, 2))


def test_loaders_leave_the_global_random_state_alone():
    inputs, labels = torch.randn(10, 2), torch.arange(10)
    dataset = TensorDataset(inputs, labels)
    before = torch.get_rng_state()
    shuffled = torch.cat([y for _, y in training_loader(dataset, 4, seed=1)])
    pairs = list(evaluation_loader(dataset, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert shuffled.tolist() != list(range(10))
    torch.testing.assert_close(torch.cat([x for x, _ in pairs]), inputs)
    assert torch.equal(torch.cat([y for _, y in pairs]), labels)
