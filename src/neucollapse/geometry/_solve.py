"""``solve``: search for the best code of a problem, over many starts and processes, to the last digit where it can."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch

from .._errors import FileFormatError, InputError, SolverError
from .._files import load_tensors, save_tensors
from .._progress import track
from ._cosines import max_cosine, unit_rows
from ._descent import ABSOLUTE, LOGARITHMIC, RIESZ, SIGNED
from ._frames import simplex
from ._polish import UNKNOWNS, polish
from ._search import BATCH, Candidate, Goal, Search, is_quick
from ._solution import Outcome, Solution
from ._streaming import spread
from ._tight import tight_frame
from .certificate import certify, certify_energy
from .constructions import candidates, pad
from .problems import MaximumGramDeterminant, MinimumEnergy, Problem, SoftmaxCode

SCHEMA = "neucollapse/search/1"
_STATIONARY = 1e-12  # residual of the optimality conditions that rounding leaves
_RIVALS = 1e-6  # candidates nearer than this to the best may overtake it in the polish
_FLAT = 1e-9  # relative gradient of an energy at its minimum, as far as L-BFGS goes
_IN_PROCESS = 400  # K d starts up to which starting processes takes longer than the search
_CERTIFIED_UP_TO = 2000  # points
_STREAMED_FROM = 4000  # points
_UNLIMITED = 10**9


def solve(
    problem: Problem,
    *,
    seed: int = 0,
    starts: int | None = None,
    budget: float | int | None = None,
    target: float | int | None = None,
    workers: int | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    throw: bool = False,
) -> Solution:
    r"""Search for the best K unit vectors in d dimensions.

    Starts are random, antipodal, cyclic or harmonic, and every other batch of 16 moves a few points of the best codes so
    far. Each start lowers a smooth maximum of the cosines, sharper from stage to stage, by L-BFGS:

    .. math:: f_p(W) = \frac1p \log \sum_{i \ne j} e^{p \langle w_i, w_j \rangle}, \qquad p \to 10^5 ,

    (or the energy itself); the best of a batch go to the end of their slow modes, and then (beyond K (d-1) = 1,000 the
    best of all alone) through a primal-dual interior-point method to the last digit. That is dense: its time
    grows as the cube of K (d-1), to minutes at 6,000, its limit, whatever the budget.

    A softmax code is searched as a spherical code, and the margin taken exactly: where the optimality conditions of the
    spherical code hold, it is 1 - max cosine.

    Beyond 4,000 points one start, from a construction where there is one, goes downhill in tiles until the budget ends (a
    minute by default); a softmax value is then the lower bound 1 - max cosine.

    Args:
        problem: ``SoftmaxCode(K, d)``, ``SphericalCode(K, d)``, ``GrassmannianFrame``, ``MinimumEnergy``, ...
        seed: the same seed and number of starts (no budget) give the same code, whatever the number of workers.
        starts: how many; by default 32, or as many as the budget allows.
        budget: seconds after which no new batch begins; at least one batch is always finished.
        target: stop as soon as the value is as good as this.
        workers: processes, one thread each; by default one for small searches, else one a core.
        checkpoint: a file to keep the search in. If it exists, the search goes on from there.
        progress: show a bar on standard error, where that is a terminal.
        throw: raise ``SolverError`` (which holds the solution) unless everything asked for was done.

    Returns:
        A ``Solution``. An interrupt (Ctrl-C) returns the best code so far, and says so in ``result``.

    Raises:
        InputError: unusable arguments. FileFormatError: a checkpoint that is damaged or of another search.
        SolverError: with ``throw``, where the search was interrupted or out of time.

    Example:
        >>> solution = solve(SoftmaxCode(7, 3), starts=16)
        >>> round(solution.value, 12), solution.result.name
        (0.789861687269, 'POLISHED')
    """
    _check(problem, seed, starts, budget, workers)
    if isinstance(problem, MaximumGramDeterminant):
        return _closed_form(problem)
    if problem.K > _STREAMED_FROM and problem.kind in ("spherical", "softmax"):
        return _large(problem, seed, 60.0 if budget is None else budget, progress)
    asked = starts or (32 if budget is None else _UNLIMITED)
    begin = monotonic()
    search = Search(_goal(problem), seed)
    if checkpoint is not None and Path(checkpoint).exists():
        _restore(search, Path(checkpoint))
    workers = workers or (1 if problem.K * problem.d * min(asked, 64) <= _IN_PROCESS * 16 else os.cpu_count() or 1)
    outcome = None
    with _one_thread(), _mapping(workers) as map_:
        try:
            deadline = None if budget is None else begin + budget
            rounds = search.run(asked, map_, deadline)
            for _ in track(rounds, None if starts is None else -(-asked // BATCH), "searching", show=progress):
                if checkpoint is not None:
                    _save(search, Path(checkpoint))
                if target is not None and not problem.better(target, _value(problem, search.best[0].value)):
                    break
            else:
                outcome = Outcome.OUT_OF_TIME if starts is not None and search.done < starts else None
        except KeyboardInterrupt:
            if not search.best:
                raise
            outcome = Outcome.INTERRUPTED
        points = _finish(problem, search.best)
    return _report(problem, search, points, outcome, monotonic() - begin, throw)


def _check(problem: Any, seed: Any, starts: Any, budget: Any, workers: Any) -> None:
    if not isinstance(problem, Problem):
        raise InputError(f"expected a problem such as SoftmaxCode(K, d), got {problem!r}")
    for name, value, least in (("seed", seed, 0), ("starts", starts, 1), ("workers", workers, 1)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise InputError(f"expected {name} as a whole number >= {least}, got {value!r}")
    if budget is not None and not (isinstance(budget, int | float) and 0 < budget < math.inf):
        raise InputError(f"expected budget as a number of seconds above 0, got {budget!r}")


def _goal(problem: Problem) -> Goal:
    if isinstance(problem, MinimumEnergy):
        return Goal(problem.K, problem.d, RIESZ if problem.s else LOGARITHMIC, float(problem.s))
    return Goal(problem.K, problem.d, ABSOLUTE if problem.kind == "grassmannian" else SIGNED)


def _value(problem: Problem, hard: float) -> float:
    """The value of the problem at a code of that hard value: 1 - s is what its margin is at least."""
    return 1 - hard if isinstance(problem, SoftmaxCode) else hard


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


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., list[Any]]]:
    """``map_(function, arguments)``, in this process or over several, with the results in order."""
    if workers == 1:
        yield lambda function, arguments: [function(*one) for one in arguments]
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", n_jobs=workers, inner_max_num_threads=1), Parallel() as pool:
        yield lambda function, arguments: list(pool(delayed(function)(*one) for one in arguments))


def _finish(problem: Problem, best: list[Candidate]) -> np.ndarray:
    """The best candidate, after the polish where the search has not polished already."""
    goal = _goal(problem)
    ends = [best[0].points]
    if not isinstance(problem, MinimumEnergy) and not is_quick(goal) and problem.K * (problem.d - 1) <= UNKNOWNS:
        rivals = [candidate for candidate in best if candidate.value < best[0].value + _RIVALS]
        ends += [polish(candidate.points, goal.kind).points for candidate in rivals]
    return min(ends, key=goal.value)


def _report(
    problem: Problem,
    search: Search,
    points: np.ndarray,
    outcome: Outcome | None,
    seconds: float,
    throw: bool,
) -> Solution:
    W = torch.from_numpy(np.ascontiguousarray(points))
    certificate = None
    if problem.K <= _CERTIFIED_UP_TO and problem.kind in ("spherical", "softmax", "grassmannian"):
        certificate = certify(W, kind=problem.kind)
    stationary = False
    if isinstance(problem, MinimumEnergy):
        stationary = certify_energy(W, problem.s).gradient <= _FLAT
    elif certificate is not None and certificate.kkt_residual is not None:
        stationary = certificate.kkt_residual <= _STATIONARY
    if outcome is None:
        outcome = Outcome.POLISHED if stationary else Outcome.FOUND
    stats = {"seed": search.seed, "starts": search.done, "seconds": seconds, "values": dict(search.values)}
    source = f"Found by search: the best of {search.done} starts with seed {search.seed}."
    solution = Solution(problem, W, problem.value(W), outcome, source, stats, certificate)
    if throw and not outcome.finished:
        raise SolverError(outcome.value, solution)
    return solution


def _closed_form(problem: Problem) -> Solution:
    K, d = problem.K, problem.d
    points = simplex(K, d) if d >= K - 1 else tight_frame(K, d)
    source = "Closed form: a unit-norm tight frame of zero sum."
    return Solution(problem, points, problem.value(points), Outcome.PROVED, source)


def _large(problem: Problem, seed: int, budget: float | int, progress: bool) -> Solution:
    """From a construction where there is one, else from random points, downhill in tiles until the budget ends."""
    begin, (K, d) = monotonic(), (problem.K, problem.d)
    construction = next(iter(candidates(K, d)), None)
    if construction is not None:
        points, source = pad(construction.build(K), d), f"part of {construction.name}"
    else:
        points = torch.randn(K, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        points, source = points / points.norm(dim=1, keepdim=True), f"random points with seed {seed}"
    best, first, outcome = points, None, Outcome.FOUND
    try:
        for s, found in track(spread(points, deadline=begin + budget), None, "spreading", show=progress):
            first = s if first is None else first
            best = points if s >= first else found
    except KeyboardInterrupt:
        outcome = Outcome.INTERRUPTED
    W = unit_rows(best)
    stats = {"seed": seed, "seconds": monotonic() - begin, "first": first}
    s = max_cosine(W)
    value = 1 - s if isinstance(problem, SoftmaxCode) else s
    return Solution(problem, W, value, outcome, f"Found by search from {source}.", stats)


def _save(search: Search, path: Path) -> None:
    tensors = {f"points{i}": torch.from_numpy(candidate.points) for i, candidate in enumerate(search.best)}
    best = [[candidate.value, candidate.start] for candidate in search.best]
    values = {str(start): value for start, value in search.values.items()}
    metadata = {"goal": list(search.goal), "seed": search.seed, "done": search.done, "best": best, "values": values}
    save_tensors(path, tensors, schema=SCHEMA, metadata=metadata)


def _restore(search: Search, path: Path) -> None:
    tensors, rest = load_tensors(path, schema=SCHEMA)
    try:
        asked, held = [list(search.goal), search.seed], [rest["goal"], rest["seed"]]
        if asked != held:
            raise FileFormatError(path, f"it holds another search: expected (K, d, ...) and seed {asked}, got {held}")
        search.best = [
            Candidate(value, start, tensors[f"points{i}"].numpy()) for i, (value, start) in enumerate(rest["best"])
        ]
        search.done = int(rest["done"])
        search.values = {int(start): value for start, value in rest["values"].items()}
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(path, f"its contents do not fit together ({error})") from None
