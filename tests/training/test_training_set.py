"""Long tails, wrong labels and balanced epochs: exact counts, drawn by the seed alone."""

import pytest
import torch
from torch.utils.data import TensorDataset

from neucollapse.training import ExpImbalance, StepImbalance, TrainConfig
from neucollapse.training._batches import BalancedBatches, training_loader
from neucollapse.training._training_set import changed_training_set, choose, class_counts, with_noise

LABELS = torch.arange(10).repeat(50)
DATASET = TensorDataset(torch.arange(500.0)[:, None], LABELS)


@pytest.mark.parametrize(
    ("imbalance", "counts"),
    [
        (ExpImbalance(10.0), [50, 39, 30, 23, 18, 14, 11, 8, 6, 5]),
        (StepImbalance(10.0), [50] * 5 + [5] * 5),
        (ExpImbalance(1.0), [50] * 10),
        (StepImbalance(1e6), [50] * 5 + [1] * 5),
    ],
)
def test_counts_of_the_classes(imbalance, counts):
    assert class_counts(LABELS, 10, imbalance) == counts
    changed = changed_training_set(DATASET, TrainConfig(imbalance=imbalance), 10)
    inputs, labels = changed.tensors
    assert torch.bincount(labels).tolist() == counts
    assert torch.equal(LABELS[inputs[:, 0].long()], labels)
    assert len(inputs.unique()) == len(inputs)


def test_an_odd_number_of_classes_and_unequal_ones():
    labels = torch.cat([torch.full((n,), k) for k, n in enumerate((40, 20, 60))])
    assert class_counts(labels, 3, StepImbalance(4.0)) == [20, 20, 5]
    assert class_counts(labels, 3, ExpImbalance(4.0)) == [20, 10, 5]
    assert class_counts(labels[labels != 1], 3, StepImbalance(4.0)) == [40, 40, 10]  # class 1 has no samples to count


def test_the_seed_alone_draws():
    counts = class_counts(LABELS, 10, ExpImbalance(10.0))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert torch.equal(choose(LABELS, counts, 0), choose(LABELS, counts, 0))
    assert not torch.equal(choose(LABELS, counts, 0), choose(LABELS, counts, 1))
    assert torch.equal(with_noise(LABELS, 10, 0.3, 0), with_noise(LABELS, 10, 0.3, 0))
    assert not torch.equal(with_noise(LABELS, 10, 0.3, 0), with_noise(LABELS, 10, 0.3, 1))
    assert torch.equal(torch.get_rng_state(), before)
    smaller = set(choose(LABELS, class_counts(LABELS, 10, ExpImbalance(20.0)), 0).tolist())
    assert smaller <= set(choose(LABELS, counts, 0).tolist())


@pytest.mark.parametrize("share", [0.1, 0.25, 0.999])
def test_share_of_wrong_labels(share):
    config = TrainConfig(label_noise=share)
    _, noisy = changed_training_set(DATASET, config, 10).tensors
    assert int((noisy != LABELS).sum()) == round(500 * share)
    assert torch.equal(LABELS, torch.arange(10).repeat(50))  # the data set itself stays


def test_each_other_class_is_as_likely():
    labels = torch.full((90_000,), 3)
    counts = torch.bincount(with_noise(labels, 10, 0.999, 0), minlength=10)
    others = torch.cat([counts[:3], counts[4:]]).double()
    assert ((others - 9990).abs() < 5 * 9990**0.5).all()


def test_without_changes_the_data_set_is_itself():
    assert changed_training_set(DATASET, TrainConfig(), 10) is DATASET


def balanced(labels, batch_size=16, seed=0, epoch=0):
    sampler = BalancedBatches(labels, batch_size, seed)
    sampler.set_epoch(epoch)
    return torch.cat(list(sampler))


def test_a_balanced_epoch():
    """As many of each class up to one, the large one without repeats, the small ones each sample as often as the next."""
    labels = torch.cat([torch.full((n,), k) for k, n in enumerate((70, 20, 3, 8))])
    order = balanced(labels)
    assert len(order) == 101
    counts = torch.bincount(labels[order])
    assert sorted(counts.tolist()) == [25, 25, 25, 26]
    times = torch.bincount(order, minlength=101)
    assert times[:70].max() == 1
    for k in range(4):
        of_class = times[labels == k]
        assert of_class.max() - of_class.min() <= 1
    assert torch.equal(order, balanced(labels))
    assert not torch.equal(order, balanced(labels, epoch=1))
    assert not torch.equal(order, balanced(labels, seed=1))
    shortened = {int(torch.bincount(labels[balanced(labels, epoch=epoch)]).argmax()) for epoch in range(40)}
    assert shortened == {0, 1, 2, 3}  # no class has the odd sample always


def test_a_class_without_samples_and_the_loader():
    labels = torch.tensor([0, 0, 0, 0, 0, 2])
    dataset = TensorDataset(torch.zeros(6, 1), labels)
    drawn = torch.cat([y for _, y in training_loader(dataset, 4, 0, "class-balanced")])
    assert sorted(drawn.tolist()) == [0, 0, 0, 2, 2, 2]
    shuffled = torch.cat([y for _, y in training_loader(dataset, 4, 0)])
    assert sorted(shuffled.tolist()) == labels.tolist()


def test_ignored_rows_count_for_nothing():
    labels = LABELS.clone()
    labels[:30] = -100
    assert class_counts(labels, 10, ExpImbalance(1.0)) == [47] * 10  # 3 of each class are left out
    assert (labels[choose(labels, [5] * 10, 0)] >= 0).all()
    noisy = with_noise(labels, 10, 0.5, 0)
    assert torch.equal(noisy == -100, labels == -100)
    assert int((noisy != labels).sum()) == 235
    assert (labels[balanced(labels)] >= 0).all()
