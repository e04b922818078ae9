"""Multi-start search for codes: screen many starts, refine the best, hop on from there; in batches, over processes.

What is done depends on the seed alone, never on the number of processes: a batch is finished before the next is planned.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch

from ..._errors import FileFormatError
from ..._files import fitting_contents, load_tensors, save_tensors
from ..._progress import track
from .._clock import deadline, late, left
from ..certificate import certify_energy
from ..frames import max_cosine
from ._polish import polish
from ._problems import MinimumEnergy, Problem, SoftmaxCode
from ._search import Candidate, Goal, refine, screen, settle
from ._solution import Outcome, Solution, certified
from ._workers import Map, WorkerLost, mapping

SCHEMA = "neucollapse/search/1"
BATCH = 16
_MANY = 150  # points from which batches are half as large
_REFINED = 4  # of a batch
_SETTLES = 4  # tries to settle a new best code otherwise
_SCREENED_SAME, _SAME = 1e-7, 1e-11  # screened and refined values nearer than this are one code
_RIVALS = 1e-6  # candidates nearer than this to the best may overtake it in the polish
_FLAT = 1e-9  # relative gradient of an energy at its minimum, as far as L-BFGS goes
_MET = 1e-10  # a target nearer than this is met
_CERTIFIED_UP_TO = 2000  # points
_STARTS, _UNLIMITED = 32, 10**9
_POLISHING = 0.4  # share of a budget kept for the polish, where codes are polished at the end alone


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

    @property
    def batch(self) -> int:
        """Starts of a batch."""
        return BATCH if self.goal.K <= _MANY else BATCH // 2

    def run(self, starts: int, map_: Map, until: float | None = None) -> Iterator[int]:
        """Go on until `starts` starts are done or time is up; yields the number done after each batch.

        From the second batch on, every other one hops from the best code so far. A batch cut short is not counted: its
        candidates stay `under_way`.
        """
        while self.done < starts and not late(until):
            batch = range(self.done, min(starts, self.done + self.batch))
            hopping = (self.done // self.batch) % 2 == 1 and bool(self.best)
            origins = [self.best[min(i % 4, len(self.best) - 1)].points if hopping else None for i in batch]
            asked = [(self.goal, self.seed, i, origin) for i, origin in zip(batch, origins, strict=True)]
            screened = self._gathered(map_, screen, asked, until)
            chosen = _distinct(sorted(screened, key=_by_value), _SCREENED_SAME)
            refined = self._gathered(map_, refine, [(self.goal, candidate) for candidate in chosen], until)
            if late(until):
                return
            self._keep(refined)
            if self.goal.is_small and self.best[0].start in batch:
                tries = [(self.goal, self.best[0], self.seed, k) for k in range(_SETTLES)]
                settled = self._gathered(map_, settle, tries, until)
                if late(until):
                    return
                self._keep(settled)
            self.done, self.under_way = batch.stop, []
            yield self.done

    def so_far(self) -> list[Candidate]:
        """The best candidates with distinct values, the best first, an unfinished batch included; one at least."""
        found = [*self.best, *self.under_way] or [screen(self.goal, self.seed, 0, None, deadline=-math.inf)]
        return _distinct(found, _SAME)

    def started(self) -> int:
        """How many starts have come to an end, an unfinished batch included."""
        return self.done + len({candidate.start for candidate in self.under_way} - set(range(self.done)))

    def _gathered(
        self, map_: Map, function: Callable[..., Candidate], asked: Sequence[tuple[Any, ...]], until: float | None
    ) -> list[Candidate]:
        """The results in the order of what was asked, each kept as it comes."""
        found: dict[int, Candidate] = {}
        with closing(map_(function, [(*one, until) for one in asked], until)) as results:
            for place, candidate in results:
                found[place] = candidate
                self.under_way.append(candidate)
        return [found[place] for place in sorted(found)]

    def _keep(self, candidates: list[Candidate]) -> None:
        self.values |= {candidate.start: candidate.value for candidate in candidates}
        self.best = _distinct([*self.best, *candidates], _SAME)

    def save(self, path: Path) -> None:
        """Write the batches that are finished."""
        tensors = {f"points{i}": torch.from_numpy(candidate.points) for i, candidate in enumerate(self.best)}
        best = [[candidate.value, candidate.start] for candidate in self.best]
        values = {str(start): value for start, value in self.values.items()}
        metadata = {"goal": list(self.goal), "seed": self.seed, "done": self.done, "best": best, "values": values}
        save_tensors(path, tensors, schema=SCHEMA, metadata=metadata)

    def restore(self, path: Path) -> None:
        """Go to where the file is.

        Raises:
            FileFormatError: if the file is damaged or of another search.
        """
        tensors, rest = load_tensors(path, schema=SCHEMA)
        with fitting_contents(path):
            asked, held = [list(self.goal), self.seed], [rest["goal"], rest["seed"]]
            if asked != held:
                raise FileFormatError(
                    path, f"it holds another search: expected (K, d, ...) and seed {asked}, got {held}"
                )
            points = [tensors[f"points{i}"].numpy() for i in range(len(rest["best"]))]
            if any(U.shape != self.goal[:2] for U in points):
                raise ValueError("points of another shape")
            self.best = [Candidate(value, start, U) for (value, start), U in zip(rest["best"], points, strict=True)]
            self.done = int(rest["done"])
            self.values = {int(start): value for start, value in rest["values"].items()}


def _by_value(candidate: Candidate) -> tuple[float, int]:
    return candidate[:2]


def _distinct(candidates: list[Candidate], apart: float) -> list[Candidate]:
    """The best few, of equal values the first in the list."""
    kept: list[Candidate] = []
    for candidate in candidates:
        if all(abs(candidate.value - other.value) > apart for other in kept):
            kept.append(candidate)
    return sorted(kept, key=_by_value)[:_REFINED]


def multistart(
    problem: Problem,
    *,
    seed: int,
    starts: int | None,
    budget: float | int | None,
    target: float | int | None,
    workers: int,
    checkpoint: Path | None,
    progress: bool,
) -> Solution:
    """Search until the starts are done, the target is met or time is up; then polish and certify the best."""
    begin, until = monotonic(), deadline(budget)
    search = Search(Goal.of(problem), seed)
    if checkpoint is not None and checkpoint.exists():
        search.restore(checkpoint)

    def is_last_batch() -> bool:
        if checkpoint is not None:
            search.save(checkpoint)
        return target is not None and _meets(problem, search.best[0].value, target)

    with _one_thread():
        outcome = _run(search, starts, until, is_last_batch, workers=workers, progress=progress)
        try:
            points = _polished(search, until)
        except KeyboardInterrupt:
            points, outcome = search.so_far()[0].points, Outcome.INTERRUPTED
    started = search.started()
    source = f"Found by search: the best of {started} starts with seed {seed}."
    if not started:
        source = f"A few steps from the first start with seed {seed}: the search ended before any start did."
    solution = _certified(problem, points, outcome or Outcome.FOUND, source, until)
    stats = {"seed": seed, "starts": started, "seconds": monotonic() - begin, "values": dict(search.values)}
    return replace(solution, stats=stats)


def _run(
    search: Search,
    starts: int | None,
    until: float | None,
    is_last_batch: Callable[[], bool],
    *,
    workers: int,
    progress: bool,
) -> Outcome | None:
    """All batches; how they ended, None where nothing cut them short."""
    asked = starts or (_STARTS if until is None else _UNLIMITED)
    if until is not None and search.goal.is_polished_last:
        until -= _POLISHING * left(until)
    total = None if starts is None else -(-starts // search.batch)
    try:
        with mapping(min(workers, BATCH)) as map_:
            for _ in track(search.run(asked, map_, until), total, "searching", show=progress):
                if is_last_batch():
                    return None
    except KeyboardInterrupt:
        return Outcome.INTERRUPTED
    except WorkerLost:
        return Outcome.WORKER_LOST
    return Outcome.OUT_OF_TIME if search.done < (starts or 1) else None  # without a number, one batch at least


def _meets(problem: Problem, hard: float, target: float | int) -> bool:
    """Whether a code of that hard value is as good as the target; its margin is at least 1 - s."""
    value = 1 - hard if isinstance(problem, SoftmaxCode) else hard
    return abs(value - target) <= _MET or problem.better(value, target)


def _polished(search: Search, until: float | None) -> np.ndarray:
    """The best candidate, after the polish where the search has not polished already."""
    best, goal = search.so_far(), search.goal
    ends = [best[0].points]
    if goal.is_polished_last:
        rivals = [candidate.points for candidate in best if candidate.value < best[0].value + _RIVALS]
        ends += [polish(U, goal.kind, deadline=until).points for U in rivals if not late(until)]
    return min(ends, key=goal.value)


def _certified(problem: Problem, points: np.ndarray, outcome: Outcome, source: str, until: float | None) -> Solution:
    W, soft = torch.from_numpy(np.ascontiguousarray(points)), isinstance(problem, SoftmaxCode)
    # The margin of a softmax code comes with its certificate; until then the bound stands for it.
    value = 1 - max_cosine(W) if soft and problem.K <= _CERTIFIED_UP_TO else problem.value(W)
    if (
        isinstance(problem, MinimumEnergy)
        and outcome is Outcome.FOUND
        and certify_energy(W, problem.s).gradient <= _FLAT
    ):
        outcome = Outcome.POLISHED
    return certified(Solution(problem, W, value, outcome, source), until, up_to=_CERTIFIED_UP_TO)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Two BLAS threads make such small problems many times slower."""
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)
