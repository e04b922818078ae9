"""Checks shared by the losses: labels that fit the logits, and how losses of samples become one number."""

import torch
from torch import Tensor

from .._errors import InputError

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def check_labels(labels: Tensor, shape: torch.Size, num_classes: int, ignore_index: int) -> Tensor:
    """Return the mask of samples that count; raise ``InputError`` for labels that fit neither classes nor shape."""
    if labels.dtype not in _INTEGERS:
        raise InputError(f"expected integer labels, got dtype {labels.dtype}; one-hot labels become integers by argmax")
    if labels.shape != shape:
        raise InputError(f"expected labels of shape {tuple(shape)}, one a sample, got shape {tuple(labels.shape)}")
    counted = labels != ignore_index
    # Reading a value back waits for the device, which a compiled graph cannot do.
    if not torch.compiler.is_compiling():
        outside = labels[((labels < 0) | (labels >= num_classes)) & counted]
        if outside.numel():
            raise InputError(
                f"expected labels from 0 to {num_classes - 1} (or {ignore_index} for samples to ignore), "
                f"got {int(outside[0])} among {outside.numel()} labels outside; check num_classes"
            )
    return counted


def reduce(losses: Tensor, counted: Tensor, reduction: str) -> Tensor:
    """Mean over the samples that count, sum, or all losses; an ignored sample has loss 0."""
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.sum() / counted.sum()
    raise InputError(f"expected reduction 'mean', 'sum' or 'none', got {reduction!r}")
