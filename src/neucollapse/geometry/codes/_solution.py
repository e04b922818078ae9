"""What a solver returns: points, the value reached, how it ended in words, and a certificate."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from torch import Tensor

from ..._types import Float
from ..certificate import Certificate
from ..frames import max_cosine
from ..hull import one_vs_rest
from ._optimum import Optimum
from ._problems import Problem


class Outcome(Enum):
    """How a search ended; the value is a sentence."""

    PROVED = "No code does better: the value is a proved optimum."
    POLISHED = "The optimality conditions hold to rounding: no small change improves the code, another code might."
    FOUND = "The best code found; its optimality conditions do not hold to rounding."
    OUT_OF_TIME = (
        "The budget ended before the asked starts, or the first batch of them, were done: the best code until then."
    )
    INTERRUPTED = "The search was interrupted: the best code until then."
    WORKER_LOST = (
        "A worker process ended before its time, killed by someone or for want of memory: the best code until then."
    )

    @property
    def finished(self) -> bool:
        """Whether everything asked for was done."""
        return self not in (Outcome.OUT_OF_TIME, Outcome.INTERRUPTED, Outcome.WORKER_LOST)


@dataclass(frozen=True)
class Solution:
    """A code, its value, and how good it is known to be.

    Attributes:
        problem: what was asked.
        points: unit rows (K, d).
        value: what the problem optimises, of these points.
        result: how the search ended; ``result.value`` is a sentence.
        source: which way won: a closed form, a construction, the atlas, a search.
        stats: starts, seconds, seed and the like.
        certificate: optimality conditions, contacts, bounds; None where none is made (energies, very large codes).
    """

    problem: Problem
    points: Float[Tensor, "K d"]
    value: float
    result: Outcome
    source: str
    stats: dict[str, Any] = field(default_factory=dict)
    certificate: Certificate | None = None

    def optimum(self) -> Optimum:
        """The code as an ``Optimum``: its margin and maximal cosine, to compare a measurement with."""
        K, d = self.problem.K, self.problem.d
        margin, points = one_vs_rest(self.points).margin, self.points
        return Optimum(K, d, margin, max_cosine(points), "found", "found", self.source, build=lambda: points.clone())
