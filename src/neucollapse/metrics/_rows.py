"""Rows of one kind, a class each: raw, about their mean, and as directions."""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .._types import Float
from ..statistics import Precision
from ._absent import Absent
from ._linear_algebra import cut_off, is_resolved, resolved_spectrum, singular_values
from ._pairs import PairSums, pair_sums
from ._shared import shared

_ORDINARY = 2.0**200  # up to here, and down to its inverse, fourth powers of an entry are ordinary numbers


def power_of_two(size: float) -> float:
    """A unit in which numbers of this size can be squared twice: 1 for ordinary sizes, else the next power of two.

    Examples:
        >>> power_of_two(3.0), power_of_two(0.0), power_of_two(1e155) == 2.0**515
        (1.0, 1.0, True)
    """
    if not 0 < size < math.inf or 1 / _ORDINARY < size < _ORDINARY:
        return 1.0
    return 2.0 ** max(-1000, math.frexp(size)[1])


def unit_of(means: Tensor, variances: Tensor) -> float:
    """The power of two that features of these class means and variances are counted in."""
    spread = float(variances.nan_to_num(posinf=0.0).max()) ** 0.5
    return power_of_two(max(float(means.nan_to_num().abs().max()), spread))


def directions(rows: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
    """Rows at unit norm, each scaled (exactly) before it is squared; a zero row stays zero.

    Examples:
        >>> directions(torch.tensor([[3e-200, 4e-200], [0.0, 0.0]], dtype=torch.float64)).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    peaks = rows.abs().amax(dim=1, keepdim=True)
    exponents = torch.frexp(peaks).exponent.clamp(min=-1000, max=1000)
    scaled = rows / torch.exp2(exponents.double())
    norms = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    return scaled.div_(norms.where(norms > 0, 1))


@dataclass(eq=False)
class Rows:
    """Rows (K', d) of one kind in units of `unit`, and less their mean, with what several metrics derive from them."""

    raw: Tensor
    centred: Tensor
    classes: Tensor  # (K',) their numbers
    is_zero: Tensor  # (K',) whether a row is zero, up to rounding
    is_central: Tensor  # (K',) whether a row is the mean of all, up to rounding
    unit: float
    precision: Precision | None = None  # of the features the rows are means of; None for a classifier, which is exact
    made: dict[Hashable, Any] = field(default_factory=dict, init=False)  # by functions that are `shared`

    def need_nonzero(self, *, centred: bool) -> Tensor:
        """The rows at unit norm, formed anew each time; `Absent` where one is zero and has no direction."""
        lost = self.classes[self.is_central if centred else self.is_zero]
        if len(lost):
            which = "equals the global mean" if centred else "is zero"
            raise Absent(f"the row of class {int(lost[0])} {which} and has no direction")
        return directions(self.of(centred=centred))

    def need_spread(self) -> Tensor:
        """The rows about their mean; `Absent` where they all coincide with it."""
        if bool(self.is_central.all()):
            raise Absent("all rows are zero" if not bool(self.raw.any()) else "all rows coincide, up to rounding")
        return self.centred

    def of(self, *, centred: bool) -> Tensor:
        """The rows, raw or about their mean."""
        return self.centred if centred else self.raw

    @shared
    def gram(self, *, centred: bool) -> Tensor:
        """Inner products (d, d) of the columns."""
        rows = self.of(centred=centred)
        return rows.T @ rows

    @cached_property
    def centred_spectrum(self) -> tuple[Tensor, Tensor]:
        """Spreads (r,) and directions (d, r) of the centred rows, without those that the features do not resolve."""
        assert self.precision is not None  # noqa: S101 - class means have one
        rows, gram, rank = self._scaled(centred=True)
        return resolved_spectrum(rows, self.precision, rank, gram)

    @shared
    def spread(self, *, centred: bool) -> Tensor:
        """Singular values of the rows over sqrt(K'), (r,), without those that are rounding."""
        if centred:
            self.need_spread()
            if self.precision is not None:
                return self.centred_spectrum[0]  # whose directions are needed too
        rows, gram, rank = self._scaled(centred=centred)
        s = singular_values(rows, gram)[:rank]
        if self.precision is None:
            return s[s > cut_off(s, *rows.shape)]
        return s if is_resolved(s, rows, self.precision) else resolved_spectrum(rows, self.precision, rank, gram)[0]

    def _scaled(self, *, centred: bool) -> tuple[Tensor, Tensor | None, int]:
        """Rows whose singular values are spreads, their Gram matrix where it is the smaller one, and their largest rank."""
        K, d = self.raw.shape
        gram = self.gram(centred=centred) / K if K >= d else None
        return self.of(centred=centred) / K**0.5, gram, min(K - centred, d)

    @cached_property
    def pairs(self) -> PairSums:
        """Sums over pairs of the directions of the rows."""
        return pair_sums(self.need_nonzero(centred=False))

    @cached_property
    def centred_pairs(self) -> PairSums:
        """Sums over pairs of the directions of the centred rows."""
        return pair_sums(self.need_nonzero(centred=True))
