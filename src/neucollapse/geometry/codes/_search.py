"""Multi-start search for codes: screen many starts, refine the best, hop on from there; in batches, over processes.

What is done depends on the seed alone, never on the number of processes: a batch is finished before the next is planned.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .._clock import late
from ._descent import ABSOLUTE, LOGARITHMIC, RIESZ, SIGNED, anneal, evaluate, lower
from ._polish import polish
from ._starts import fresh, hop
from ._workers import Map

BATCH = 16
_REFINED = 4  # of a batch
_LINE_TRIES = 9
_MANY = 150  # points from which batches are half as large
_GENTLE, _BRISK, _SHARP = 4.0, 16.0, 256.0  # sharpness of the gentle starts, and the range of the others
_SCREEN, _END, _SHARPEST = 1e4, 1e5, 1e6
_SCREEN_STEPS, _REFINE_STEPS = 60, 3000
_SMALL, _QUICK = 200, 1000  # unknowns up to which starts are brisk, and up to which every refined candidate is polished
_BRIEF = 300  # steps of L-BFGS before a polish
_BALANCED = 1e-10  # residual of the optimality conditions above which the polish has lost its way
_SETTLES, _SHAKE = 4, 1e-3  # tries to settle a new best code otherwise, and how far it is shaken
_SAME = 1e-7, 1e-11  # screened and refined values nearer than this are one code


class Candidate(NamedTuple):
    """A code under way: its value (to be made small), the start it came from, its points."""

    value: float
    start: int
    points: np.ndarray


class Goal(NamedTuple):
    """What is searched for: K unit vectors in d dimensions with a small value of an objective of ``_descent``."""

    K: int
    d: int
    kind: int
    exponent: float = 0.0

    def value(self, U: np.ndarray) -> float:
        """The hard value: the largest (absolute) cosine, or the mean energy."""
        if self.kind in (RIESZ, LOGARITHMIC):
            return float(evaluate(U, self.kind, self.exponent)[0])
        G = U @ U.T
        G = np.abs(G) if self.kind == ABSOLUTE else G
        np.fill_diagonal(G, -1)
        return float(G.max())


def screen(
    goal: Goal, seed: int, start: int, origin: np.ndarray | None, deadline: float | None = None
) -> Candidate | None:
    """A quick descent from start number ``start``: a fresh one, or a hop from ``origin``. None where time is up already."""
    if late(deadline):
        return None
    return brief(goal, seed, start, origin, deadline)


def brief(goal: Goal, seed: int, start: int, origin: np.ndarray | None, deadline: float | None) -> Candidate:
    """The same, with a few steps at least."""
    rng = np.random.default_rng([seed, start])
    U = fresh(goal.K, goal.d, rng, start) if origin is None else hop(origin, goal.kind, rng)
    if goal.kind in (RIESZ, LOGARITHMIC):
        U = lower(U, goal.kind, goal.exponent, 1000, 1e-6, deadline=deadline)
    else:
        # A slow and gentle start falls into a good basin of a large code, and always into the same one of a small code.
        first, factor = _GENTLE, 1.3
        if is_small(goal):
            first = _GENTLE if start % 8 == 0 else _BRISK * (_SHARP / _BRISK) ** rng.random()
            factor = 3.0 if first < 50 or rng.random() < 0.5 else 1.6
        first = max(first, 50.0) if origin is not None else first  # a hop must not melt the code it came from
        if origin is None and goal.kind == SIGNED and goal.K % 2 == 0 and start % 5 == 1:
            U, first = _antipodal(goal, rng, deadline), _SCREEN
        U = _screened(U, goal.kind, first, factor, deadline)
    return Candidate(goal.value(U), start, U)


def _screened(U: np.ndarray, kind: int, first: float, factor: float, deadline: float | None) -> np.ndarray:
    steps, tolerance = _SCREEN_STEPS, 1e-10
    return anneal(U, kind, first, _SCREEN, factor=factor, iterations=steps, tolerance=tolerance, deadline=deadline)


def _sharpened(
    U: np.ndarray, kind: int, first: float, last: float, steps: int, *, deadline: float | None
) -> np.ndarray:
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


def is_small(goal: Goal) -> bool:
    """Whether starts should be brisk, to be many different ones."""
    return goal.kind not in (RIESZ, LOGARITHMIC) and goal.K * (goal.d - 1) <= _SMALL


def is_quick(goal: Goal) -> bool:
    """Whether every refined candidate is polished."""
    return goal.kind not in (RIESZ, LOGARITHMIC) and goal.K * (goal.d - 1) <= _QUICK


def refine(goal: Goal, candidate: Candidate, deadline: float | None = None) -> Candidate:
    """The same code at the end of its slow modes, and where that is quick to the last digit; to the deadline at most."""
    U = candidate.points
    if goal.kind in (RIESZ, LOGARITHMIC):
        U = lower(U, goal.kind, goal.exponent, 20000, 1e-13, deadline=deadline)
    elif is_quick(goal):
        for steps in (_BRIEF, 10 * _BRIEF):
            V = _sharpened(candidate.points, goal.kind, _SCREEN, _END, steps, deadline=deadline)
            end = polish(V, goal.kind, _END, deadline=deadline)
            U = min(U, V, end.points, key=goal.value) if late(deadline) else end.points
            if end.residual <= _BALANCED or late(deadline):
                break
    else:
        U = _sharpened(U, goal.kind, _SCREEN, _END, _REFINE_STEPS, deadline=deadline)
    return Candidate(goal.value(U), candidate.start, U)


def settle(goal: Goal, candidate: Candidate, seed: int, place: int, deadline: float | None = None) -> Candidate:
    """Shake the code a little and sharpen it: it may end in another one, whose value differs by no more than 1e-7."""
    U, rng = candidate.points, np.random.default_rng([seed, candidate.start, place])
    U = U + _SHAKE * rng.standard_normal(U.shape)
    U = U / np.linalg.norm(U, axis=1)[:, None]
    U = _sharpened(U, goal.kind, _END, _SHARPEST, _BRIEF, deadline=deadline)
    U = polish(U, goal.kind, _SHARPEST, deadline=deadline).points
    return Candidate(goal.value(U), candidate.start, U)


@dataclass
class Search:
    """A search and how far it is; it can be stopped after any batch and goes on from there.

    Attributes:
        best: the refined candidates with distinct values, the best first.
        done: starts finished.
        values: hard values of all refined candidates, by start.
        under_way: what has come of a batch that is not finished, in any order.
    """

    goal: Goal
    seed: int
    best: list[Candidate] = field(default_factory=list)
    done: int = 0
    values: dict[int, float] = field(default_factory=dict)
    under_way: list[Candidate] = field(default_factory=list)

    def run(self, starts: int, map_: Map, deadline: float | None = None) -> Iterator[int]:
        """Go on until ``starts`` starts are done or time is up; yields the number done after each batch.

        From the second batch on, every other one hops from the best code so far. A batch cut short is not counted: its
        candidates stay ``under_way``.
        """
        while self.done < starts and not late(deadline):
            size = BATCH if self.goal.K <= _MANY else BATCH // 2
            batch = range(self.done, min(starts, self.done + size))
            hopping = (self.done // size) % 2 == 1 and bool(self.best)
            origins = [self.best[min(i % 4, len(self.best) - 1)].points if hopping else None for i in batch]
            asked = [(self.goal, self.seed, i, origin) for i, origin in zip(batch, origins, strict=True)]
            screened = self._gathered(map_, screen, asked, deadline)
            chosen = [(self.goal, candidate) for candidate in self._promising(screened)]
            refined = self._gathered(map_, refine, chosen, deadline)
            if late(deadline):
                return
            self._keep(refined)
            if is_small(self.goal) and self.best[0].start in batch:
                tries = [(self.goal, self.best[0], self.seed, k) for k in range(_SETTLES)]
                settled = self._gathered(map_, settle, tries, deadline)
                if late(deadline):
                    return
                self._keep(settled)
            self.done, self.under_way = batch.stop, []
            yield self.done

    def so_far(self) -> list[Candidate]:
        """The best candidates with distinct values, the best first, an unfinished batch included; one at least."""
        found = [*self.best, *self.under_way] or [brief(self.goal, self.seed, 0, None, deadline=-math.inf)]
        return _distinct(found)

    def started(self) -> int:
        """How many starts have come to an end, an unfinished batch included."""
        return self.done + len({candidate.start for candidate in self.under_way} - set(range(self.done)))

    def _gathered(
        self, map_: Map, function: Callable[..., Any], asked: list[tuple[Any, ...]], deadline: float | None
    ) -> list[Candidate]:
        """The results in the order of what was asked, each kept as it comes."""
        found: dict[int, Candidate] = {}
        with closing(map_(function, [(*one, deadline) for one in asked], deadline)) as results:
            for place, candidate in results:
                if candidate is not None:
                    found[place] = candidate
                    self.under_way.append(candidate)
        return [found[place] for place in sorted(found)]

    def _promising(self, screened: list[Candidate]) -> list[Candidate]:
        chosen: list[Candidate] = []
        for candidate in sorted(screened, key=lambda candidate: candidate[:2]):
            if len(chosen) < _REFINED and all(abs(candidate.value - other.value) > _SAME[0] for other in chosen):
                chosen.append(candidate)
        return chosen

    def _keep(self, candidates: list[Candidate]) -> None:
        self.values |= {candidate.start: candidate.value for candidate in candidates}
        self.best = _distinct([*self.best, *candidates])


def _distinct(candidates: list[Candidate]) -> list[Candidate]:
    """The best few, of equal values the first that was found."""
    kept: list[Candidate] = []
    for candidate in candidates:
        if all(abs(candidate.value - other.value) > _SAME[1] for other in kept):
            kept.append(candidate)
    return sorted(kept, key=lambda candidate: candidate[:2])[:_REFINED]
