"""The metrics of collapse of a model's features and classifier, by the names of the registry."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ..metrics import collapse_metrics
from ..statistics import ClassStatistics

KEYS = (
    "nc1/pinv", "nc1/cdnv", "nc2/equinorm", "nc2/equiangular", "nc2/etf_distance", "nc2/etf_distance@weight", "nc3/frobenius",
    "gnc1/pinv", "gnc2/margin", "gnc2/margin@weight", "gnc2/max_cosine@weight", "gnc3/cosine",
)  # fmt: skip
"""One or two of each family: enough to set beside a prediction."""


def measured(
    features: Tensor,
    labels: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    keys: Iterable[str] | None = None,
) -> dict[str, float]:
    """Every metric, or those of `keys`, of features (N, d) with labels (N,) and a classifier (K, d), where it has a meaning."""
    K = int(labels.max()) + 1 if weight is None else len(weight)
    features = features.detach().double()
    raw, unit = ClassStatistics(K, features.shape[1]), None
    raw.update(features, labels)
    if bool(features.norm(dim=1).gt(0).all()):  # features at 0 have no direction
        unit = ClassStatistics(K, features.shape[1], normalize=True)
        unit.update(features, labels)
    return dict(collapse_metrics(raw, weight, bias, unit, keys=keys).numbers)


def balanced_labels(K: int, n: int) -> Tensor:
    """Labels of n samples of each of K classes: 0 ... 0, 1 ... 1, ..."""
    return torch.arange(K).repeat_interleave(n)
