"""``best_code``: the best code to be had for (K, d), from whichever way is best; and the smallest d for a margin."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ..._errors import InputError
from ..._names import names_options, unknown_name
from .._clock import deadline, left
from .._rows import check_size
from ..bounds import best_bound, margin_gamma
from ..codes import MaximumGramDeterminant, MinimumEnergy, Outcome, Solution, solve
from ..codes._problems import PROBLEMS, Problem
from ..codes._solve import check_counts
from ..constructions import CATALOGUE, candidates, pad
from ..frames import coherence, max_cosine, mean_energy, orthonormal, simplex
from ..hull import one_vs_rest
from ._energies import best_known_energy
from ._entries import Atlas, Entry
from ._known import best_known, closed_form, shipped
from ._table import records

_SOLVED_UP_TO = 5000  # K d
_CERTIFIED_UP_TO = 1000  # points
_MEASURED_UP_TO = 3_000  # points; a larger construction is taken at its proved maximal cosine
_MARGINS_UP_TO = 2000
_SAME = 1e-12
_MET = 1e-10  # values on record are printed to ten digits or more
_UNASKED = 60.0  # seconds of a search for a size of which nothing is known


class _Found(NamedTuple):
    points: Tensor
    source: str
    value: float
    max_cosine: float  # settles ties
    result: Outcome


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
    record or the best bound, and the best is kept: the result is never worse than any one way. ``source`` says which won.

    Args:
        K: number of points (classes); d: dimension.
        kind: ``"softmax"`` (largest margin, ties by the smaller maximal cosine), ``"spherical"`` (smallest maximal cosine),
            ``"grassmannian"`` (smallest coherence), ``"energy"`` (least mean Riesz energy of exponent ``s``) or
            ``"determinant"``.
        s: exponent of the energy.
        budget: seconds for the call, certificate included, to do better than what is known; 0 only looks up. By default 60
            where no code of that size is known and no ``starts`` are asked for, else 0.
        starts: bound the search by work in place of time: so many starts, whose result depends on the seed alone.
        seed: of the search.
        atlas: a file of your own codes, beside the shipped ones.
        workers: processes of the search, by default one a core.
        progress: show a bar on standard error while searching.

    Returns:
        A ``Solution``, whose ``result`` says how a search ended, also where a known code is the best. For K > 2,000 a
        softmax value is the lower bound 1 - max cosine of the margin; for K > 1,000 there is no certificate.

    Raises:
        InputError: an argument out of range, or nothing to start from: the search is for K d <= 5,000.

    Example:
        >>> [best_code(*size, budget=0).source.split(":")[0] for size in ((10, 9), (9, 3))]
        ['Simplex', 'Best known code']
    """
    problem = _problem(K, d, kind, s, budget)
    check_counts(seed, starts, workers)
    if isinstance(problem, MaximumGramDeterminant):
        return solve(problem)
    until, atlases = deadline(budget or None), _opened(atlas)
    ready = list(_ready_made(problem, atlases))
    best = _best(problem, ready)
    if best is not None and _is_proved(problem, best):
        return _solution(problem, best._replace(result=Outcome.PROVED), until=until)
    if not (_worth_a_search(problem, best, atlases, budget, starts) and left(until) > 0):
        return _solution(problem, _something(problem, best, budget), until=until)
    until = until or (deadline(_UNASKED) if starts is None else None)
    options: dict[str, Any] = {"seed": seed, "starts": starts, "workers": workers, "progress": progress}
    return _searched(problem, ready, until, options)


def _problem(K: int, d: int, kind: str, s: float | int, budget: float | int | None) -> Problem:
    check_size(K, d)
    if kind not in PROBLEMS:
        raise unknown_name("kind of code", kind, PROBLEMS)
    if budget is not None and not (_is_number(budget) and 0 <= budget < math.inf):
        raise InputError(f"expected budget as seconds, 0 or more, got {budget!r}")
    return MinimumEnergy(K, d, s) if kind == "energy" else PROBLEMS[kind](K, d)


def _searched(problem: Problem, ready: list[_Found], until: float | None, options: dict[str, Any]) -> Solution:
    """The best of the codes at hand and of a search."""
    found = solve(problem, budget=None if until is None else left(until), target=_goal(problem), **options)
    searched = _Found(found.points, found.source, found.value, max_cosine(found.points), found.result)
    best = _best(problem, [*ready, searched])
    if best is None or best is searched:
        return found
    if not found.result.finished:
        best = best._replace(result=found.result)
    return _solution(problem, best, found.stats, until)


def _something(problem: Problem, best: _Found | None, budget: float | int | None) -> _Found:
    if best is None:
        size = f"{problem.K} points in {problem.d} dimensions"
        raise InputError(
            f"no code of {size} is known, and a search is for K d <= {_SOLVED_UP_TO:,} and a budget above 0 only, got "
            f"K d = {problem.K * problem.d:,} and budget = {budget}. Try a larger d, or solve() with patience"
        )
    return best


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _worth_a_search(
    problem: Problem, best: _Found | None, atlases: list[Atlas], budget: float | int | None, starts: int | None
) -> bool:
    """Not where the goal is met, nor where nobody asked and a code of that size is at hand."""
    goal = _goal(problem)
    if problem.K * problem.d > _SOLVED_UP_TO or budget == 0:
        return False
    if best is not None and goal is not None:
        value = 1 - best.max_cosine if problem.kind == "softmax" else best.value
        if abs(value - goal) <= _MET or problem.better(value, goal):
            return False
    if budget is not None or starts is not None or problem.kind == "energy":
        return True
    kind = "lines" if problem.kind == "grassmannian" else "code"
    return all(atlas.get(problem.K, problem.d, kind) is None for atlas in atlases)


def _goal(problem: Problem) -> float | None:
    """The value at which to stop: that on record, or else one that no code exceeds."""
    K, d = problem.K, problem.d
    if problem.kind == "energy":
        return best_known_energy(K, d, problem.s).value  # type: ignore[attr-defined]
    record = records().get((K, d)) if problem.kind != "grassmannian" else None
    if record is None:
        return best_bound(K, d, problem.kind).value
    return 1 - record.max_cosine if problem.kind == "softmax" else record.max_cosine


def _opened(atlas: str | Path | Atlas | None) -> list[Atlas]:
    if atlas is None:
        return [shipped()]
    return [shipped(), atlas if isinstance(atlas, Atlas) else Atlas.load(atlas)]


def _ready_made(problem: Problem, atlases: list[Atlas]) -> Iterator[_Found]:
    K, d = problem.K, problem.d
    lines = problem.kind == "grassmannian"
    if lines and d >= K:
        yield _found(problem, orthonormal(K, d), "Orthonormal rows: coherence 0.")
        return
    closed = closed_form(K, d)
    if closed is not None and not lines and closed.points is not None:
        yield _found(problem, closed.points, closed.source)
        return
    if lines and d == K - 1:
        yield _found(problem, simplex(K, d), "Simplex: it meets Welch's bound.")
    kind = "lines" if lines else "code"
    own = [entry for atlas in atlases if (entry := atlas.get(K, d, kind)) is not None]
    for entry in own:
        yield _found(problem, entry.points, f"Best known code: {entry.source}.", entry=entry)
    most = min((entry.max_cosine for entry in own), default=math.inf)
    for c in candidates(K, d, kind)[:2]:
        if c.max_cosine > most:  # some codes are worth measuring, parts of worse ones are not
            continue
        exact = (c.K, c.d) == (K, d)
        source = (
            f"{'Construction' if exact else 'Part of a construction'}: {c.name} ({c.K} points in {c.d} dimensions)."
        )
        yield _found(problem, pad(c.build(K), d), source, c.max_cosine)
    holding = [entry for atlas in atlases for entry in atlas.containing(K, d, kind) if entry.max_cosine < most]
    for entry in sorted(holding, key=lambda entry: entry.max_cosine)[:1]:
        words = f"Part of the code of {entry.K} points in {entry.d} dimensions"
        yield _found(problem, pad(entry.points[:K], d), f"{words}: {entry.source}.")


def _found(
    problem: Problem, points: Tensor, source: str, at_most: float | None = None, *, entry: Entry | None = None
) -> _Found:
    """A code with its value; ``at_most`` is its proved maximal cosine, taken where measuring would be long.

    The numbers of an entry, whole, were worked out when its atlas was made or read.
    """
    if entry is not None and problem.kind != "energy":
        value = entry.margin if problem.kind == "softmax" else entry.max_cosine
        return _Found(points, source, value, entry.max_cosine, Outcome.FOUND)
    lines = problem.kind == "grassmannian"
    if at_most is not None and problem.K > _MEASURED_UP_TO:
        s = at_most
    else:
        s = coherence(points) if lines else max_cosine(points)
    if problem.kind == "energy":
        value = mean_energy(points, problem.s)  # type: ignore[attr-defined]
    elif problem.kind == "softmax":
        value = one_vs_rest(points).margin if problem.K <= _MARGINS_UP_TO else 1 - s
    else:
        value = s
    return _Found(points, source, value, s, Outcome.FOUND)


def _best(problem: Problem, found: list[_Found]) -> _Found | None:
    if not found:
        return None
    sign = -1 if problem.maximise else 1
    top = min(sign * one.value for one in found)
    tied = [one for one in found if sign * one.value <= top + _SAME]
    return min(tied, key=lambda one: round(one.max_cosine, 12))  # of equals the first: a known code before a search


def _is_proved(problem: Problem, best: _Found) -> bool:
    K, d = problem.K, problem.d
    if problem.kind == "energy":
        known = best_known_energy(K, d, problem.s)  # type: ignore[attr-defined]
        return known.status == "proved" and known.value is not None and best.value <= known.value * (1 + _SAME)
    if problem.kind == "softmax":
        closed = closed_form(K, d)
        return closed is not None and best.value >= closed.margin - _SAME
    record = records().get((K, d))
    if problem.kind == "spherical" and record is not None and record.proved and best.value <= record.max_cosine + 1e-14:
        return True
    return best.value <= best_bound(K, d, problem.kind).value + 1e-13


def _solution(
    problem: Problem, best: _Found, stats: dict[str, Any] | None = None, until: float | None = None
) -> Solution:
    from ..certificate._certify import Limits, certify_until

    certificate = None
    if problem.kind != "energy" and problem.K <= _CERTIFIED_UP_TO:
        certificate = certify_until(best.points, problem.kind, Limits(until))
        residual = certificate.kkt_residual
        if best.result is Outcome.FOUND and residual is not None and residual <= _SAME:
            best = best._replace(result=Outcome.POLISHED)
    return Solution(problem, best.points, best.value, best.result, best.source, stats or {}, certificate)


class RequiredDim(NamedTuple):
    """The smallest dimension of a code known to have a margin, and a dimension below which none can.

    Attributes:
        d: the dimension in which a known code reaches the margin.
        margin: the margin that this code has, at least.
        source: which code it is.
        at_least: no code of so many points in fewer dimensions reaches the margin (proved).
    """

    d: int
    margin: float
    source: str
    at_least: int


def required_dim(K: int, margin: float | int) -> RequiredDim:
    """The smallest dimension in which K points are known to have a margin, and a bound below it.

    Looked up, never solved for: a search may do with fewer dimensions, not with fewer than ``at_least``.

    Args:
        K: number of points (classes).
        margin: the one-vs-rest margin asked for, in (0, K/(K-1)].

    Raises:
        InputError: if K < 2, or no code of K points has such a margin in any dimension.

    Example:
        >>> [required_dim(1000, margin).d for margin in (1.001, 1.0, 0.9)]
        [999, 500, 256]
        >>> required_dim(1000, 0.9).at_least
        8
    """
    check_size(K, 1)
    if not 0 < margin <= K / (K - 1) + _SAME:
        raise InputError(f"expected a margin in (0, {K / (K - 1):.6g}], the largest of {K} points, got {margin!r}")
    dims = {2, math.ceil(K / 2), K - 1}
    dims |= {c.d for c in CATALOGUE if c.kind == "code" and c.K >= K}
    dims |= {entry.d for entry in shipped() if entry.K >= K} | {d for number, d in records() if number >= K}
    for d in sorted(d for d in dims if 1 <= d <= K - 1):
        known = best_known(K, d)
        if known.status != "bound" and known.margin >= margin - _SAME:
            return RequiredDim(d, known.margin, known.source, _no_fewer(K, margin, d))
    raise AssertionError("a simplex has the largest margin")


def _no_fewer(K: int, margin: float, known: int) -> int:
    if margin > 1 + _SAME:
        return K - 1
    for d in range(2, known):
        if K <= 2 * d or best_bound(K, d, "softmax").value >= margin or margin_gamma(K, d)[1] >= margin:
            return d
    return known
