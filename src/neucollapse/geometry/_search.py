"""Multi-start search for codes: screen many starts, refine the best, hop on from there; in batches, over processes.

What is done depends on the seed alone, never on the number of processes: a batch is finished before the next is planned.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

import numpy as np

from ._descent import ABSOLUTE, LOGARITHMIC, RIESZ, SIGNED, anneal, descend, evaluate
from ._polish import polish
from ._starts import fresh, hop

BATCH = 16
_REFINED = 4  # of a batch
_LINE_TRIES = 9
_MANY = 150  # points from which batches are half as large
_GENTLE, _BRISK, _SHARP = 4.0, 16.0, 256.0  # sharpness of the gentle starts, and the range of the others
_SCREEN, _END, _SHARPEST = 1e4, 1e5, 1e6
_SCREEN_STEPS, _REFINE_STEPS = 60, 3000
_SMALL, _QUICK = 200, 1000  # unknowns up to which starts are brisk, and candidates polished as they are refined
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


def screen(goal: Goal, seed: int, start: int, origin: np.ndarray | None) -> Candidate:
    """A quick descent from start number ``start``: a fresh one, or a hop from ``origin``."""
    rng = np.random.default_rng([seed, start])
    U = fresh(goal.K, goal.d, rng, start) if origin is None else hop(origin, goal.kind, rng)
    if goal.kind in (RIESZ, LOGARITHMIC):
        U, _ = descend(U, goal.kind, goal.exponent, 1000, 1e-6)
    else:
        # A slow and gentle start falls into a good basin of a large code, and always into the same one of a small code.
        first, factor = _GENTLE, 1.3
        if is_small(goal):
            first = _GENTLE if start % 8 == 0 else _BRISK * (_SHARP / _BRISK) ** rng.random()
            factor = 3.0 if first < 50 or rng.random() < 0.5 else 1.6
        first = max(first, 50.0) if origin is not None else first  # a hop must not melt the code it came from
        if origin is None and goal.kind == SIGNED and goal.K % 2 == 0 and start % 5 == 1:
            U, first = _antipodal(goal, rng), _SCREEN
        U = anneal(U, goal.kind, first, _SCREEN, factor, _SCREEN_STEPS, 1e-10)
    return Candidate(goal.value(U), start, U)


def _antipodal(goal: Goal, rng: np.random.Generator) -> np.ndarray:
    """The best of a few searches for half as many lines, both ways along each.

    Many of the best codes are antipodal, few starts find them, and lines are quick.
    """
    half = Goal(goal.K // 2, goal.d, ABSOLUTE)
    tries = []
    for place in range(_LINE_TRIES):
        U = fresh(half.K, half.d, rng, 2 * place)  # random, cyclic and harmonic in turn
        first = _GENTLE * (_BRISK / _GENTLE) ** rng.random()
        tries.append(anneal(U, ABSOLUTE, first, _SCREEN, 3.0, _SCREEN_STEPS, 1e-10))
    lines = min(tries, key=half.value)
    return np.concatenate([lines, -lines])


def is_small(goal: Goal) -> bool:
    """Whether starts should be brisk, to be many different ones."""
    return goal.kind not in (RIESZ, LOGARITHMIC) and goal.K * (goal.d - 1) <= _SMALL


def is_quick(goal: Goal) -> bool:
    """Whether candidates are polished as they are refined."""
    return goal.kind not in (RIESZ, LOGARITHMIC) and goal.K * (goal.d - 1) <= _QUICK


def refine(goal: Goal, candidate: Candidate) -> Candidate:
    """The same code at the end of its slow modes, and where that is quick to the last digit."""
    U = candidate.points
    if goal.kind in (RIESZ, LOGARITHMIC):
        U, _ = descend(U, goal.kind, goal.exponent, 20000, 1e-13)
    elif is_quick(goal):
        end = polish(anneal(U, goal.kind, _SCREEN, _END, 10**0.5, _BRIEF, 1e-12), goal.kind, _END)
        if end.residual > _BALANCED:
            end = polish(anneal(U, goal.kind, _SCREEN, _END, 10**0.5, 10 * _BRIEF, 1e-12), goal.kind, _END)
        U = end.points
    else:
        U = anneal(U, goal.kind, _SCREEN, _END, 10**0.5, _REFINE_STEPS, 1e-12)
    return Candidate(goal.value(U), candidate.start, U)


def settle(goal: Goal, candidate: Candidate, seed: int, place: int) -> Candidate:
    """The code a little shaken and sharpened at once: rivals that part ways only at the last are 1e-7 apart in value."""
    U, rng = candidate.points, np.random.default_rng([seed, candidate.start, place])
    U = U + _SHAKE * rng.standard_normal(U.shape)
    U = U / np.linalg.norm(U, axis=1)[:, None]
    U = polish(anneal(U, goal.kind, _END, _SHARPEST, 10**0.5, _BRIEF, 1e-12), goal.kind, _SHARPEST).points
    return Candidate(goal.value(U), candidate.start, U)


@dataclass
class Search:
    """A search and how far it is; it can be stopped after any batch and goes on from there.

    Attributes:
        best: the refined candidates with distinct values, the best first.
        done: starts finished.
        values: hard values of all refined candidates, by start.
    """

    goal: Goal
    seed: int
    best: list[Candidate] = field(default_factory=list)
    done: int = 0
    values: dict[int, float] = field(default_factory=dict)

    def run(self, starts: int, map_: Callable[..., Any], deadline: float | None = None) -> Iterator[int]:
        """Go on until ``starts`` starts are done or time is up; yields the number done after each batch.

        From the second batch on, every other one hops from the best code so far.
        """
        while self.done < starts and not (deadline is not None and self.done and monotonic() > deadline):
            size = BATCH if self.goal.K <= _MANY else BATCH // 2
            batch = range(self.done, min(starts, self.done + size))
            hopping = (self.done // size) % 2 == 1 and bool(self.best)
            origins = [self.best[min(i % 4, len(self.best) - 1)].points if hopping else None for i in batch]
            screened = map_(
                screen, [(self.goal, self.seed, i, origin) for i, origin in zip(batch, origins, strict=True)]
            )
            chosen = self._promising(screened)
            for candidate in map_(refine, [(self.goal, candidate) for candidate in chosen]):
                self._keep(candidate)
            if is_small(self.goal) and self.best[0].start in batch:
                tries = [(self.goal, self.best[0], self.seed, k) for k in range(_SETTLES)]
                for candidate in map_(settle, tries):
                    self._keep(candidate)
            self.done = batch.stop
            yield self.done

    def _promising(self, screened: list[Candidate]) -> list[Candidate]:
        chosen: list[Candidate] = []
        for candidate in sorted(screened, key=lambda candidate: candidate[:2]):
            if len(chosen) < _REFINED and all(abs(candidate.value - other.value) > _SAME[0] for other in chosen):
                chosen.append(candidate)
        return chosen

    def _keep(self, candidate: Candidate) -> None:
        self.values[candidate.start] = candidate.value
        if all(abs(candidate.value - other.value) > _SAME[1] for other in self.best):
            self.best = sorted([*self.best, candidate], key=lambda candidate: candidate[:2])[:_REFINED]
