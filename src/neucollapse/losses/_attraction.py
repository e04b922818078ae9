"""The parts of HUG: its two terms, how far samples are from their proxies, and where fixed proxies come from."""

from typing import NamedTuple

import torch
from torch import Tensor

from .._errors import InputError
from .._types import Float
from ._normalised import normalised
from ._rows import CountedRows, result_type


class HUGTerms(NamedTuple):
    """The two parts of HUG with their factors: their sum is the loss.

    Attributes:
        inter: alpha times the uniformity of the proxies; small is uniform.
        intra: beta times the distance of the samples to their proxies; 0 at collapse.
    """

    inter: Tensor
    intra: Tensor


def attraction(
    features: Float[Tensor, "n d"], rows: CountedRows, weight: Float[Tensor, "K d"], class_weights: Tensor | None
) -> Float[Tensor, ""]:
    """Distances of unit features to their unit proxies; a sample on its proxy has zero gradient."""
    result = result_type(features, weight)
    # In float64: near collapse the direction of a small difference is all that is learned from.
    difference = normalised(features.double()) - normalised(weight.double())[rows.labels]
    square = difference.square().sum(dim=1)
    apart = (square > 0) & rows.used
    distances = square.where(apart, 1).sqrt().where(apart, 0)
    ones = rows.used.double() if rows.weights is None else rows.weights.double()
    if rows.reduction == "sum":
        return (ones * distances).sum().to(result)
    # The weight of its class divides out of the mean within a class.
    K = len(weight)
    counts = distances.new_zeros(K).index_add(0, rows.labels, ones)
    sums = distances.new_zeros(K).index_add(0, rows.labels, ones * distances)
    classes = (counts > 0).double() if class_weights is None else class_weights.double().where(counts > 0, 0)
    means = classes * sums / counts.where(counts > 0, 1)
    return (means.sum() / classes.sum().where(classes.sum() > 0, 1)).to(result)


def fixed_proxies(
    num_classes: int | None, dim: int | None, frame: Tensor | None, s: float | int
) -> Float[Tensor, "K d"]:
    """Unit rows of a given frame, or of the code of least energy that is known without a search."""
    if num_classes is None or dim is None:
        raise InputError(f"expected num_classes and dim for fixed proxies, got {num_classes}, {dim}")
    if frame is None:
        from ..geometry import best_code  # the room of geometry takes longer to load than this one

        code = best_code(num_classes, dim, kind="energy", s=max(s, 0.0), budget=0, progress=False)
        return code.points.to(torch.get_default_dtype())
    if frame.shape != (num_classes, dim) or not frame.is_floating_point():
        raise InputError(
            f"expected a floating frame of shape ({num_classes}, {dim}), got {frame.dtype} of {tuple(frame.shape)}"
        )
    return normalised(frame.detach())
