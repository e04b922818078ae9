"""Signs that a measurement would not come out the same again: promise P9, model honesty."""

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
