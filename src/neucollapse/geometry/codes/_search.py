"""What is done with one start of a search: a quick descent, the end of its slow modes, the last digits.

What comes of a start depends on the goal, the seed and its number alone.
"""

import math
from typing import NamedTuple

import numpy as np

from .._clock import late
from ._descent import ABSOLUTE, LOGARITHMIC, RIESZ, SIGNED, anneal, cosines, evaluate, lower, normalise
from ._polish import polish
from ._problems import MinimumEnergy, Problem
from ._starts import fresh, hop

_LINE_TRIES = 9
_GENTLE, _BRISK, _SHARP = 4.0, 16.0, 256.0  # sharpness of the gentle starts, and the range of the others
_SCREEN, _END, _SHARPEST = 1e4, 1e5, 1e6
_SCREEN_STEPS, _REFINE_STEPS = 60, 3000
_SMALL, _QUICK = 200, 1000  # unknowns up to which starts are brisk, and up to which every refined candidate is polished
_POLISHED = 6000  # and up to which the dense systems of the polish are worth their while
_BRIEF = 300  # steps of L-BFGS before a polish
_BALANCED = 1e-10  # residual of the optimality conditions above which the polish has lost its way
_SHAKE = 1e-3  # how far a new best code is shaken


class Candidate(NamedTuple):
    """A code under way: its value (to be made small), the start it came from, its points."""

    value: float
    start: int
    points: np.ndarray


class Goal(NamedTuple):
    """What is searched for: K unit vectors in d dimensions with a small value of an objective of `_descent`."""

    K: int
    d: int
    kind: int
    exponent: float = 0.0

    @classmethod
    def of(cls, problem: Problem) -> "Goal":
        """The problem as the search takes it: a softmax code is searched as a spherical one."""
        if isinstance(problem, MinimumEnergy):
            return cls(problem.K, problem.d, RIESZ if problem.s else LOGARITHMIC, float(problem.s))
        return cls(problem.K, problem.d, ABSOLUTE if problem.made_of == "lines" else SIGNED)

    def value(self, U: np.ndarray) -> float:
        """The hard value: the largest (absolute) cosine, or the mean energy."""
        return float(evaluate(U, self.kind, self.exponent)[0] if self.is_energy else cosines(U, self.kind).max())

    @property
    def is_energy(self) -> bool:
        """Whether it is smooth: it has no contacts to polish."""
        return self.kind in (RIESZ, LOGARITHMIC)

    @property
    def _unknowns(self) -> float:
        return math.inf if self.is_energy else float(self.K * (self.d - 1))

    @property
    def is_small(self) -> bool:
        """Whether starts should be brisk, to be many different ones."""
        return self._unknowns <= _SMALL

    @property
    def is_quick(self) -> bool:
        """Whether every refined candidate is polished."""
        return self._unknowns <= _QUICK

    @property
    def is_polished_last(self) -> bool:
        """Whether the best codes alone are polished, once the search has ended."""
        return _QUICK < self._unknowns <= _POLISHED


def screen(goal: Goal, seed: int, start: int, origin: np.ndarray | None, deadline: float | None) -> Candidate:
    """A quick descent from start number `start`: a fresh one, or a hop from `origin`; a few steps at least."""
    rng = np.random.default_rng([seed, start])
    U = fresh(goal.K, goal.d, rng, start) if origin is None else hop(origin, goal.kind, rng)
    if goal.is_energy:
        U = lower(U, goal.kind, goal.exponent, 1000, 1e-6, deadline=deadline)
        return Candidate(goal.value(U), start, U)
    # A slow and gentle start falls into a good basin of a large code, and always into the same one of a small code.
    first, factor = _GENTLE, 1.3
    if goal.is_small:
        first = _GENTLE if start % 8 == 0 else _BRISK * (_SHARP / _BRISK) ** rng.random()
        factor = 3.0 if first < 50 or rng.random() < 0.5 else 1.6
    first = max(first, 50.0) if origin is not None else first  # a hop must not melt the code it came from
    if origin is None and goal.kind == SIGNED and goal.K % 2 == 0 and start % 5 == 1:
        U, first = _antipodal(goal, rng, deadline), _SCREEN
    U = _screened(U, goal.kind, first, factor, deadline)
    return Candidate(goal.value(U), start, U)


def refine(goal: Goal, candidate: Candidate, deadline: float | None) -> Candidate:
    """The same code at the end of its slow modes, and where that is quick to the last digit; to the deadline at most."""
    U = candidate.points
    if goal.is_energy:
        U = lower(U, goal.kind, goal.exponent, 20000, 1e-13, deadline=deadline)
    elif goal.is_quick:
        for steps in (_BRIEF, 10 * _BRIEF):
            V = _sharpened(candidate.points, goal.kind, _SCREEN, _END, steps, deadline)
            end = polish(V, goal.kind, _END, deadline=deadline)
            U = min(U, V, end.points, key=goal.value) if late(deadline) else end.points
            if end.residual <= _BALANCED or late(deadline):
                break
    else:
        U = _sharpened(U, goal.kind, _SCREEN, _END, _REFINE_STEPS, deadline)
    return Candidate(goal.value(U), candidate.start, U)


def settle(goal: Goal, candidate: Candidate, seed: int, place: int, deadline: float | None) -> Candidate:
    """Shake the code a little and sharpen it: it may end in another one, whose value differs by no more than 1e-7."""
    U, rng = candidate.points, np.random.default_rng([seed, candidate.start, place])
    U = normalise(U + _SHAKE * rng.standard_normal(U.shape))
    U = _sharpened(U, goal.kind, _END, _SHARPEST, _BRIEF, deadline)
    U = polish(U, goal.kind, _SHARPEST, deadline=deadline).points
    return Candidate(goal.value(U), candidate.start, U)


def _screened(U: np.ndarray, kind: int, first: float, factor: float, deadline: float | None) -> np.ndarray:
    steps, tolerance = _SCREEN_STEPS, 1e-10
    return anneal(U, kind, first, _SCREEN, factor=factor, iterations=steps, tolerance=tolerance, deadline=deadline)


def _sharpened(U: np.ndarray, kind: int, first: float, last: float, steps: int, deadline: float | None) -> np.ndarray:
    return anneal(U, kind, first, last, factor=10**0.5, iterations=steps, tolerance=1e-12, deadline=deadline)


def _antipodal(goal: Goal, rng: np.random.Generator, deadline: float | None) -> np.ndarray:
    """The best of a few searches for half as many lines, both ways along each.

    Many of the best codes are antipodal, few starts find them, and lines are quick.
    """
    half = Goal(goal.K // 2, goal.d, ABSOLUTE)
    tries = []
    for place in range(_LINE_TRIES):
        U = fresh(half.K, half.d, rng, 2 * place)  # random, cyclic and harmonic in turn
        first = _GENTLE * (_BRISK / _GENTLE) ** rng.random()
        tries.append(_screened(U, ABSOLUTE, first, 3.0, deadline))
        if late(deadline):
            break
    lines = min(tries, key=half.value)
    return np.concatenate([lines, -lines])
