"""`required_dim`: the smallest dimension in which a margin is known to be reached, and a bound below it."""

import math
from typing import NamedTuple

from ..._errors import InputError
from .._rows import check_size
from ..bounds import best_bound, margin_gamma
from ..constructions import CATALOGUE
from ._known import best_known, shipped
from ._records import records

_SAME = 1e-12


class RequiredDim(NamedTuple):
    """The smallest dimension of a code known to have a margin, and a dimension below which none can.

    Attributes:
        d: the dimension in which a known code reaches the margin.
        margin: the margin that this code has, at least.
        source: which code it is.
        at_least: no code of so many points in fewer dimensions reaches the margin (proved).
    """

    d: int
    margin: float
    source: str
    at_least: int


def required_dim(K: int, margin: float | int) -> RequiredDim:
    """The smallest dimension in which K points are known to have a margin, and a bound below it.

    Looked up, never solved for: a search may do with fewer dimensions, not with fewer than `at_least`.

    Args:
        K: number of points (classes).
        margin: the one-vs-rest margin asked for, in (0, K/(K-1)].

    Raises:
        InputError: if K < 2, or no code of K points has such a margin in any dimension.

    Examples:
        >>> [required_dim(1000, margin).d for margin in (1.001, 1.0, 0.9)]
        [999, 500, 256]
        >>> required_dim(1000, 0.9).at_least
        8
    """
    check_size(K, 1)
    if not 0 < margin <= K / (K - 1) + _SAME:
        raise InputError(f"expected a margin in (0, {K / (K - 1):.6g}], the largest of {K} points, got {margin!r}")
    dims = {2, math.ceil(K / 2), K - 1}
    dims |= {c.d for c in CATALOGUE if c.kind == "code" and c.K >= K}
    dims |= {entry.d for entry in shipped() if entry.K >= K} | {d for number, d in records() if number >= K}
    for d in sorted(d for d in dims if 1 <= d <= K - 1):
        known = best_known(K, d)
        if known.status != "bound" and known.margin >= margin - _SAME:
            return RequiredDim(d, known.margin, known.source, _no_fewer(K, margin, d))
    raise AssertionError("a simplex has the largest margin")


def _no_fewer(K: int, margin: float, known: int) -> int:
    if margin > 1 + _SAME:
        return K - 1
    for d in range(2, known):
        if K <= 2 * d or best_bound(K, d, "softmax").value >= margin or margin_gamma(K, d)[1] >= margin:
            return d
    return known
