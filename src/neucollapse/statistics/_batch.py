"""What may enter the statistics: shapes, labels and finite numbers, checked here before anything is added."""

from typing import NamedTuple

import torch
from torch import Tensor

from .._errors import InputError, NonFiniteError
from .._labels import Labels, counted_labels, flat_labels

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)  # of features, from fine to coarse


class Batch(NamedTuple):
    """Flat rows: `features` (n, d), `labels` (n,) in [0, K), `rows` (n,) their places in the caller's batch."""

    features: Tensor
    labels: Tensor
    rows: Tensor | None  # None while every row of the caller's batch is here

    def keep(self, mask: Tensor) -> "Batch":
        """The rows where `mask` (n,) is true."""
        rows = mask.nonzero()[:, 0] if self.rows is None else self.rows[mask]
        return Batch(self.features[mask], self.labels[mask], rows)


def check_batch(
    features: Tensor, labels: Labels, *, num_classes: int, dim: int, ignore_index: int
) -> tuple[Batch, int]:
    """Flatten a batch, leave ignored labels out and count them; raise a sentence where it cannot be used."""
    features = own_rows(features, "features")
    _check_features(features, dim)
    labels = flat_labels(own_rows(labels, "labels") if isinstance(labels, Tensor) else labels, features.shape[:-1])
    features = features.detach().reshape(-1, dim)
    labels = labels.detach().to(features.device)
    batch = Batch(features if features.dtype == torch.float64 else features.float(), labels, None)
    kept = counted_labels(labels, num_classes, ignore_index)
    ignored = int((~kept).sum())
    return (batch.keep(kept) if ignored else batch), ignored


def finite_rows(batch: Batch, policy: str) -> Batch:
    """The rows without NaN or infinity; raises `NonFiniteError` where there are others and the policy is "raise"."""
    finite = torch.isfinite(batch.features).all(dim=1)
    if policy == "raise" and not bool(finite.all()):
        first = int((~finite).nonzero()[0])
        row = first if batch.rows is None else int(batch.rows[first])
        raise NonFiniteError(
            f"expected finite features, got NaN or infinity in {int((~finite).sum())} of {finite.numel()} rows; "
            f"the first is row {row} of this batch (class {int(batch.labels[first])}). "
            "Pass nan='drop' to leave such rows out and count them"
        )
    return batch.keep(finite)


def own_rows(tensor: Tensor, name: str) -> Tensor:
    """The rows that this rank holds of a DTensor that is split by rows; any other tensor as it is.

    Raises:
        InputError: a DTensor that is split otherwise, or not at all: then ranks would count the same samples.
    """
    placements, to_local = getattr(tensor, "placements", None), getattr(tensor, "to_local", None)
    if placements is None or to_local is None:
        return tensor
    if not all(placement.is_shard(0) for placement in placements):
        raise InputError(
            f"expected {name} as a tensor, or a DTensor split by rows, got a DTensor with placements {placements}: pass "
            f"{name}.full_tensor(), on one rank alone if all_reduce follows"
        )
    return to_local()


def _check_features(features: Tensor, dim: int) -> None:
    if not isinstance(features, Tensor):
        kind = type(features).__name__
        raise InputError(f"expected features as a torch tensor, got {kind}: wrap arrays in torch.as_tensor")
    if not features.is_floating_point():
        raise InputError(f"expected floating-point features, got {features.dtype}: convert them with .float()")
    if features.dtype not in DTYPES:
        names = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
        raise InputError(
            f"expected features of {names}, got {features.dtype}: convert them with .bfloat16() or .float()"
        )
    if features.ndim == 0 or features.shape[-1] != dim:
        raise InputError(f"expected features of shape (..., {dim}), got {tuple(features.shape)}")
