"""`solve`: search for the best code of a problem, over many starts and processes, to the last digit where it can."""

import math
import os
from pathlib import Path
from typing import Any

from ..._errors import InputError, OptionError, SolverError
from ..._names import names_options
from .._rows import check_whole
from ..frames import simplex, tight_frame
from ._problems import PROBLEMS, MaximumGramDeterminant, Problem
from ._solution import Outcome, Solution

_IN_PROCESS = 400  # K d starts up to which starting processes takes longer than the search
_SHORT = 20.0  # seconds of a budget up to which it does
_STREAMED_FROM = 4000  # points


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

    Starts are random, antipodal, cyclic or harmonic; every other batch of 16 moves a few points of the best codes so far.
    L-BFGS lowers a smooth maximum of the cosines (or the energy itself), sharper from stage to stage:

    $$f_p(W) = \frac1p \log \sum_{i \ne j} e^{p \langle w_i, w_j \rangle}, \qquad p \to 10^5 .$$

    A primal-dual interior-point method takes the best of each batch to the last digit; beyond K (d-1) = 1,000 it takes the
    best of all alone, and beyond 6,000 none. A softmax code is searched as a spherical code, and its margin taken exactly.
    Beyond 4,000 points one start goes downhill in tiles until the budget ends (a minute by default); a softmax value is
    then the lower bound 1 - max cosine.

    Args:
        problem: `SoftmaxCode(K, d)`, `SphericalCode(K, d)`, `GrassmannianFrame`, `MinimumEnergy`, ...
        seed: the same seed and number of starts (no budget) give the same code, whatever the number of workers.
        starts: how many; by default 32, or as many as the budget allows, one batch at least.
        budget: seconds for the call, the certificate included; compiling, once after an installation, is not counted.
        target: stop after the batch whose best value is as good as this, to 1e-10.
        workers: processes of one thread; by default one for small or short searches, else one a core, 16 at most.
        checkpoint: a file to keep the search in. If it exists, the search goes on from there; one that is damaged or of
            another search raises `FileFormatError`.
        progress: show a bar on standard error, where that is a terminal.
        throw: raise `SolverError` (which holds the solution) unless everything asked for was done.

    Returns:
        A `Solution`, whose `result` says how the search ended. An interrupt (Ctrl-C), the end of the budget or of a
        worker process before its time return the best code so far, every finished start counted.

    Raises:
        OptionError: an option that has no use for so many points; any other unusable argument raises `InputError`.
        SolverError: with `throw`, where the search was interrupted, out of time or lost a worker.

    Examples:
        >>> from neucollapse.geometry import SoftmaxCode
        >>> solution = solve(SoftmaxCode(7, 3), starts=16)
        >>> round(solution.value, 12), solution.result.name
        (0.789861687269, 'POLISHED')
    """
    _check(problem, seed, starts, budget, target, workers)
    if isinstance(problem, MaximumGramDeterminant):
        return _closed_form(problem)
    if problem.K > _STREAMED_FROM and problem.kind in ("spherical", "softmax"):
        for name, value in (("starts", starts), ("target", target), ("checkpoint", checkpoint)):
            if value is not None:
                raise OptionError(
                    f"solve uses no {name!r} for {problem.K:,} points: beyond {_STREAMED_FROM:,} one start goes downhill "
                    "until the budget ends; give budget= alone"
                )
        from ._streaming import solve_in_tiles

        solution = solve_in_tiles(problem, seed=seed, budget=budget, progress=progress)
    else:
        from ._multistart import multistart

        solution = multistart(
            problem, seed=seed, starts=starts, budget=budget, target=target,
            workers=workers or _processes(problem, starts or 32, budget),
            checkpoint=None if checkpoint is None else Path(checkpoint), progress=progress,
        )  # fmt: skip
    if throw and not solution.result.finished:
        raise SolverError(solution.result.value, solution)
    return solution


def _check(problem: Any, seed: Any, starts: Any, budget: Any, target: Any, workers: Any) -> None:
    if not isinstance(problem, Problem):
        names = ", ".join(kind.__name__ for kind in PROBLEMS.values())
        raise InputError(f"expected a problem such as SoftmaxCode(K, d), one of {names}; got {problem!r}")
    check_counts(seed, starts, workers)
    if budget is not None and not (is_number(budget) and 0 < budget < math.inf):
        raise InputError(f"expected budget as a number of seconds above 0, got {budget!r}")
    if target is not None and not (is_number(target) and math.isfinite(target)):
        raise InputError(f"expected target as a number, the value to stop at, got {target!r}")


def check_counts(seed: Any, starts: Any, workers: Any) -> None:
    """Refuse what counts nothing; None stands for the default."""
    for name, value, least in (("seed", seed, 0), ("starts", starts, 1), ("workers", workers, 1)):
        if value is not None:
            check_whole(value, name, least)


def is_number(value: Any) -> bool:
    """Whether it is a number of Python, no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _processes(problem: Problem, starts: int, budget: float | int | None) -> int:
    short = problem.K * problem.d * min(starts, 64) <= _IN_PROCESS * 16 or (budget is not None and budget <= _SHORT)
    return 1 if short else os.cpu_count() or 1


def _closed_form(problem: Problem) -> Solution:
    K, d = problem.K, problem.d
    points = simplex(K, d) if d >= K - 1 else tight_frame(K, d)
    source = "Closed form: a unit-norm tight frame of zero sum."
    return Solution(problem, points, problem.value(points), Outcome.PROVED, source)
