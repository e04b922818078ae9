"""The training split as a config changes it: long-tailed, with wrong labels. Functions of the seed alone."""

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from .._labels import IGNORED
from .._types import Int
from ._config import TrainConfig
from ._parts import AnyImbalance
from ._random import generator


def changed_training_set(dataset: TensorDataset, config: TrainConfig, num_classes: int) -> TensorDataset:
    """The training split with the imbalance and the label noise of a config; the same object where it has neither."""
    inputs, labels = dataset.tensors
    if config.imbalance is not None:
        counts = class_counts(labels, num_classes, config.imbalance)
        kept = choose(labels, counts, config.seed)
        inputs, labels = inputs[kept], labels[kept]
    if config.label_noise:
        labels = with_noise(labels, num_classes, config.label_noise, config.seed)
    return dataset if labels is dataset.tensors[1] else TensorDataset(inputs, labels)


def class_counts(labels: Int[Tensor, " N"], num_classes: int, imbalance: AnyImbalance) -> list[int]:
    """Samples to keep of each class: the largest keeps n, as many as the smallest class present has now.

    Rounded, and at least 1.

    Examples:
        >>> from neucollapse.training import ExpImbalance, StepImbalance
        >>> class_counts(torch.arange(4).repeat(100), 4, ExpImbalance(8.0))
        [100, 50, 25, 12]
        >>> class_counts(torch.arange(4).repeat(100), 4, StepImbalance(10.0))
        [100, 100, 10, 10]
    """
    n = int(labels[labels != IGNORED].unique(return_counts=True)[1].min())
    return [min(n, max(1, round(n * share))) for share in imbalance.shares(num_classes)]


def choose(labels: Int[Tensor, " N"], counts: list[int], seed: int) -> Int[Tensor, " n"]:
    """Places of so many samples of each class, in their order; a larger count keeps those of a smaller one."""
    order = torch.randperm(len(labels), generator=generator(seed, "imbalance"))
    shuffled = labels[order]
    return torch.cat([order[shuffled == k][:count] for k, count in enumerate(counts)]).sort().values


def with_noise(labels: Int[Tensor, " N"], num_classes: int, share: float | int, seed: int) -> Int[Tensor, " N"]:
    """A copy of the labels in which this share, rounded to samples, is another class, each other one equally likely.

    Examples:
        >>> labels = torch.zeros(100, dtype=torch.int64)
        >>> int((with_noise(labels, 10, 0.2, seed=0) != labels).sum())
        20
    """
    source = generator(seed, "noise")
    counted = (labels != IGNORED).nonzero()[:, 0]
    wrong = counted[torch.randperm(len(counted), generator=source)[: round(share * len(counted))]]
    shift = torch.randint(1, max(num_classes, 2), (len(wrong),), generator=source)
    noisy = labels.clone()
    noisy[wrong] = (labels[wrong] + shift) % num_classes
    return noisy
