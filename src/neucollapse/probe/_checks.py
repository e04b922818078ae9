"""Signs that a measurement would not come out the same again: promise P9, model honesty."""

from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import IterableDataset, SequentialSampler
from torch.utils.data.distributed import DistributedSampler

from ._batches import length_of
from ._tap import Captured


def change_between(one: Captured, other: Captured) -> str | None:
    """Where two passes over the same batch differ by more than rounding, in words; None if nowhere."""
    pairs = {"features": (one.features, other.features)}
    pairs |= {f"layer {name!r}": (one.layers[name], other.layers[name]) for name in one.layers if name in other.layers}
    for name, (first, second) in pairs.items():
        if first.shape != second.shape:
            return f"{name} of shape {tuple(first.shape)}, then {tuple(second.shape)}"
        if (change := _relative_change(first, second)) > 8 * torch.finfo(first.dtype).eps:
            return f"{name} by {change:.1g} of their size"
    return None


def _relative_change(first: Tensor, second: Tensor) -> float:
    if first.numel() == 0 or torch.equal(first, second):
        return 0.0
    change = (first.double() - second.double()).abs().max() / first.double().abs().max()
    return float(change.nan_to_num(0.0))  # NaN features are for the statistics to refuse, with their place


def batch_dependence(model: nn.Module) -> str | None:
    """Why a sample's features depend on its batch also in eval mode; None if nothing of the kind is known."""
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            return (
                f"features depend on which samples share a batch: {name!r} ({type(module).__name__}) keeps no running "
                "statistics, so it uses those of the batch also in eval mode"
            )
    return None


def loader_complaints(loader: object) -> list[str]:
    """What a DataLoader's settings tell about samples that a pass misses or repeats."""
    if isinstance(getattr(loader, "dataset", None), IterableDataset):
        return []  # a stream: its sampler, which has no length, says nothing about which samples come
    inner = getattr(loader, "batch_sampler", None)
    batches = loader if inner is None else inner
    sampler, size = getattr(batches, "sampler", None), getattr(batches, "batch_size", None)
    samples = length_of(sampler)
    complaints = []
    left_out = samples % size if samples is not None and isinstance(size, int) and size > 0 else None
    if getattr(batches, "drop_last", False) and left_out != 0 and _shuffles(sampler):
        which = "some samples" if left_out is None else f"{left_out} of {samples} samples"
        complaints.append(
            f"the loader shuffles and drops its last incomplete batch, so each pass misses {which}, not always the "
            "same. Measure with drop_last=False"
        )
    if isinstance(sampler, DistributedSampler):
        rows = length_of(sampler.dataset)
        if rows is not None and sampler.total_size > rows:
            complaints.append(
                f"the DistributedSampler repeats {sampler.total_size - rows} of {rows} samples to give each rank as "
                "many, and they are counted twice. Shard without padding, for instance with Subset(dataset, "
                "range(rank, len(dataset), world_size))"
            )
    return complaints


def _shuffles(sampler: object) -> bool:
    if isinstance(sampler, DistributedSampler):
        return sampler.shuffle
    return sampler is not None and not isinstance(sampler, SequentialSampler)


class Fingerprint:
    """Counts, sums and sums of squares of a pass: equal for passes over the same samples, in any order.

    Holds the number of samples, the label histogram, the float64 sum of the features and of their squared norms.
    One exchanged sample or one random augmentation changes the sums by about 1/N of their size; the tolerance is
    1e-6 of the mean norm (1e-10 for float64 features), because the rounding of a sample's features depends on which
    samples share its batch.

    Examples:
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
        """Add a batch: features `(N, d)` and labels `(N,)`."""
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
