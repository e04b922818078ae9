"""What every function of this room does with its input: detached CPU float64 rows, checked."""

import math
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._errors import InputError, NonFiniteError


def as_rows(points: Any, name: str = "W", *, minimum: int = 1) -> Tensor:
    """The rows of an array-like as a detached CPU float64 tensor (K, d).

    Args:
        points: anything ``torch.as_tensor`` takes: a tensor or parameter of any float type and device, an array, lists.
        name: how messages call it.
        minimum: the smallest K that makes sense to the caller.

    Raises:
        InputError: if it is not a real matrix with at least ``minimum`` rows and one column.
        NonFiniteError: if it holds NaN or infinity.
    """
    try:
        tensor = points if isinstance(points, Tensor) else torch.from_numpy(np.array(points))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"expected {name} as a matrix (K, d) of numbers, got {type(points).__name__}: {error}"
        ) from None
    if (
        tensor.ndim != 2
        or tensor.shape[0] < minimum
        or tensor.shape[1] < 1
        or tensor.is_complex()
        or tensor.dtype == torch.bool
    ):
        wanted = f"a real matrix (K, d) with K >= {minimum} rows and d >= 1 columns"
        raise InputError(f"expected {name} as {wanted}, got {tensor.dtype} of shape {tuple(tensor.shape)}")
    rows = tensor.detach().to("cpu", torch.float64)
    bad = ~rows.isfinite().all(dim=1)
    if bad.any():
        first = bad.nonzero()[:, 0].tolist()
        shown = ", ".join(map(str, first[:5])) + (", ..." if len(first) > 5 else "")
        raise NonFiniteError(
            f"expected finite rows in {name}, got NaN or infinity in {len(first)} of {len(rows)}: {shown}"
        )
    return rows


def in_range(rows: Tensor) -> Tensor:
    """The rows over a power of two, which is exact, so that the largest entry is about 1 and no product leaves the range."""
    largest = float(rows.abs().max())
    if 1e-100 < largest < 1e100 or largest == 0:
        return rows
    return rows * 2.0 ** -max(-1000, min(1000, math.frexp(largest)[1]))


def check_size(K: Any, d: Any) -> None:
    """Refuse a code size that is not a pair of whole numbers with K >= 2 points in d >= 1 dimensions."""
    for value, name, least in ((K, "K (number of classes)", 2), (d, "d (dimension)", 1)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise InputError(f"expected {name} as a whole number >= {least}, got {value!r}")
