"""The precision that features carry: one notion, used by every rank, pseudo-inverse, cut-off and decision.

A feature is known up to the rounding of its type, and up to the rounding of the arithmetic that made it. Behind a
LayerNorm, for instance, features lie in a hyperplane; along its normal there is rounding, and no signal.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .._types import Float

# Rounding to a type has a standard deviation of 0.21-0.29 eps; a matrix of it has the singular values of random numbers.
_STORAGE = 0.5
# Rounding of the arithmetic along the worst direction, in units of sqrt(d) eps. Networks in float32 were measured at
# 0.05-0.14 (LayerNorm, bottlenecks, rotations), and at 8.5 for a LayerNorm whose input has 30 times its spread as offset.
_ARITHMETIC = 16.0


@dataclass(frozen=True)
class Precision:
    """What can be told apart in features of a type and size.

    Attributes:
        dtype: the coarsest type the features arrived in.
        size: root mean square of each coordinate, (d,) float64; rounding to the type is relative to it.
        spread: standard deviation of each coordinate about the mean of all samples, (d,) float64; rounding of the
            arithmetic is relative to it, since a common offset is added last.
        num_samples: N.
    """

    dtype: torch.dtype
    size: Float[Tensor, "d"]
    spread: Float[Tensor, "d"]
    num_samples: int

    @classmethod
    def of(
        cls,
        dtype: torch.dtype,
        class_means: Float[Tensor, "K d"],
        weights: Float[Tensor, "K"],
        variances: Float[Tensor, "d"] | float,
        *,
        num_samples: int,
    ) -> "Precision":
        """From class means, the share of each class, and the variance of each coordinate within classes."""
        about_mean = class_means - weights @ class_means
        size, spread = ((variances + weights @ rows.square()).sqrt() for rows in (class_means, about_mean))
        return cls(dtype, size, spread, num_samples)

    @property
    def storage(self) -> float:
        """Machine epsilon of the type of the features."""
        return torch.finfo(self.dtype).eps

    @property
    def arithmetic(self) -> float:
        """Machine epsilon of the arithmetic that made and summed the features: at least single precision."""
        return min(self.storage, torch.finfo(torch.float32).eps)

    @property
    def name(self) -> str:
        """The type in words: `float32`."""
        return str(self.dtype).removeprefix("torch.")

    def noise(self, rows: int) -> Float[Tensor, "d"]:
        """Spread of each coordinate that rounding alone can give, along the worst direction.

        `rows` is how many vectors the spread is taken over: N samples, or K class means.
        """
        d = len(self.size)
        storage = _STORAGE * self.storage * (1 + (d / max(rows, 1)) ** 0.5)
        return torch.hypot(storage * self.size, _ARITHMETIC * d**0.5 * self.arithmetic * self.spread)

    def coincide(self, differences: Float[Tensor, "... d"]) -> Tensor:
        """Whether differences of vectors, (..., d), are nothing but rounding of every coordinate."""
        return (differences.abs() <= self.storage * self.size).all(dim=-1)
