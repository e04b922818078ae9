"""Everything metrics can be given, from raw features: what the tests of this room share."""

import pytest
import torch

from neucollapse import ClassStatistics
from neucollapse.metrics import Decisions, collapse_metrics
from neucollapse.statistics import ScatterByClass


def _measured(features, labels, weight=None, bias=None, *, num_classes=None, ood=None, counts_known=True, **options):
    """``collapse_metrics`` of features (N, d), with statistics of every kind and a second pass over the same data."""
    H, y = torch.as_tensor(features), torch.as_tensor(labels)
    K = num_classes or (len(weight) if weight is not None else int(y.max()) + 1)
    counts = torch.bincount(y[y >= 0], minlength=K).tolist() if counts_known else None
    plain = ClassStatistics(K, H.shape[1], class_counts=counts)
    unit = ClassStatistics(K, H.shape[1], normalize=True)
    for stats in (plain, unit):
        for rows, own in zip(H.split(50), y.split(50), strict=True):
            stats.update(rows, own)
    by_class = ScatterByClass(K, H.shape[1])
    by_class.update(H, y)
    outside = None
    if ood is not None:
        outside = ClassStatistics(1, H.shape[1], "trace")
        outside.update(torch.as_tensor(ood), torch.zeros(len(ood), dtype=torch.int64))
    W, b = (None if rows is None else torch.as_tensor(rows).double() for rows in (weight, bias))
    decisions = Decisions(plain, W, b)
    decisions.update(H, y)
    return collapse_metrics(plain, W, b, unit, decisions=decisions, ood=outside, by_class=by_class, **options)


@pytest.fixture(scope="session")
def measured():
    """The function above."""
    return _measured
