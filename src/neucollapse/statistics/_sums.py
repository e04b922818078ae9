"""Sums over a batch about provisional centres: the only loop over samples in the package.

For each class c of the batch, with r = h - centre_c over its rows h: the sum of r, of |r|^2 and of |h|; and, where
asked, the pooled sum of r r^T. Two implementations give the same sums: plain torch on any device, and a numba loop
(extra ``fast``) that reads a large float32 batch once, at memory speed.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .._environment import numba_available

# Residuals enter matrix products times this: collapsed features lie on a grid, on which all rounding would be ties.
OFF_GRID = 1.1
_ROWS = 512  # rows a block of the torch path: residuals of usual widths stay in the second-level cache
_SCATTER_ROWS = 4096  # with a matrix product a block, larger blocks pay
_TINY = 1e-12  # below this size of an entry float32 squares lose digits; they are then taken in float64
_FAST_FROM = 1 << 18  # entries from which the numba loop is worth its call


class Sums(NamedTuple):
    """Sums a class of the batch (m classes), and the pooled residual scatter where it was asked for."""

    residuals: Tensor  # (m, d) float64
    squares: Tensor  # (m,) float64
    norms: Tensor  # (m,) float64
    scatter: Tensor | None  # (d, d) float64
    weighted_scatter: Tensor | None  # (d, d) float64, rows weighted by ``weights[class]``
    zero_rows: int = 0  # rows that ``normalize`` could not give unit norm

    def in_range(self, features: Tensor) -> bool:
        """Whether the sums are finite, and the squares too large for float32 to have lost small ones."""
        if not bool(torch.isfinite(self.squares.sum() + self.norms.sum())):
            return False
        typical = float(self.norms.sum()) / max(1, features.numel())
        return features.dtype == torch.float64 or typical > _TINY or not bool(features.any())


def residual_sums(
    features: Tensor,
    members: Tensor,
    classes: Tensor,
    centres: Tensor,
    seeds: Tensor,
    *,
    scatter: bool,
    class_counts: Tensor | None,
    normalize: bool,
) -> Sums:
    """Sums of the rows of ``features`` (n, d) about the centres of their classes, ``centres[classes[members]]``.

    ``classes`` (m,) are the distinct classes of the batch, ``members`` (n,) the place of a row's class among them,
    ``centres`` (K, d) float64. A class with ``seeds`` (m,) above 0 has no centre yet: it gets the mean of that many of
    its rows, in the type of the features (residuals are exact there), written to ``centres``.
    """
    plain = class_counts is None and not normalize and features.device.type == "cpu"
    if plain and features.numel() >= _FAST_FROM and numba_available():
        from ._numba import class_sums

        rows = _SCATTER_ROWS if scatter else 0
        return Sums(*class_sums(features, members, classes, centres, seeds, scatter_rows=rows), None)
    _seed(features, members, classes, centres, seeds, normalize=normalize)
    weights = None if class_counts is None else 1 / class_counts[classes].clamp(min=1).double()
    near = centres.index_select(0, classes)
    return _torch_sums(features, members, near, scatter=scatter, weights=weights, normalize=normalize)


def unit_rows(rows: Tensor, norms: Tensor | None = None) -> Tensor:
    """Rows divided by their norms; a zero row stays zero."""
    norms = torch.linalg.vector_norm(rows, dim=1) if norms is None else norms
    return rows / norms.where(norms > 0, 1)[:, None]


def _seed(
    features: Tensor, members: Tensor, classes: Tensor, centres: Tensor, seeds: Tensor, *, normalize: bool
) -> None:
    new = seeds.nonzero()[:, 0]
    if not len(new):
        return
    order = torch.argsort(members, stable=True)
    starts, seeds = torch.searchsorted(members[order], new), seeds[new]

    def row(places: Tensor) -> Tensor:
        rows = features.index_select(0, order[places]).double()
        return unit_rows(rows) if normalize else rows

    first = row(starts)
    means = first.clone()
    for place in range(1, int(seeds.max())):
        more = place < seeds
        means[more] += (row(starts[more] + place) - first[more]) / seeds[more, None]
    centres[classes[new]] = means if normalize else means.to(features.dtype).double()


def _torch_sums(
    features: Tensor, members: Tensor, centres: Tensor, *, scatter: bool, weights: Tensor | None, normalize: bool
) -> Sums:
    m, d = centres.shape
    like = {"dtype": torch.float64, "device": features.device}
    squares, norms = torch.zeros(m, **like), torch.zeros(m, **like)
    pooled = torch.zeros(d, d, **like) if scatter else None
    weighted = torch.zeros(d, d, **like) if scatter and weights is not None else None
    # Only unit vectors have centres that float32 cannot hold: their residuals are formed in float64.
    near = centres if normalize else centres.to(features.dtype)
    total, partial = torch.zeros(m, d, **like), features.new_zeros(m, d)
    step = _SCATTER_ROWS if scatter else _ROWS
    scratch = torch.empty(min(step, len(features)), d, dtype=near.dtype, device=features.device)
    zero_rows = 0
    for start in range(0, len(features), step):
        rows, own = features[start : start + step], members[start : start + step]
        length = torch.linalg.vector_norm(rows, dim=1, dtype=near.dtype)
        norms.index_add_(0, own, length.double())
        if normalize:
            zero_rows += int((length == 0).sum())
            rows = unit_rows(rows.double(), length)
        residual = torch.index_select(near, 0, own, out=scratch[: len(rows)])
        residual = torch.sub(rows, residual, out=residual).to(features.dtype)
        squares.index_add_(0, own, torch.linalg.vector_norm(residual, dim=1).double().square_())
        partial.index_add_(0, own, residual)
        if pooled is not None:
            residual *= OFF_GRID
            pooled += residual.T @ residual
        if weighted is not None and weights is not None:
            weighted += (residual * weights[own, None].to(residual.dtype)).T @ residual
        if (start // step) % 128 == 127:  # float32 sums must stay short
            total += partial
            partial.zero_()
    for product in (pooled, weighted):
        if product is not None:
            product /= OFF_GRID**2
    return Sums(total.add_(partial), squares, norms, pooled, weighted, zero_rows)
