"""Sums over a batch about centres of its classes: the only loop over samples in the package.

For each class c of the batch, with r = h - centre_c over its rows h: the sum of r, of |r|^2 and of |h|, and the largest
|h|; and, where asked, the pooled sum of r r^T. Work in float32 is done in short blocks, about a centre that the rows of
the block vouch for; whatever crosses a block is float64. So neither the length of a batch, nor its order, nor an outlier
where a class begins costs digits. A numba loop (extra `fast`) gives the sums without the (d, d) scatter in one read.
"""

import torch
from torch import Tensor

from .._environment import numba_available
from ._blocks import Scratch, Sums, Totals, blocks, is_one_block

_WIDE_UP_TO = 64  # dimensions up to which float64 costs so little that float32 features are widened
_FAST_FROM = 1 << 18  # entries from which the numba loop is worth its call


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
    method: str,
    scratch: Scratch,
) -> Sums:
    """Sums of the rows of `features` (n, d), float32 or float64, about the centres of their classes.

    `classes` (m,) are the distinct classes of the batch, `members` (n,) the place of a row's class among them,
    `centres` (K, d) float64, exact in `working_dtype`. A class of the mask `new` (m,) has no centre yet: it gets
    one near its mean, written to `centres`. The sums may lie in `scratch`, until it is used again.
    """
    dtype = working_dtype(features, normalize=normalize)
    serves = not scatter and not normalize and features.device.type == "cpu" and method != "plain"
    if serves and (method == "compiled" or (features.numel() >= _FAST_FROM and numba_available())):
        from ._numba import class_sums

        return Sums(*class_sums(features, members, classes, centres, new, dtype))
    one_block, (m, d), zeros = is_one_block(features), (len(classes), centres.shape[1]), centres.new_zeros
    residuals = (scratch if one_block else scratch.zeros)("residuals", m, centres, torch.float64)
    totals = Totals(
        sums=Sums(residuals, zeros(m), zeros(m), zeros(m)),
        centres=centres,
        classes=classes,
        new=new.clone(),
        narrow=features.dtype if d > _WIDE_UP_TO else torch.float64,
        weights=weights,
        scratch=scratch,
        full=scatter,
        one_block=one_block,
    )
    for block in blocks(features, members, m, scratch):
        totals.add(block, dtype, normalize=normalize)
    return totals.sums
