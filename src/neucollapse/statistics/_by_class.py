"""The scatter of each class by itself, which no sum over classes tells."""

import torch
from torch import Tensor

from .._labels import IGNORED, Labels, counted_labels, flat_labels
from .._memory import check_memory
from ._class_statistics import ClassStatistics, NaNs


class ScatterByClass:
    """Statistics of each class with a (d, d) scatter of its own: K of them, so 8 K d^2 bytes.

    Streams, and merges over ranks, like `ClassStatistics`.

    Args:
        num_classes: K.
        dim: d.
        ignore_index: label of samples to leave out.
        nan: as in `ClassStatistics`.

    Raises:
        InputError: if so many scatters do not fit into memory.

    Examples:
        >>> by_class = ScatterByClass(num_classes=2, dim=2)
        >>> by_class.update(torch.tensor([[1.0, 0.0], [3.0, 0.0], [5.0, 5.0]]), torch.tensor([0, 0, 1]))
        >>> by_class.classes[0].within_scatter().tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, num_classes: int, dim: int, *, ignore_index: int = IGNORED, nan: NaNs = "raise") -> None:
        check_memory(8 * num_classes * dim * dim, f"a scatter of each of {num_classes} classes in {dim} dimensions")
        self.num_classes, self.dim, self.ignore_index = num_classes, dim, ignore_index
        self.classes = [ClassStatistics(1, dim, nan=nan) for _ in range(num_classes)]

    def update(self, features: Tensor, labels: Labels) -> None:
        """Add a batch: features (..., d) and labels (...)."""
        y = flat_labels(labels, features.shape[:-1])
        rows = features.reshape(-1, features.shape[-1])
        for c in y[counted_labels(y, self.num_classes, self.ignore_index)].unique().tolist():
            own = rows[(y == c).to(rows.device)]
            self.classes[c].update(own, torch.zeros(len(own), dtype=torch.int64))

    def all_reduce(self, group: "torch.distributed.ProcessGroup | None" = None) -> None:
        """Make every rank hold the statistics of all ranks, as `ClassStatistics.all_reduce` does."""
        for own in self.classes:
            own.all_reduce(group)
