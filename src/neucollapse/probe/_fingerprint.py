"""``Fingerprint``: what a pass over a loader saw, in a few numbers, to tell whether another pass saw the same."""

from collections import Counter

import torch
from torch import Tensor


class Fingerprint:
    """Counts, sums and sums of squares of a pass: equal for passes over the same samples, in any order.

    Holds the number of samples, the label histogram, the float64 sum of the features and of their squared norms.
    One exchanged sample or one random augmentation changes the sums by about 1/N of their size; the tolerance is
    1e-6 of the mean norm (1e-10 for float64 features), because the rounding of a sample's features depends on which
    samples share its batch.

    Example:
        >>> x, y = torch.eye(4), torch.tensor([0, 1, 0, 1])
        >>> one, other = Fingerprint(), Fingerprint()
        >>> one.update(x, y)
        >>> other.update(x[2:], y[2:]); other.update(x[:2], y[:2])
        >>> one.matches(other)
        True
        >>> other.update(x[:1], y[:1])
        >>> one.difference(other)
        'it gave 5 samples, not 4'
    """

    def __init__(self) -> None:
        self.count = 0
        self.labels: Counter[int] = Counter()
        self._sum: Tensor | None = None
        self._squares = torch.zeros((), dtype=torch.float64)
        self._tolerance = 1e-10

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add a batch: features ``(N, d)`` and labels ``(N,)``."""
        X = features.detach().double()
        values, counts = labels.unique(return_counts=True)
        self.count += len(labels)
        self.labels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        total = X.sum(0).cpu()
        self._sum = total if self._sum is None else self._sum + total
        self._squares += X.square().sum().cpu()
        if features.dtype != torch.float64:
            self._tolerance = 1e-6

    def matches(self, other: "Fingerprint") -> bool:
        """Whether both passes saw the same samples and features, up to rounding."""
        return self.difference(other) is None

    def difference(self, other: "Fingerprint") -> str | None:
        """What the other pass saw differently, in words; None if nothing."""
        if self.count != other.count:
            return f"it gave {other.count} samples, not {self.count}"
        if self.labels != other.labels:
            changed = sorted(label for label in self.labels | other.labels if self.labels[label] != other.labels[label])
            one, now = self.labels[changed[0]], other.labels[changed[0]]
            return f"label {changed[0]} had {now} samples, not {one}"
        if self._sum is None or other._sum is None:
            return None
        size = (self.count * self._squares).sqrt()  # N times the root mean square norm
        tolerance = max(self._tolerance, other._tolerance)
        moved = torch.linalg.vector_norm(self._sum - other._sum) / size
        squares = (self._squares - other._squares).abs() / self._squares
        if max(float(moved), float(squares)) > tolerance:
            return f"the same labels came with other features (their mean moved by {float(moved):.1g} of their norm)"
        return None
