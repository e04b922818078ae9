"""What is known of the best K points in d dimensions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from ..._types import Float

Status = Literal["proved", "record", "found", "bound"]


@dataclass(frozen=True)
class Optimum:
    """What is known of the best K unit vectors in d dimensions.

    Attributes:
        K: number of points (classes).
        d: dimension.
        margin: the largest margin rho, the smallest one-vs-rest distance of a code (the softmax code of arXiv 2310.05351).
        max_cosine: the smallest maximal cosine s (the spherical code or Tammes problem); rho >= 1 - s for every code.
        status: of the margin. ``"proved"``: no code does better. ``"record"``: the best on public record,
            which another code might beat. ``"found"``: where a search of ours ended, or what a larger code or a construction
            gives: others may know better. ``"bound"``: no code does better, and none this good is known.
        max_cosine_status: the same of the maximal cosine.
        source: where the numbers come from, a sentence.
        family: whether codes of different shape reach the optimum, so that distance to ``points`` says nothing.
        build: makes ``points``; None where no coordinates are at hand.
    """

    K: int
    d: int
    margin: float
    max_cosine: float
    status: Status
    max_cosine_status: Status
    source: str
    family: bool = False
    build: Callable[[], Tensor] | None = field(default=None, compare=False)

    @property
    def points(self) -> Float[Tensor, "K d"] | None:
        """Unit rows that reach these values, made anew at each use; None where no coordinates are at hand."""
        return None if self.build is None else self.build()
