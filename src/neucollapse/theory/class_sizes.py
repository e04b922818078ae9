"""Class sizes of imbalanced problems."""

import torch
from torch import Tensor

from .._errors import InputError


def step_counts(num_classes: int, minority: int, samples: int, ratio: float | int) -> Tensor:
    """Sizes (K,) of a step imbalance: the first classes have round(ratio * samples), the last `minority` have `samples`.

    Examples:
        >>> step_counts(4, 1, samples=2, ratio=10).tolist()
        [20, 20, 20, 2]
    """
    counts = torch.full((num_classes,), samples)
    counts[: num_classes - minority] = round(ratio * samples)
    return counts


def exponential_counts(num_classes: int, samples: int, ratio: float | int) -> Tensor:
    """Sizes (K,) that fall geometrically from round(ratio * samples) to `samples`.

    Examples:
        >>> exponential_counts(3, samples=2, ratio=100).tolist()
        [200, 20, 2]
    """
    exponent = torch.linspace(1, 0, num_classes, dtype=torch.float64)
    return (samples * ratio**exponent).round().long()


def check_counts(counts: Tensor) -> Tensor:
    """Class sizes (K,) as float64.

    Raises:
        InputError: for fewer than two classes or an empty class.
    """
    counts = torch.as_tensor(counts).double()
    if counts.ndim != 1 or len(counts) < 2:
        raise InputError(f"expected the sizes of at least 2 classes, got a tensor of shape {tuple(counts.shape)}")
    if not bool(((counts > 0) & counts.isfinite()).all()):
        raise InputError(
            f"expected at least one sample in every class, got sizes {counts.tolist()}; leave an empty class out: "
            "without samples nothing but the decay acts on its classifier"
        )
    return counts


def labels_of(counts: Tensor) -> Tensor:
    """Labels (N,) of these class sizes: 0 ... 0, 1 ... 1, ..."""
    return torch.arange(len(counts)).repeat_interleave(counts)


def class_means(features: Tensor, counts: Tensor) -> Tensor:
    """Means (K, d) of features (N, d) that stand class by class."""
    return torch.stack([part.mean(dim=0) for part in features.split(counts.tolist())])
