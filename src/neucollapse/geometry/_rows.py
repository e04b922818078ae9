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
        points: anything `torch.as_tensor` takes: a tensor or parameter of any float type and device, an array, lists.
        name: how messages call it.
        minimum: the smallest K that makes sense to the caller.

    Raises:
        InputError: if it is not a real matrix with at least `minimum` rows and one column.
        NonFiniteError: if it holds NaN or infinity.
    """
    try:
        tensor = points if isinstance(points, Tensor) else torch.from_numpy(np.array(points))
    except (TypeError, ValueError) as error:
        kind = type(points).__name__
        raise InputError(f"expected {name} as a matrix (K, d) of numbers, got {kind}: {error}") from None
    is_real = not tensor.is_complex() and tensor.dtype != torch.bool
    if not is_real or tensor.ndim != 2 or tensor.shape[0] < minimum or tensor.shape[1] < 1:
        wanted = f"a real matrix (K, d) with K >= {minimum} rows and d >= 1 columns"
        raise InputError(f"expected {name} as {wanted}, got {tensor.dtype} of shape {tuple(tensor.shape)}")
    rows = tensor.detach().to("cpu", torch.float64)
    bad = (~rows.isfinite().all(dim=1)).nonzero()[:, 0].tolist()
    if bad:
        shown = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise NonFiniteError(
            f"expected finite rows in {name}, got NaN or infinity in {len(bad)} of {len(rows)}: {shown}"
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
    check_whole(K, "K (number of classes)", 2)
    check_whole(d, "d (dimension)", 1)


def check_whole(value: Any, name: str, least: int, most: int | None = None) -> int:
    """A whole number from `least` to `most`, or a sentence that says what was got instead."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or int(value) < least or (most is not None and int(value) > most):
        upper = "" if most is None else f" and <= {most}"
        raise InputError(f"expected {name} as a whole number >= {least}{upper}, got {value!r}")
    return int(value)
