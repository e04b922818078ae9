# pyright: standard
# Compiled functions and custom operators have no types to check: numba and torch find them out.
"""The sums of a large batch, without the scatter, in one read of memory: compiled by numba (extra `fast`)."""

import numba
import numpy as np
import torch
from torch import Tensor

from ._blocks import FAR, VOUCH

# Sums may be reordered into vector lanes; NaN and infinity keep their meaning.
_REORDER = {"reassoc", "contract", "nsz", "arcp"}
_SEEDS = 4  # rows of a new class whose mean nearly always serves as its centre
_RUN = 64  # rows whose residuals are added in the type of the centre, before they join a float64 sum


def class_sums(
    features: Tensor, members: Tensor, classes: Tensor, centres: Tensor, new: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sums of residuals (m, d), of their squares (m,) and of row norms (m,), largest norms (m,); all float64.

    Residuals are formed in `dtype`. The centres of the mask `new` (m,) are found here, and written to `centres`.
    """
    m, d = len(classes), centres.shape[1]
    residuals, squares, norms, largest = np.zeros((m, d)), np.zeros(m), np.zeros(m), np.zeros(m)
    order, starts = _group(members.numpy(), m)
    fixed = features.contiguous().numpy(), order, starts, classes.numpy(), centres.numpy(), new.numpy()
    _sum_classes(*fixed, torch.empty(d, dtype=dtype).numpy(), residuals, squares, norms, largest)
    return torch.from_numpy(residuals), torch.from_numpy(squares), torch.from_numpy(norms), torch.from_numpy(largest)


@numba.njit(cache=True)
def _group(members, m):
    # A counting sort: row numbers class by class, so that a class's centre and sums stay in the first-level cache.
    starts = np.zeros(m + 1, np.int64)
    for c in members:
        starts[c + 1] += 1
    for c in range(m):
        starts[c + 1] += starts[c]
    order, place = np.empty(len(members), np.int64), starts[:-1].copy()
    for row in range(len(members)):
        c = members[row]
        order[place[c]] = row
        place[c] += 1
    return order, starts


@numba.njit(cache=True, fastmath=_REORDER)
def _sum_classes(X, order, starts, classes, centres, new, near, residuals, squares, norms, largest):
    d = X.shape[1]
    run = np.empty_like(near)
    for c in range(len(classes)):
        rows, total, centre = order[starts[c] : starts[c + 1]], residuals[c], centres[classes[c]]
        n = len(rows)
        if new[c]:
            _set_mean(X, rows[:_SEEDS], near)
            centre[:] = near
        else:
            near[:] = centre
        squares[c], norms[c], largest[c] = _sum_about(X, rows, near, run, total)
        offset = 0.0
        for j in range(d):
            offset += total[j] * total[j]
        if offset > FAR * n * squares[c] and (new[c] or n >= VOUCH):
            for j in range(d):
                near[j] = centre[j] + total[j] / n
            squares[c], norms[c], largest[c] = _sum_about(X, rows, near, run, total)
            if new[c]:
                centre[:] = near
            for j in range(d):
                shift = np.float64(near[j]) - centre[j]
                squares[c] += shift * (2 * total[j] + n * shift)
                total[j] += n * shift


@numba.njit(cache=True)
def _set_mean(X, rows, near):
    # Rounded to the type of `near`, so that residuals are exact there.
    if len(rows) == 1:
        near[:] = X[rows[0]]
        return
    for j in range(len(near)):
        first, total = np.float64(X[rows[0], j]), 0.0
        for row in rows:
            total += np.float64(X[row, j]) - first
        near[j] = first + total / len(rows)


@numba.njit(cache=True, fastmath=_REORDER)
def _sum_about(X, rows, near, run, total):
    # Everything within a run of rows is of the type of `near`.
    d, zero = X.shape[1], near.dtype.type(0)
    squares, norms, largest = 0.0, 0.0, 0.0
    total[:] = 0.0
    for begin in range(0, len(rows), _RUN):
        run[:] = zero
        i, end = begin, min(len(rows), begin + _RUN)
        while i + 4 <= end:  # four rows at a time keep four streams of memory busy
            x0, x1, x2, x3 = X[rows[i]], X[rows[i + 1]], X[rows[i + 2]], X[rows[i + 3]]
            square, n0, n1, n2, n3 = zero, zero, zero, zero, zero
            for j in range(d):
                c = near[j]
                v0, v1, v2, v3 = zero + x0[j], zero + x1[j], zero + x2[j], zero + x3[j]
                r0, r1, r2, r3 = v0 - c, v1 - c, v2 - c, v3 - c
                run[j] += (r0 + r1) + (r2 + r3)
                square += (r0 * r0 + r1 * r1) + (r2 * r2 + r3 * r3)
                n0 += v0 * v0
                n1 += v1 * v1
                n2 += v2 * v2
                n3 += v3 * v3
            squares += np.float64(square)
            norms += (
                np.sqrt(np.float64(n0)) + np.sqrt(np.float64(n1)) + np.sqrt(np.float64(n2)) + np.sqrt(np.float64(n3))
            )
            largest = max(largest, np.float64(max(max(n0, n1), max(n2, n3))))
            i += 4
        while i < end:
            x0 = X[rows[i]]
            square, n0 = zero, zero
            for j in range(d):
                v0 = zero + x0[j]
                r0 = v0 - near[j]
                run[j] += r0
                square += r0 * r0
                n0 += v0 * v0
            squares += np.float64(square)
            norms += np.sqrt(np.float64(n0))
            largest = max(largest, np.float64(n0))
            i += 1
        for j in range(d):
            total[j] += np.float64(run[j])
    return squares, norms, np.sqrt(largest)
