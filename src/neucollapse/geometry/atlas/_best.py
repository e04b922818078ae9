"""`best_code`: the best code to be had for (K, d), from whichever way is best."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ..._errors import InputError
from ..._names import names_options, unknown_name
from .._clock import deadline, left
from .._rows import check_size
from ..bounds import best_bound
from ..codes import MaximumGramDeterminant, MinimumEnergy, Optimum, Outcome, SoftmaxCode, Solution, solve
from ..codes._problems import PROBLEMS, Problem
from ..codes._solution import certified
from ..codes._solve import check_counts, is_number
from ..frames import max_cosine
from ._energies import best_known_energy
from ._entries import MARGINS_UP_TO, Atlas
from ._known import at_hand, closed_form, shipped
from ._records import records

_SOLVED_UP_TO = 5000  # K d
_CERTIFIED_UP_TO = 1000  # points
_MEASURED_UP_TO = 3_000  # points; a larger construction is taken at its proved maximal cosine
_SAME = 1e-12
_MET = 1e-10  # values on record are printed to ten digits or more
_UNASKED = 60.0  # seconds of a search for a size of which nothing is known


@names_options
def best_code(
    K: int,
    d: int,
    kind: str = "softmax",
    *,
    s: float | int = 1.0,
    budget: float | int | None = None,
    starts: int | None = None,
    seed: int = 0,
    atlas: str | Path | Atlas | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Solution:
    """The best code to be had: of closed forms, constructions and parts of them, the atlas, and a search.

    What is known is looked up first. It is returned at once where it is proved best, as good as the value on record, or,
    unless a search is asked for, of that very size in an atlas. Else a search is tried too, until it meets the value on
    record or the best bound, and the best is kept: the result is never worse than any one way. `source` says which won.

    Args:
        K: number of points (classes); d: dimension.
        kind: `"softmax"` (largest margin, ties by the smaller maximal cosine), `"spherical"` (smallest maximal cosine),
            `"grassmannian"` (smallest coherence), `"energy"` (least mean Riesz energy of exponent `s`) or `"determinant"`.
        s: exponent of the energy.
        budget: seconds for the call, certificate included, to do better than what is known; 0 only looks up. By default 60
            where no code of that size is known and no `starts` are asked for, else 0.
        starts: bound the search by work in place of time: so many starts, whose result depends on the seed alone.
        seed: of the search.
        atlas: a file of your own codes, beside the shipped ones.
        workers: processes of the search, by default one a core.
        progress: show a bar on standard error while searching.

    Returns:
        A `Solution`, whose `result` says how a search ended, also where a known code is the best. For K > 2,000 a
        softmax value is the lower bound 1 - max cosine of the margin; for K > 1,000 there is no certificate.

    Raises:
        InputError: an argument out of range, or nothing to start from: the search is for K d <= 5,000.

    Examples:
        >>> [best_code(*size, budget=0).source.split(":")[0] for size in ((10, 9), (9, 3))]
        ['Simplex', 'Best known code']
    """
    problem = _problem(K, d, kind, s)
    if budget is not None and not (is_number(budget) and 0 <= budget < math.inf):
        raise InputError(f"expected budget as seconds, 0 or more, got {budget!r}")
    check_counts(seed, starts, workers)
    if isinstance(problem, MaximumGramDeterminant):
        return solve(problem)
    until, atlases = deadline(budget or None), _opened(atlas)
    goal, proof = _goal(problem)
    ready = [
        _measured(problem, code, points) for code in _known(problem, atlases) if (points := code.points) is not None
    ]
    best = _best(problem, ready)
    if best is not None and proof and _reaches(best, goal, _SAME):
        return certified(replace(best, result=Outcome.PROVED), until, up_to=_CERTIFIED_UP_TO)
    asked = budget is not None or starts is not None or isinstance(problem, MinimumEnergy)
    held = any(atlas.get(K, d, problem.made_of) is not None for atlas in atlases)
    met = best is not None and _reaches(best, goal, _MET)
    if met or budget == 0 or (held and not asked) or K * d > _SOLVED_UP_TO or left(until) <= 0:
        return certified(_something(best, problem, budget), until, up_to=_CERTIFIED_UP_TO)
    until = until or (deadline(_UNASKED) if starts is None else None)
    seconds = None if until is None else left(until)
    found = solve(problem, seed=seed, starts=starts, budget=seconds, target=goal, workers=workers, progress=progress)
    best = _best(problem, [*ready, found])
    if best is None or best is found:
        return found
    result = best.result if found.result.finished else found.result
    return certified(replace(best, result=result, stats=found.stats), until, up_to=_CERTIFIED_UP_TO)


def _problem(K: int, d: int, kind: str, s: float | int) -> Problem:
    check_size(K, d)
    if kind not in PROBLEMS:
        raise unknown_name("kind of code", kind, PROBLEMS)
    return MinimumEnergy(K, d, s) if kind == "energy" else PROBLEMS[kind](K, d)


def _opened(atlas: str | Path | Atlas | None) -> list[Atlas]:
    if atlas is None:
        return [shipped()]
    return [shipped(), atlas if isinstance(atlas, Atlas) else Atlas.load(atlas)]


def _goal(problem: Problem) -> tuple[float | None, bool]:
    """The value at which to stop, on record or a bound, and whether it is proved that no code does better."""
    K, d = problem.K, problem.d
    if isinstance(problem, MinimumEnergy):
        known = best_known_energy(K, d, problem.s)
        return known.value, known.status == "proved"
    record = records().get((K, d)) if problem.made_of == "code" else None
    if record is None:
        return best_bound(K, d, problem.kind).value, True
    if isinstance(problem, SoftmaxCode):
        return 1 - record.max_cosine, False
    return record.max_cosine, record.proved


def _reaches(solution: Solution, goal: float | None, tolerance: float) -> bool:
    if goal is None or math.isinf(goal):
        return solution.value == goal
    off = goal - solution.value if solution.problem.maximise else solution.value - goal
    return off <= tolerance * max(1, abs(goal))


def _known(problem: Problem, atlases: Sequence[Atlas]) -> list[Optimum]:
    closed = closed_form(problem.K, problem.d, problem.made_of)
    return [closed] if closed is not None else [*at_hand(problem.K, problem.d, atlases, problem.made_of)]


def _measured(problem: Problem, code: Optimum, points: Tensor) -> Solution:
    """A code with its value; its known maximal cosine is taken where measuring would be long."""
    if isinstance(problem, SoftmaxCode) and problem.K > MARGINS_UP_TO:
        value = 1 - (max_cosine(points) if problem.K <= _MEASURED_UP_TO else code.max_cosine)
    elif isinstance(problem, MinimumEnergy) or problem.K <= _MEASURED_UP_TO:
        value = problem.value(points)
    else:
        value = code.max_cosine
    return Solution(problem, points, value, Outcome.FOUND, code.source)


def _best(problem: Problem, found: Sequence[Solution]) -> Solution | None:
    """The best; of equals the one of smallest maximal cosine, then the first: a known code before a search."""
    if not found:
        return None
    top = (max if problem.maximise else min)(one.value for one in found)
    tied = [one for one in found if one.value == top or abs(one.value - top) <= _SAME]
    if len(tied) == 1 or problem.made_of == "lines" or problem.K > _MEASURED_UP_TO:
        return tied[0]
    return min(tied, key=lambda one: round(max_cosine(one.points), 12))


def _something(best: Solution | None, problem: Problem, budget: float | int | None) -> Solution:
    if best is None:
        size = f"{problem.K} points in {problem.d} dimensions"
        raise InputError(
            f"no code of {size} is known, and a search is for K d <= {_SOLVED_UP_TO:,} and a budget above 0 only, got "
            f"K d = {problem.K * problem.d:,} and budget = {budget}. Try a larger d, or solve() with patience"
        )
    return best
