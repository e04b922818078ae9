"""The sums of a large batch in one read of memory, compiled by numba (extra ``fast``)."""

import numba
import numpy as np
import torch
from torch import Tensor

from ._sums import OFF_GRID

# Sums may be reordered into vector lanes; NaN and infinity keep their meaning.
_REORDER = {"reassoc", "contract", "nsz", "arcp"}


def class_sums(
    features: Tensor, members: Tensor, classes: Tensor, centres: Tensor, seeds: Tensor, *, scatter_rows: int
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Sums of residuals (m, d), of their squares (m,) and of row norms (m,), and the pooled scatter (d, d), in float64.

    A class with ``seeds[c] > 0`` first gets the mean of that many of its rows as its centre, written to ``centres``.
    ``scatter_rows`` is the number of residuals written out for a matrix product, 0 for no scatter.
    """
    m, d = len(classes), centres.shape[1]
    residuals, squares, norms = np.zeros((m, d)), np.zeros(m), np.zeros(m)
    order, starts = _group(members.numpy(), m)
    fixed = (features.contiguous().numpy(), order, starts, classes.numpy(), centres.numpy(), seeds.numpy())
    sums = residuals, squares, norms
    scatter = None
    if not scatter_rows:
        _sum_sorted(0, len(order), *fixed, *sums, None)
    else:
        scatter = torch.zeros(d, d, dtype=torch.float64)
        block = torch.empty(scatter_rows, d, dtype=features.dtype)
        for begin in range(0, len(order), scatter_rows):
            end = min(begin + scatter_rows, len(order))
            _sum_sorted(begin, end, *fixed, *sums, block.numpy())
            filled = block[: end - begin]
            scatter += filled.T @ filled
        scatter /= OFF_GRID**2
    return torch.from_numpy(residuals), torch.from_numpy(squares), torch.from_numpy(norms), scatter


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


@numba.njit(cache=True)
def _seed(X, rows, centre):
    # The mean of the rows, rounded to their type so that residuals are exact there.
    for j in range(len(centre)):
        total = 0.0
        for row in rows:
            total += np.float64(X[row, j]) - np.float64(X[rows[0], j])
        centre[j] = X.dtype.type(np.float64(X[rows[0], j]) + total / len(rows))


@numba.njit(cache=True, fastmath=_REORDER)
def _sum_sorted(begin, end, X, order, starts, classes, centres, seeds, residuals, squares, norms, out):
    # Rows begin..end of the sorted order.
    # Their residuals go to ``out``, unless that is None (then not compiled in).
    d = X.shape[1]
    centre, total = np.empty(d), np.empty(d)
    i = begin
    c = np.searchsorted(starts, begin, side="right") - 1
    while i < end:
        if i == starts[c] and seeds[c]:
            _seed(X, order[i : i + seeds[c]], centres[classes[c]])
        centre[:] = centres[classes[c]]
        total[:] = 0.0
        stop = min(end, starts[c + 1])
        while i + 4 <= stop:  # four rows at a time keep four streams of memory busy
            x0, x1, x2, x3 = X[order[i]], X[order[i + 1]], X[order[i + 2]], X[order[i + 3]]
            square = n0 = n1 = n2 = n3 = 0.0
            for j in range(d):
                v0, v1, v2, v3 = np.float64(x0[j]), np.float64(x1[j]), np.float64(x2[j]), np.float64(x3[j])
                r0, r1, r2, r3 = v0 - centre[j], v1 - centre[j], v2 - centre[j], v3 - centre[j]
                if out is not None:
                    o = i - begin
                    out[o, j], out[o + 1, j] = OFF_GRID * r0, OFF_GRID * r1
                    out[o + 2, j], out[o + 3, j] = OFF_GRID * r2, OFF_GRID * r3
                total[j] += (r0 + r1) + (r2 + r3)
                square += (r0 * r0 + r1 * r1) + (r2 * r2 + r3 * r3)
                n0 += v0 * v0
                n1 += v1 * v1
                n2 += v2 * v2
                n3 += v3 * v3
            squares[c] += square
            norms[c] += np.sqrt(n0) + np.sqrt(n1) + np.sqrt(n2) + np.sqrt(n3)
            i += 4
        while i < stop:
            x0 = X[order[i]]
            square = n0 = 0.0
            for j in range(d):
                v0 = np.float64(x0[j])
                r0 = v0 - centre[j]
                if out is not None:
                    out[i - begin, j] = OFF_GRID * r0
                total[j] += r0
                square += r0 * r0
                n0 += v0 * v0
            squares[c] += square
            norms[c] += np.sqrt(n0)
            i += 1
        residuals[c] += total
        c += 1
