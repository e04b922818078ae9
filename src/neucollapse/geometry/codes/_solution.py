"""What is known of a code: the best of its size (`Optimum`), and what a solver returns (`Solution`), with a certificate."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal

from torch import Tensor

from ..._types import Float
from ..certificate import Certificate
from ..certificate._certify import Limits, certify_until
from ..frames import max_cosine
from ..hull import one_vs_rest
from ._problems import MinimumEnergy, Problem, SoftmaxCode

Status = Literal["proved", "record", "found", "bound"]
_STATIONARY = 1e-12  # residual of the optimality conditions that rounding leaves


@dataclass(frozen=True)
class Optimum:
    """What is known of the best K unit vectors in d dimensions.

    Attributes:
        K: number of points (classes).
        d: dimension.
        margin: the largest margin rho, the smallest one-vs-rest distance of a code (the softmax code of arXiv 2310.05351).
        max_cosine: the smallest maximal cosine s (the spherical code or Tammes problem); rho >= 1 - s for every code.
        status: of the margin. `"proved"`: no code does better. `"record"`: the best on public record, which another code
            might beat. `"found"`: where a search of ours ended, or what a larger code or a construction gives: others may
            know better. `"bound"`: no code does better, and none this good is known.
        max_cosine_status: the same of the maximal cosine.
        source: where the numbers come from, a sentence.
        family: whether codes of different shape reach the optimum, so that distance to `points` says nothing.
        build: makes `points`; None where no coordinates are at hand.
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
        result: how the search ended; `result.value` is a sentence.
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
        """The code as an `Optimum`: its margin and maximal cosine, to compare a measurement with."""
        K, d = self.problem.K, self.problem.d
        margin, points = one_vs_rest(self.points).margin, self.points
        return Optimum(K, d, margin, max_cosine(points), "found", "found", self.source, build=lambda: points.clone())


def certified(solution: Solution, until: float | None, *, up_to: int) -> Solution:
    """The solution with a certificate, up to so many points, and the margin and the result that follow from it."""
    problem = solution.problem
    if problem.K > up_to or isinstance(problem, MinimumEnergy):
        return solution
    certificate = certify_until(solution.points, problem.kind, Limits(until))
    value, result, residual = solution.value, solution.result, certificate.kkt_residual
    if isinstance(problem, SoftmaxCode) and certificate.margin is not None:
        value = certificate.margin
    if result is Outcome.FOUND and residual is not None and residual <= _STATIONARY:
        result = Outcome.POLISHED
    return replace(solution, value=value, result=result, certificate=certificate)
