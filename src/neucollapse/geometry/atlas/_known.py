"""`best_known`: the best margin and maximal cosine known for K points in d dimensions, looked up and never solved for."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from importlib.resources import as_file, files

import torch
from torch import Tensor

from ..._types import Float
from .._rows import check_size
from ..codes import Optimum
from ..constructions import Construction, candidates, pad
from ..frames import orthonormal, orthoplex, polygon, simplex
from ._entries import Atlas, Entry
from ._records import Record, records

_SAME = 1e-9  # values on record are printed to ten digits or more


def best_known(K: int, d: int) -> Optimum:
    """The best margin and maximal cosine known for K unit vectors in d dimensions. A look-up: it never solves anything.

    | sizes                     | margin            | maximal cosine  | status                                          |
    | ------------------------- | ----------------- | --------------- | ----------------------------------------------- |
    | K <= d+1                  | K/(K-1)           | -1/(K-1)        | proved (Rankin): the simplex                    |
    | d = 2                     | 1 - cos(2 pi / K) | cos(2 pi / K)   | proved: the polygon                             |
    | d+2 <= K <= 2d            | 1                 | 0               | proved (Rankin, Radon): a family of codes       |
    | a value on record         | of that code      | of that code    | record; the maximal cosine often proved         |
    | a code of our search      | of that code      | of that code    | found                                           |
    | part of a larger code     | at least its      | at most its     | found                                           |
    | neither                   | 1                 | 0               | bound, not reached: `best_code` finds a code    |

    Known are the codes of the shipped atlas, the values on record and the constructions. K points of a larger code, in as
    many dimensions or fewer, are as far apart as the whole code; a search for that size may well do better.

    References:
        Jiang et al., arXiv 2310.05351 (K <= 2d and d = 2); "Neural collapse in the orthoplex regime", arXiv 2603.20587
        (the family); H. Cohn's table of spherical codes and Lai et al. 2023 (d = 3).

    Examples:
        >>> best = best_known(10, 3)
        >>> round(best.margin, 6), best.status
        (0.595606, 'record')
        >>> best_known(10, 9).points.shape
        torch.Size([10, 9])
        >>> best_known(10_000, 512).source
        'Part of a construction: Gold m=9 (262143 points in 511 dimensions).'
    """
    check_size(K, d)
    closed = closed_form(K, d)
    if closed is not None:
        return closed
    record = records().get((K, d))
    known = [*_on_record(K, d), *(_ranked(code, record) for code in at_hand(K, d, [shipped()]))]
    if known:
        top = max(optimum.margin for optimum in known)
        tied = [optimum for optimum in known if optimum.margin > top - _SAME]
        # One with coordinates where the numbers agree, and of that size rather than part of a larger one.
        return min(tied, key=lambda optimum: (optimum.status != "record", optimum.build is None, optimum.max_cosine))
    source = "No code is on record here; for K >= d+2 no margin exceeds 1 (Radon) and no maximal cosine is below 0 (Rankin 1955)."
    return Optimum(K, d, 1.0, 0.0, "bound", "bound", source)


def closed_form(K: int, d: int, kind: str = "code") -> Optimum | None:
    """The optimum where a formula proves it: for codes K <= 2d, d = 1 and d = 2; for lines K <= d+1."""
    if kind == "lines":
        if d >= K:
            return _proved(K, d, 1.0, 0.0, "Orthonormal rows: coherence 0.", partial(orthonormal, K, d))
        source = "Simplex: it meets Welch's bound."
        return _proved(K, d, 1 - 1 / d, 1 / d, source, partial(simplex, K, d)) if d == K - 1 else None
    if d >= K - 1:
        source = "Simplex: the best for K <= d+1 (Rankin 1955)."
        return _proved(K, d, K / (K - 1), -1 / (K - 1), source, partial(simplex, K, d))
    if d == 1:
        two_ends = "On a line only two unit vectors differ, so with K > 2 some coincide."
        return _proved(K, d, 0.0, 1.0, two_ends, lambda: 1 - 2.0 * (torch.arange(K)[:, None] % 2).double())
    if d == 2:
        margin, source = 2 * math.sin(math.pi / K) ** 2, "Regular polygon: the best in the plane (arXiv 2310.05351)."
        return _proved(K, d, margin, 1 - margin, source, partial(polygon, K))
    if 2 * d >= K:
        source = (
            "For d+2 <= K <= 2d the best margin is exactly 1 (Rankin 1955, arXiv 2310.05351), reached by a family of "
            "codes (arXiv 2603.20587); the points are one member, of the cross-polytope."
        )
        return replace(_proved(K, d, 1.0, 0.0, source, partial(orthoplex, K, d)), family=True)
    return None


def at_hand(K: int, d: int, atlases: Sequence[Atlas], kind: str = "code") -> Iterator[Optimum]:
    """Codes with coordinates: of that size in an atlas, of the constructions, and part of a larger code of an atlas.

    What is worse than a code of that size in an atlas is left out.
    """
    entries = [entry for atlas in atlases for entry in atlas.containing(K, d, kind)]
    least = math.inf
    for entry in (entry for entry in entries if (entry.K, entry.d) == (K, d)):
        least = min(least, entry.max_cosine)
        source = f"Best known code: {entry.source}."
        yield _found(K, d, entry.margin, entry.max_cosine, source, entry.points.clone)
    for c in candidates(K, d, kind)[:2]:
        if c.max_cosine <= least:
            whole = "Construction" if (c.K, c.d) == (K, d) else "Part of a construction"
            source = f"{whole}: {c.name} ({c.K} points in {c.d} dimensions)."
            build = partial(_part_of_construction, c, K, d)
            yield _found(K, d, 1 - c.max_cosine, c.max_cosine, source, build)
    larger = min(entries, key=lambda entry: entry.max_cosine, default=None)
    if larger is not None and larger.max_cosine < least:
        source = f"Part of the best known code of {larger.K} points in {larger.d} dimensions: {larger.source}."
        build = partial(_part_of_entry, larger, K, d)
        yield _found(K, d, larger.margin, larger.max_cosine, source, build)


def _on_record(K: int, d: int) -> Iterator[Optimum]:
    """The value on record of that size, and the best of larger ones."""
    record = records().get((K, d))
    if record is not None:
        yield _ranked(_found(K, d, record.margin, record.max_cosine, ""), record)
    larger = [(size, record) for size, record in records().items() if size[0] >= K and size[1] <= d and size != (K, d)]
    if larger:
        (points, dims), record = min(larger, key=lambda one: one[1].max_cosine)
        source = f"Part of the best known code of {points} points in {dims} dimensions: {record.source}."
        yield _found(K, d, record.margin, record.max_cosine, source)


def _ranked(code: Optimum, record: Record | None) -> Optimum:
    """The code with the status of the record, if it is as good; of its margin no more is known where its cosine is proved."""
    if record is None or code.max_cosine > record.max_cosine + _SAME:
        return code  # ours alone: nobody else is known to have tried, or someone did better
    source = f"Best known code: {record.source}." if code.margin < record.margin + _SAME else code.source
    return replace(code, status="record", max_cosine_status="proved" if record.proved else "record", source=source)


@cache
def shipped() -> Atlas:
    """The atlas that comes with the package; a test verifies it, so reading it does not."""
    with as_file(files("neucollapse.geometry.atlas").joinpath("codes.safetensors")) as path:
        return Atlas.load(path, verify=False)


def _part_of_construction(construction: Construction, K: int, d: int) -> Float[Tensor, "K d"]:
    return pad(construction.build(K), d)


def _part_of_entry(entry: Entry, K: int, d: int) -> Float[Tensor, "K d"]:
    return pad(entry.points[:K], d)


def _proved(K: int, d: int, margin: float, s: float, source: str, build: Callable[[], Tensor]) -> Optimum:
    return Optimum(K, d, margin, s, "proved", "proved", source, build=build)


def _found(K: int, d: int, margin: float, s: float, source: str, build: Callable[[], Tensor] | None = None) -> Optimum:
    return Optimum(K, d, margin, s, "found", "found", source, build=build)
