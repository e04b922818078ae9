"""What may enter the statistics: shapes, labels and finite numbers, checked here before anything is added."""

from typing import NamedTuple

import torch
from torch import Tensor

from .._errors import InputError, NonFiniteError


class Batch(NamedTuple):
    """Flat rows: ``features`` (n, d), ``labels`` (n,) in [0, K), ``rows`` (n,) their places in the caller's batch."""

    features: Tensor
    labels: Tensor
    rows: Tensor | None  # None while every row of the caller's batch is here

    def keep(self, mask: Tensor) -> "Batch":
        """The rows where ``mask`` (n,) is true."""
        rows = mask.nonzero()[:, 0] if self.rows is None else self.rows[mask]
        return Batch(self.features[mask], self.labels[mask], rows)


def check_batch(features: Tensor, labels: Tensor, *, num_classes: int, dim: int, ignore_index: int) -> Batch:
    """Flatten a batch, leave ignored labels out, and raise a sentence where it cannot be used."""
    _check_shapes(features, labels, dim)
    features = features.detach().reshape(-1, dim)
    labels = labels.detach().reshape(-1).to(features.device, torch.int64)
    batch = Batch(features if features.dtype == torch.float64 else features.float(), labels, None)
    kept = labels != ignore_index
    if not bool(kept.all()):
        batch = batch.keep(kept)
    _check_range(batch.labels, num_classes, ignore_index)
    return batch


def finite_rows(batch: Batch, policy: str) -> Batch:
    """The rows without NaN or infinity; raises ``NonFiniteError`` where there are others and the policy is "raise"."""
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


def _check_shapes(features: Tensor, labels: Tensor, dim: int) -> None:
    if not isinstance(features, Tensor) or not isinstance(labels, Tensor):
        kinds = f"{type(features).__name__} and {type(labels).__name__}"
        raise InputError(f"expected features and labels as torch tensors, got {kinds}: wrap arrays in torch.as_tensor")
    if not features.is_floating_point():
        raise InputError(f"expected floating-point features, got {features.dtype}: convert them with .float()")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError(
            f"expected integer labels, got {labels.dtype}: class numbers 0..K-1, not scores or one-hot rows"
        )
    if features.ndim == 0 or features.shape[-1] != dim:
        raise InputError(f"expected features of shape (..., {dim}), got {tuple(features.shape)}")
    if features.shape[:-1] != labels.shape:
        hint = " (one-hot labels? pass labels.argmax(-1))" if labels.ndim == features.ndim else ""
        shapes = f"features {tuple(features.shape)} and labels {tuple(labels.shape)}"
        raise InputError(f"expected one label for each feature row, got {shapes}{hint}")


def _check_range(labels: Tensor, num_classes: int, ignore_index: int) -> None:
    if not labels.numel():
        return
    low, high = (int(bound) for bound in torch.aminmax(labels))
    if low < 0 or high >= num_classes:
        raise InputError(
            f"expected labels in [0, {num_classes}) or ignore_index={ignore_index}, got {low if low < 0 else high}: "
            "check num_classes, or name the label to leave out with ignore_index="
        )
