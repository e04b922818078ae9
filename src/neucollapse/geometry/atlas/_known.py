"""``best_known``: the best margin and maximal cosine known for K points in d dimensions, looked up and never solved for."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.resources import as_file, files

import torch
from torch import Tensor

from ..._types import Float
from .._rows import check_size
from ..codes import Optimum
from ..codes._optimum import Status
from ..constructions import candidates, pad
from ..frames import orthoplex, polygon, simplex
from ._entries import Atlas, Entry
from ._table import Record, records

_SAME = 1e-9  # values on record are printed to ten digits or more


def best_known(K: int, d: int) -> Optimum:
    """The best margin and maximal cosine known for K unit vectors in d dimensions. A look-up: it never solves anything.

    ========================  ==================  =====================  ==============================================
    sizes                     margin              maximal cosine         status
    ========================  ==================  =====================  ==============================================
    K <= d+1                  K/(K-1)             -1/(K-1)               proved (Rankin): the simplex
    d = 2                     1 - cos(2 pi / K)   cos(2 pi / K)          proved: the polygon
    d+2 <= K <= 2d            1                   0                      proved (Rankin, Radon): a family of codes
    a value on record         of that code        of that code           record; the maximal cosine often proved
    a code of our search      of that code        of that code           found
    part of a larger code     at least its        at most its            found
    neither                   1                   0                      bound, not reached: ``best_code`` finds a code
    ========================  ==================  =====================  ==============================================

    Known are the codes of the shipped atlas, the values on record and the constructions. K points of a larger code, in as
    many dimensions or fewer, are as far apart as the whole code; a search for that size may well do better.

    Raises:
        InputError: if K < 2 or d < 1.

    References:
        Jiang et al., arXiv 2310.05351 (K <= 2d and d = 2); "Neural collapse in the orthoplex regime", arXiv 2603.20587
        (the family); H. Cohn's table of spherical codes and Lai et al. 2023 (d = 3).

    Example:
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
    known = [*_of_that_size(K, d), *_parts(K, d)]
    if known:
        top = max(optimum.margin for optimum in known)
        tied = [optimum for optimum in known if optimum.margin > top - _SAME]
        # One with coordinates where the numbers agree, and of that size rather than part of a larger one.
        return min(tied, key=lambda optimum: (optimum.status != "record", optimum.build is None, optimum.max_cosine))
    source = "No code is on record here; for K >= d+2 no margin exceeds 1 (Radon) and no maximal cosine is below 0 (Rankin 1955)."
    return Optimum(K, d, 1.0, 0.0, "bound", "bound", source)


def closed_form(K: int, d: int) -> Optimum | None:
    """The optimum where it is proved by a formula: K <= 2d, d = 1 and d = 2."""
    if d >= K - 1:
        build = partial(simplex, K, d)
        return _proved(K, d, K / (K - 1), -1 / (K - 1), "Simplex: the best for K <= d+1 (Rankin 1955).", build)
    if d == 1:
        two_ends = "On a line only two unit vectors differ, so with K > 2 some coincide."
        return _proved(K, d, 0.0, 1.0, two_ends, partial(_two_ends, K))
    if d == 2:
        points = polygon(K)
        chord = float((points[1] - points[0]).norm())
        source = "Regular polygon: the best in the plane (arXiv 2310.05351)."
        return _proved(K, d, chord**2 / 2, 1 - chord**2 / 2, source, partial(polygon, K))
    if 2 * d >= K:
        source = (
            "For d+2 <= K <= 2d the best margin is exactly 1 (Rankin 1955, arXiv 2310.05351), reached by a family of "
            "codes (arXiv 2603.20587); the points are one member, of the cross-polytope."
        )
        return _proved(K, d, 1.0, 0.0, source, partial(orthoplex, K, d), family=True)
    return None


@cache
def shipped() -> Atlas:
    """The atlas that comes with the package; a test verifies it, so reading it does not."""
    with as_file(files("neucollapse.geometry.atlas").joinpath("codes.safetensors")) as path:
        return Atlas.load(path, verify=False)


def _of_that_size(K: int, d: int) -> Iterator[Optimum]:
    """The value on record, with coordinates where a construction or the atlas meets it, and the code of the atlas."""
    record = records().get((K, d))
    if record is not None:
        status = "proved" if record.proved else "record"
        exact = next((c for c in candidates(K, d) if (c.K, c.d) == (K, d)), None)
        build = exact.build if exact is not None and exact.max_cosine <= record.max_cosine + _SAME else None
        yield _known(K, d, record, status, record.source, build)
    entry = shipped().get(K, d)
    if entry is None:
        return
    if record is not None and entry.max_cosine <= record.max_cosine + _SAME:
        status, source = ("proved" if record.proved else "record"), record.source
        yield _known(
            K, d, entry, status, source if entry.margin < record.margin + _SAME else entry.source, entry.points.clone
        )
    else:  # ours alone: nobody else is known to have tried, or someone did better
        source = f"Best code found here: {entry.source}."
        yield Optimum(K, d, entry.margin, entry.max_cosine, "found", "found", source, build=entry.points.clone)


def _known(
    K: int, d: int, values: Record | Entry, status: Status, source: str, build: Callable[[], Tensor] | None
) -> Optimum:
    """A code on record; of its margin no more is known where its cosine is proved."""
    source = f"Best known code: {source}."
    return Optimum(K, d, values.margin, values.max_cosine, "record", status, source, build=build)


def _parts(K: int, d: int) -> Iterator[Optimum]:
    """Codes of that size that nobody calls best, and parts of larger ones, whoever has their coordinates."""
    for c in candidates(K, d)[:1]:
        whole = f"{c.name} ({c.K} points in {c.d} dimensions)"
        source = f"Construction: {whole}." if (c.K, c.d) == (K, d) else f"Part of a construction: {whole}."
        build = partial(_part_of_construction, c, K, d)
        yield Optimum(K, d, 1 - c.max_cosine, c.max_cosine, "found", "found", source, build=build)
    entries = [entry for entry in shipped().containing(K, d) if (entry.K, entry.d) != (K, d)]
    if entries:
        best = max(entries, key=lambda entry: entry.margin)
        source = f"Part of the best known code of {best.K} points in {best.d} dimensions: {best.source}."
        build = partial(_part_of_entry, best, K, d)
        yield Optimum(K, d, best.margin, best.max_cosine, "found", "found", source, build=build)
    larger = [(size, record) for size, record in records().items() if size[0] >= K and size[1] <= d and size != (K, d)]
    if larger:
        (points, dims), record = min(larger, key=lambda one: one[1].max_cosine)
        source = f"Part of the best known code of {points} points in {dims} dimensions: {record.source}."
        yield Optimum(K, d, record.margin, record.max_cosine, "found", "found", source)


def _part_of_construction(construction, K: int, d: int) -> Float[Tensor, "K d"]:
    return pad(construction.build(K), d)


def _part_of_entry(entry: Entry, K: int, d: int) -> Float[Tensor, "K d"]:
    return pad(entry.points[:K], d)


def _proved(
    K: int, d: int, margin: float, s: float, source: str, build: Callable[[], Tensor], family: bool = False
) -> Optimum:
    return Optimum(K, d, margin, s, "proved", "proved", source, family, build)


def _two_ends(K: int) -> Float[Tensor, "K 1"]:
    return 1 - 2.0 * (torch.arange(K, dtype=torch.float64) % 2)[:, None]
