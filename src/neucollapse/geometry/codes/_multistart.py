"""What ``solve`` does once it is asked for a search: batches of starts, the polish, the certificate, and what came of them.

Loaded when a search begins, as it brings scipy and the compiled descent.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from torch import Tensor

from ..._errors import OptionError
from ..._progress import track
from .._clock import late, left
from ..certificate import Certificate, certify_energy
from ..certificate._certify import Limits, certify_until
from ..constructions import candidates, pad
from ..frames import max_cosine, unit_rows
from . import _checkpoint
from ._descent import ABSOLUTE, LOGARITHMIC, RIESZ, SIGNED
from ._polish import UNKNOWNS, polish
from ._problems import MinimumEnergy, Problem, SoftmaxCode
from ._search import BATCH, Goal, Search, is_quick
from ._solution import Outcome, Solution
from ._streaming import spread
from ._workers import WorkerLost, mapping

_STATIONARY = 1e-12  # residual of the optimality conditions that rounding leaves
_RIVALS = 1e-6  # candidates nearer than this to the best may overtake it in the polish
_FLAT = 1e-9  # relative gradient of an energy at its minimum, as far as L-BFGS goes
_CERTIFIED_UP_TO = 2000  # points
_UNLIMITED = 10**9
_MET = 1e-10  # a target nearer than this is met
_STREAMED_FROM = 4000  # points
_STREAMED_FOR = 60.0  # seconds, where no budget was given
_POLISHING = 0.4  # share of a budget kept for the polish, where codes are polished at the end alone


@dataclass(frozen=True)
class Plan:
    """What was asked of a search, checked."""

    problem: Problem
    seed: int
    starts: int | None
    target: float | int | None
    workers: int
    checkpoint: Path | None
    progress: bool
    budget: float | int | None
    begin: float = field(default_factory=monotonic)

    @property
    def streamed(self) -> bool:
        """Whether there are so many points that one start alone is lowered, in tiles."""
        return self.problem.K > _STREAMED_FROM and self.problem.kind in ("spherical", "softmax")

    @property
    def deadline(self) -> float | None:
        """When to end, on the monotonic clock."""
        seconds = _STREAMED_FOR if self.streamed and self.budget is None else self.budget
        return None if seconds is None else self.begin + seconds

    @property
    def goal(self) -> Goal:
        """The problem as the search takes it."""
        problem = self.problem
        if isinstance(problem, MinimumEnergy):
            return Goal(problem.K, problem.d, RIESZ if problem.s else LOGARITHMIC, float(problem.s))
        return Goal(problem.K, problem.d, ABSOLUTE if problem.kind == "grassmannian" else SIGNED)

    @property
    def polished_at_the_end(self) -> bool:
        """Whether the best codes are polished after the search alone: the middle sizes, of more than is quick."""
        problem = self.problem
        enough = problem.K * (problem.d - 1) <= UNKNOWNS
        return enough and not isinstance(problem, MinimumEnergy) and not is_quick(self.goal)


def run(plan: Plan) -> Solution:
    """Search as planned.

    Raises:
        OptionError: if an option has no use for so many points.
    """
    unused = [name for name in ("starts", "target", "checkpoint") if getattr(plan, name) is not None]
    if plan.streamed and unused:
        raise OptionError(
            f"solve uses no {unused[0]!r} for {plan.problem.K:,} points: beyond {_STREAMED_FROM:,} one start goes downhill "
            "until the budget ends; give budget= alone"
        )
    return _search_in_tiles(plan) if plan.streamed else _search(plan)


def _search(plan: Plan) -> Solution:
    found = Search(plan.goal, plan.seed)
    if plan.checkpoint is not None and plan.checkpoint.exists():
        _checkpoint.restore(found, plan.checkpoint)
    with _one_thread():
        outcome = _run(plan, found)
        try:
            points = _finish(plan, found)
        except KeyboardInterrupt:
            points, outcome = found.so_far()[0].points, Outcome.INTERRUPTED
    return _report(plan, found, points, outcome)


def _run(plan: Plan, found: Search) -> Outcome | None:
    """All batches; how they ended, None where nothing cut them short."""
    asked, until = plan.starts or (32 if plan.deadline is None else _UNLIMITED), plan.deadline
    if until is not None and plan.polished_at_the_end:
        until -= _POLISHING * left(until)
    total = None if plan.starts is None else -(-plan.starts // BATCH)
    try:
        with mapping(min(plan.workers, BATCH)) as map_:
            for _ in track(found.run(asked, map_, until), total, "searching", show=plan.progress):
                if plan.checkpoint is not None:
                    _checkpoint.save(found, plan.checkpoint)
                if plan.target is not None and _meets(plan.problem, found.best[0].value, plan.target):
                    return None
    except KeyboardInterrupt:
        return Outcome.INTERRUPTED
    except WorkerLost:
        return Outcome.WORKER_LOST
    return Outcome.OUT_OF_TIME if found.done < (plan.starts or 1) else None  # without a number, one batch at least


def _meets(problem: Problem, hard: float, target: float | int) -> bool:
    """Whether a code of that hard value is as good as the target; its margin is at least 1 - s."""
    value = 1 - hard if isinstance(problem, SoftmaxCode) else hard
    return abs(value - target) <= _MET or problem.better(value, target)


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


def _finish(plan: Plan, found: Search) -> np.ndarray:
    """The best candidate, after the polish where the search has not polished already."""
    best, goal = found.so_far(), plan.goal
    ends = [best[0].points]
    if plan.polished_at_the_end:
        rivals = [candidate.points for candidate in best if candidate.value < best[0].value + _RIVALS]
        ends += [polish(U, goal.kind, deadline=plan.deadline).points for U in rivals if not late(plan.deadline)]
    return min(ends, key=goal.value)


def _report(plan: Plan, found: Search, points: np.ndarray, outcome: Outcome | None) -> Solution:
    problem, W = plan.problem, torch.from_numpy(np.ascontiguousarray(points))
    certificate = _certificate(plan, W)
    if isinstance(problem, MinimumEnergy):
        stationary = certify_energy(W, problem.s).gradient <= _FLAT
    else:
        residual = None if certificate is None else certificate.kkt_residual
        stationary = residual is not None and residual <= _STATIONARY
    if outcome is None:
        outcome = Outcome.POLISHED if stationary else Outcome.FOUND
    margin = None if certificate is None else certificate.margin
    value = margin if isinstance(problem, SoftmaxCode) and margin is not None else problem.value(W)
    started = found.started()
    stats = {"seed": plan.seed, "starts": started, "seconds": monotonic() - plan.begin, "values": dict(found.values)}
    source = f"Found by search: the best of {started} starts with seed {plan.seed}."
    if not started:
        source = f"A few steps from the first start with seed {plan.seed}: the search ended before any start did."
    return Solution(problem, W, value, outcome, source, stats, certificate)


def _certificate(plan: Plan, W: Tensor) -> Certificate | None:
    if plan.problem.K > _CERTIFIED_UP_TO or isinstance(plan.problem, MinimumEnergy):
        return None
    return certify_until(W, plan.problem.kind, Limits(plan.deadline))


def _search_in_tiles(plan: Plan) -> Solution:
    """From a construction where there is one, else from random points, downhill in tiles until the deadline."""
    problem, (K, d) = plan.problem, (plan.problem.K, plan.problem.d)
    construction = next(iter(candidates(K, d)), None)
    if construction is not None:
        points, source = pad(construction.build(K), d), f"part of {construction.name}"
    else:
        points = torch.randn(K, d, generator=torch.Generator().manual_seed(plan.seed), dtype=torch.float64)
        points, source = points / points.norm(dim=1, keepdim=True), f"random points with seed {plan.seed}"
    best, first, outcome = points, None, Outcome.FOUND
    try:
        steps = spread(points, deadline=plan.deadline)
        for s, found in track(steps, None, "spreading", show=plan.progress):
            first = s if first is None else first
            best = points if s >= first else found
    except KeyboardInterrupt:
        outcome = Outcome.INTERRUPTED
    W = unit_rows(best)
    stats = {"seed": plan.seed, "seconds": monotonic() - plan.begin, "first": first}
    s = max_cosine(W)
    value = 1 - s if isinstance(problem, SoftmaxCode) else s
    return Solution(problem, W, value, outcome, f"Found by search from {source}.", stats)
