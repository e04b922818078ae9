"""Sums over a batch about centres of its classes: the only loop over samples in the package.

For each class c of the batch, with r = h - centre_c over its rows h: the sum of r, of |r|^2 and of |h|, and the largest
|h|; and, where asked, the pooled sum of r r^T. Work in float32 is done in short blocks, about a centre that the rows of
the block vouch for; whatever crosses a block is float64. So neither the length of a batch, nor its order, nor an outlier
where a class begins costs digits. A numba loop (extra ``fast``) gives the sums without the (d, d) scatter in one read.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .._environment import numba_available
from ._blocks import Products, Scratch, Totals, blocks, is_one_block

_WIDE_UP_TO = 64  # dimensions up to which float64 costs so little that float32 features are widened
_TINY = 1e-12  # below this size of an entry float32 squares lose digits; they are then taken in float64
_FAST_FROM = 1 << 18  # entries from which the numba loop is worth its call


class Sums(NamedTuple):
    """Sums a class of the batch (m classes), and the pooled residual scatter where it was asked for. All float64."""

    residuals: Tensor  # (m, d)
    squares: Tensor  # (m,)
    norms: Tensor  # (m,)
    largest: Tensor  # (m,), the largest norm
    scatter: Tensor | None = None  # (d, d), on and above the diagonal alone
    weighted_scatter: Tensor | None = None  # the same, rows weighted by ``weights[class]``
    products: Products | None = None  # of a batch that is one block, in place of the scatters
    zero_rows: int = 0  # rows that ``normalize`` could not give unit norm

    @property
    def finite(self) -> bool:
        """Whether nothing has overflown and no feature is NaN or infinite."""
        return bool(torch.isfinite(self.squares.sum() + self.norms.sum()))

    def typical(self, features: Tensor) -> float:
        """About the size of an entry of ``features``: the norms of all rows over the number of entries."""
        return float(self.norms.sum()) / max(1, features.numel())

    def in_range(self, features: Tensor) -> bool:
        """Whether the sums are finite, and the squares too large for float32 to have lost small ones."""
        if not self.finite:
            return False
        return features.dtype == torch.float64 or self.typical(features) > _TINY or not bool(features.any())


def summed_in_double(dtype: torch.dtype, dim: int) -> bool:
    """Whether sums of features of a type are formed in float64 throughout, so that they carry no error of float32."""
    return dtype == torch.float64 or dim <= _WIDE_UP_TO


def working_dtype(features: Tensor, *, normalize: bool) -> torch.dtype:
    """The type that rows and centres are held in where residuals are formed: float32 only where that pays."""
    wide = normalize or features.shape[-1] <= _WIDE_UP_TO
    return torch.float64 if wide else features.dtype


def residual_sums(
    features: Tensor,
    members: Tensor,
    classes: Tensor,
    centres: Tensor,
    new: Tensor,
    *,
    scatter: bool,
    weights: Tensor | None,
    normalize: bool,
    scratch: Scratch,
) -> Sums:
    """Sums of the rows of ``features`` (n, d), float32 or float64, about the centres of their classes.

    ``classes`` (m,) are the distinct classes of the batch, ``members`` (n,) the place of a row's class among them,
    ``centres`` (K, d) float64, exact in ``working_dtype``. A class of the mask ``new`` (m,) has no centre yet: it gets
    one near its mean, written to ``centres``. The sums may lie in ``scratch``, until it is used again.
    """
    dtype = working_dtype(features, normalize=normalize)
    plain = not scatter and not normalize and features.device.type == "cpu"
    if plain and features.numel() >= _FAST_FROM and numba_available():
        from ._numba import class_sums

        return Sums(*class_sums(features, members, classes, centres, new, dtype))
    (m, d), zeros = (len(classes), centres.shape[1]), centres.new_zeros
    totals = Totals(
        centres=centres,
        classes=classes,
        new=new.clone(),
        narrow=features.dtype if d > _WIDE_UP_TO else torch.float64,
        residuals=(scratch if is_one_block(features) else scratch.zeros)("residuals", m, centres, torch.float64),
        squares=zeros(m),
        norms=zeros(m),
        largest=zeros(m),
        weights=weights,
        scratch=scratch,
        full=scatter,
        one_block=is_one_block(features),
    )
    for block in blocks(features, members, m, scratch):
        totals.add(block, dtype, normalize=normalize)
    sums = totals.residuals, totals.squares, totals.norms, totals.largest
    return Sums(*sums, totals.scatter, totals.weighted, totals.products, totals.zero_rows)
