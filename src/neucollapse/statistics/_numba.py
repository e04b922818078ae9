"""The trace statistics of a large batch in one read of memory, compiled by numba (extra ``fast``)."""

import numba
import numpy as np
import torch
from torch import Tensor

# Sums may be reordered into vector lanes; NaN and infinity keep their meaning.
_REORDER = {"reassoc", "contract", "nsz", "arcp"}


def class_sums(features: Tensor, members: Tensor, classes: Tensor, centres: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of residuals (m, d), of their squares (m,) and of row norms (m,), all in float64."""
    m, d = len(classes), centres.shape[1]
    residuals, squares, norms = np.zeros((m, d)), np.zeros(m), np.zeros(m)
    order, starts = _group(members.numpy(), m)
    _sum_sorted(
        features.contiguous().numpy(), order, starts, classes.numpy(), centres.numpy(), residuals, squares, norms
    )
    return torch.from_numpy(residuals), torch.from_numpy(squares), torch.from_numpy(norms)


def residual_blocks(
    features: Tensor, members: Tensor, classes: Tensor, centres: Tensor, rows: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same sums, and the pooled scatter (d, d): residuals are written block by block for a matrix product."""
    m, d = len(classes), centres.shape[1]
    residuals, squares, norms = np.zeros((m, d)), np.zeros(m), np.zeros(m)
    scatter = torch.zeros(d, d, dtype=torch.float64)
    block = torch.empty(rows, d, dtype=features.dtype)
    X, own, of, near = features.contiguous().numpy(), members.numpy(), classes.numpy(), centres.numpy()
    for start in range(0, len(X), rows):
        part = own[start : start + rows]
        _sum_block(X[start : start + rows], part, of, near, residuals, squares, norms, block.numpy())
        filled = block[: len(part)]
        scatter += filled.T @ filled
    return torch.from_numpy(residuals), torch.from_numpy(squares), torch.from_numpy(norms), scatter


@numba.njit(cache=True, fastmath=_REORDER)
def _sum_block(X, members, classes, centres, residuals, squares, norms, block):
    d = X.shape[1]
    for i in range(len(members)):
        m = members[i]
        row, out, centre, total = X[i], block[i], centres[classes[m]], residuals[m]
        square = norm = 0.0
        for j in range(d):
            v = np.float64(row[j])
            r = v - centre[j]
            out[j] = r
            total[j] += r
            square += r * r
            norm += v * v
        squares[m] += square
        norms[m] += np.sqrt(norm)


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
def _sum_sorted(X, order, starts, classes, centres, residuals, squares, norms):
    d = X.shape[1]
    centre, total = np.empty(d), np.empty(d)
    for c in range(len(starts) - 1):
        centre[:] = centres[classes[c]]
        total[:] = 0.0
        i, end = starts[c], starts[c + 1]
        while i + 4 <= end:  # four rows at a time keep four streams of memory busy
            x0, x1, x2, x3 = X[order[i]], X[order[i + 1]], X[order[i + 2]], X[order[i + 3]]
            square = n0 = n1 = n2 = n3 = 0.0
            for j in range(d):
                v0, v1, v2, v3 = np.float64(x0[j]), np.float64(x1[j]), np.float64(x2[j]), np.float64(x3[j])
                r0, r1, r2, r3 = v0 - centre[j], v1 - centre[j], v2 - centre[j], v3 - centre[j]
                total[j] += (r0 + r1) + (r2 + r3)
                square += (r0 * r0 + r1 * r1) + (r2 * r2 + r3 * r3)
                n0 += v0 * v0
                n1 += v1 * v1
                n2 += v2 * v2
                n3 += v3 * v3
            squares[c] += square
            norms[c] += np.sqrt(n0) + np.sqrt(n1) + np.sqrt(n2) + np.sqrt(n3)
            i += 4
        while i < end:
            x0 = X[order[i]]
            square = n0 = 0.0
            for j in range(d):
                v0 = np.float64(x0[j])
                r0 = v0 - centre[j]
                total[j] += r0
                square += r0 * r0
                n0 += v0 * v0
            squares[c] += square
            norms[c] += np.sqrt(n0)
            i += 1
        residuals[c] = total
