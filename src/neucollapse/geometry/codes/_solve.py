"""``solve``: search for the best code of a problem, over many starts and processes, to the last digit where it can."""

import math
import os
from pathlib import Path
from time import monotonic
from typing import Any

from ..._errors import InputError, SolverError
from ..._names import names_options
from ..frames import simplex, tight_frame
from ._problems import PROBLEMS, MaximumGramDeterminant, Problem
from ._solution import Outcome, Solution

_IN_PROCESS = 400  # K d starts up to which starting processes takes longer than the search
_SHORT = 20.0  # seconds of a budget up to which it does
_STREAMED_FROM = 4000  # points
_STREAMED_FOR = 60.0  # seconds, where no budget was given


@names_options
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
    grows as the cube of K (d-1), to minutes at 6,000, its limit.

    A softmax code is searched as a spherical code, and the margin taken exactly: where the optimality conditions of the
    spherical code hold, it is 1 - max cosine.

    Beyond 4,000 points one start, from a construction where there is one, goes downhill in tiles until the budget ends (a
    minute by default); a softmax value is then the lower bound 1 - max cosine.

    Args:
        problem: ``SoftmaxCode(K, d)``, ``SphericalCode(K, d)``, ``GrassmannianFrame``, ``MinimumEnergy``, ...
        seed: the same seed and number of starts (no budget) give the same code, whatever the number of workers.
        starts: how many; by default 32, or as many as the budget allows. Where the budget ends before they are done, or
            before the first batch is, ``result`` says so.
        budget: seconds for the whole call. Starts, polish and certificate look at the clock: what it cuts short is left as
            good as it is, and the certificate says what it leaves out. Compiling, once after an installation, is not counted.
        target: stop after the batch whose best value is as good as this, to 1e-10.
        workers: processes, one thread each; by default one for small or short searches, else one a core. No more than 16
            are of use.
        checkpoint: a file to keep the search in. If it exists, the search goes on from there.
        progress: show a bar on standard error, where that is a terminal.
        throw: raise ``SolverError`` (which holds the solution) unless everything asked for was done.

    Returns:
        A ``Solution``. An interrupt (Ctrl-C), or the end of a worker process before its time, returns the best code so
        far, every finished start counted, and says so in ``result``.

    Raises:
        InputError: unusable arguments. FileFormatError: a checkpoint that is damaged or of another search.
        SolverError: with ``throw``, where the search was interrupted, out of time or lost a worker.

    Example:
        >>> from neucollapse.geometry import SoftmaxCode
        >>> solution = solve(SoftmaxCode(7, 3), starts=16)
        >>> round(solution.value, 12), solution.result.name
        (0.789861687269, 'POLISHED')
    """
    _check(problem, seed, starts, budget, target, workers)
    if isinstance(problem, MaximumGramDeterminant):
        return _closed_form(problem)
    from ._multistart import Plan, search, search_in_tiles

    begin = monotonic()
    streamed = problem.K > _STREAMED_FROM and problem.kind in ("spherical", "softmax")
    seconds = _STREAMED_FOR if streamed and budget is None else budget
    plan = Plan(
        problem,
        seed,
        starts,
        target,
        workers or _processes(problem, starts or 32, budget),
        None if checkpoint is None else Path(checkpoint),
        progress,
        begin,
        deadline=None if seconds is None else begin + seconds,
    )
    solution = search_in_tiles(plan) if streamed else search(plan)
    if throw and not solution.result.finished:
        raise SolverError(solution.result.value, solution)
    return solution


def _check(problem: Any, seed: Any, starts: Any, budget: Any, target: Any, workers: Any) -> None:
    if not isinstance(problem, Problem):
        names = ", ".join(kind.__name__ for kind in PROBLEMS.values())
        raise InputError(f"expected a problem such as SoftmaxCode(K, d), one of {names}; got {problem!r}")
    check_counts(seed, starts, workers)
    if budget is not None and not (_is_number(budget) and 0 < budget < math.inf):
        raise InputError(f"expected budget as a number of seconds above 0, got {budget!r}")
    if target is not None and not (_is_number(target) and math.isfinite(target)):
        raise InputError(f"expected target as a number, the value to stop at, got {target!r}")


def check_counts(seed: Any, starts: Any, workers: Any) -> None:
    """Refuse what counts nothing; None stands for the default."""
    for name, value, least in (("seed", seed, 0), ("starts", starts, 1), ("workers", workers, 1)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise InputError(f"expected {name} as a whole number >= {least}, got {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _processes(problem: Problem, starts: int, budget: float | int | None) -> int:
    short = problem.K * problem.d * min(starts, 64) <= _IN_PROCESS * 16 or (budget is not None and budget <= _SHORT)
    return 1 if short else os.cpu_count() or 1


def _closed_form(problem: Problem) -> Solution:
    K, d = problem.K, problem.d
    points = simplex(K, d) if d >= K - 1 else tight_frame(K, d)
    source = "Closed form: a unit-norm tight frame of zero sum."
    return Solution(problem, points, problem.value(points), Outcome.PROVED, source)
