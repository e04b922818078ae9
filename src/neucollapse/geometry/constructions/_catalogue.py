"""Every construction of this room with its size, its maximal cosine and its source."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import sqrt
from typing import Any, Literal

from torch import Tensor

from ..._errors import InputError
from ..._types import Float
from .._rows import check_size
from ..frames import icosahedron, simplex
from . import _binary, _graphs, _leech, _polytopes, _roots
from ._exact import check_count
from ._operations import antipodal, halves

Kind = Literal["code", "lines"]


@dataclass(frozen=True)
class Construction:
    """A code, or a system of lines, that is known exactly.

    Attributes:
        name: what to call it, unique in the catalogue.
        K: number of points or lines.
        d: dimension.
        max_cosine: the largest cosine between two of them; for lines the coherence, the largest absolute cosine.
        source: a sentence or two: the object, why it is good, and who found it.
        kind: ``"code"`` (signed cosines) or ``"lines"`` (absolute ones).
        make: makes the first ``count`` rows, given that number.
    """

    name: str
    K: int
    d: int
    max_cosine: float
    source: str
    kind: Kind = "code"
    make: Callable[[int], Tensor] = field(kw_only=True, compare=False, repr=False)

    def build(self, count: int | None = None) -> Float[Tensor, "K d"]:
        """The unit rows, or the first ``count`` of them; the largest constructions only fit in memory in part.

        Raises:
            InputError: if ``count`` is not in 1..K.
        """
        return self.make(check_count(count, self.K))


def candidates(K: int, d: int, kind: str = "code") -> tuple[Construction, ...]:
    """The constructions that give K points (or lines) in d dimensions, the smallest maximal cosine first.

    They have K points or more, in d dimensions or fewer: ``pad(c.build(K), d)`` is the code. Empty where none is large enough.

    Raises:
        InputError: if K < 2 or d < 1, or ``kind`` is neither ``"code"`` nor ``"lines"``.

    Example:
        >>> [(c.name, c.d) for c in candidates(240, 8)]
        [('E8 roots', 8)]
    """
    check_size(K, d)
    if kind not in ("code", "lines"):
        raise InputError(f'expected kind "code" or "lines", got {kind!r}')
    fitting = [c for c in CATALOGUE if c.kind == kind and c.K >= K and c.d <= d]
    return tuple(sorted(fitting, key=lambda c: (c.max_cosine, c.K)))


def _code(
    name: str, K: int, d: int, max_cosine: float, source: str, function: Callable[..., Tensor], *arguments: Any
) -> Construction:
    """A code that ``function(*arguments)`` makes whole."""
    return Construction(name, K, d, max_cosine, source, make=lambda count: function(*arguments)[:count])


def _lines(
    name: str, K: int, d: int, coherence: float, source: str, function: Callable[..., Tensor], *arguments: Any
) -> Construction:
    """Lines that ``function(*arguments)`` makes whole, each once or both ways."""

    def make(count: int) -> Tensor:
        rows = function(*arguments)
        return (rows if len(rows) == K else halves(rows))[:count]

    return Construction(name, K, d, coherence, source, "lines", make=make)


def _both_ways(lines: Construction) -> Construction:
    source = f"Both directions of the {lines.K} lines. {lines.source}"
    return _code(
        f"{lines.name}, both ways", 2 * lines.K, lines.d, lines.max_cosine, source, lambda: antipodal(lines.build())
    )


_ROOTS = "Root system; see Conway and Sloane, Sphere Packings, Lattices and Groups, chapter 4."
_SHARP = "Sharp code, hence best of its size and universally optimal (Levenshtein 1992; Cohn and Kumar 2007)."
_EQUIANGULAR = "Equiangular lines, the most in this dimension (van Lint and Seidel 1966; Lemmens and Seidel 1973)."
_UNBIASED = "Mutually unbiased bases (Cameron and Seidel 1973), best possible by the orthoplex bound."


def _small_codes() -> list[Construction]:
    snub = "Best of its size (Robinson 1961)."
    cells = "Best of its size (Boroczky 1978) and universally optimal (Cohn and Kumar 2007)."
    petersen = "Best of its size, by semidefinite bounds (Bachoc and Vallentin 2009)."
    barnes_wall = "Shortest vectors of the Barnes-Wall lattice (1959), the most points known at 60 degrees in d = 16."
    t = _polytopes.TRIBONACCI
    return [
        *(_code(f"A{n} roots", n * (n + 1), n, 1 / 2, _ROOTS, _roots.a_roots, n) for n in range(3, 9)),
        *(_code(f"D{n} roots", 2 * n * (n - 1), n, 1 / 2, _ROOTS, _roots.d_roots, n) for n in range(3, 17)),
        _code("E6 roots", 72, 6, 1 / 2, _ROOTS, _roots.e6_roots),
        _code("E7 roots", 126, 7, 1 / 2, _ROOTS, _roots.e7_roots),
        _code("E8 roots", 240, 8, 1 / 2, f"Root system. {_SHARP}", _roots.e8_roots),
        _code("icosahedron", 12, 3, 1 / sqrt(5), _SHARP, icosahedron),
        _code("snub cube", 24, 3, t**2 / (1 + t**-2 + t**2), snub, _polytopes.snub_cube),
        _code("600-cell", 120, 4, (1 + sqrt(5)) / 4, cells, _polytopes.hexacosichoron),
        _code("Petersen", 10, 4, 1 / 6, petersen, _roots.petersen),
        _code("Clebsch", 16, 5, 1 / 5, _SHARP, _roots.clebsch),
        _code("Schlaefli", 27, 6, 1 / 4, _SHARP, _roots.schlaefli),
        _code("Gosset", 56, 7, 1 / 3, _SHARP, _roots.gosset),
        _code("Barnes-Wall", 4320, 16, 1 / 2, barnes_wall, _roots.barnes_wall),
    ]


def _sharp_codes() -> list[Construction]:
    section = f"Section of the Leech lattice. {_SHARP}"
    triangle_free = (
        "Points of a triangle-free strongly regular graph, proved best of their size by semidefinite bounds (Cohn, de Laat and "
        "Leijenhorst, arXiv 2403.16874)."
    )
    graph = f"Points of the Higman-Sims graph. {_SHARP}"
    vectors = f"Shortest vectors of the Leech lattice (1967). {_SHARP}"
    quadric = f"Points of an elliptic quadric (Cameron, Goethals and Seidel 1978). {_SHARP}"
    return [
        _code("McLaughlin 112", 112, 21, 1 / 9, section, _leech.mclaughlin_112),
        _code("McLaughlin 162", 162, 21, 1 / 7, section, _leech.mclaughlin_162),
        _code("McLaughlin", 275, 22, 1 / 6, section, _leech.mclaughlin),
        _code("Higman-Sims", 100, 22, 1 / 11, graph, _graphs.higman_sims),
        _code("Gewirtz", 56, 20, 1 / 15, triangle_free, _graphs.gewirtz),
        _code("Hoffman-Singleton", 50, 21, 1 / 21, triangle_free, _graphs.hoffman_singleton),
        _code("M22 graph", 77, 21, 1 / 12, triangle_free, _graphs.mesner),
        _code("Conway 891", 891, 22, 1 / 4, section, _leech.conway_891),
        _code("equiangular 552", 552, 23, 1 / 5, section, _leech.equiangular_552),
        _code("Conway 4600", 4600, 23, 1 / 3, section, _leech.conway_4600),
        Construction("Leech", 196560, 24, 1 / 2, vectors, make=_leech.leech),
        *(
            _code(
                f"isotropic q={q}", (q + 1) * (q**3 + 1), q * (q * q - q + 1), 1 / q**2, quadric, _graphs.isotropic, q
            )
            for q in (2, 3, 4, 5, 7, 8, 9)
        ),
    ]


def _large_codes() -> list[Construction]:
    return [
        *(_kerdock(m) for m in range(1, 7)),
        *(_delsarte_goethals(m, r) for m, r in ((3, 2), (4, 2), (5, 2), (5, 3))),
        *(_dual_bch(m, t) for m, t in ((5, 2), (7, 2), (7, 3), (9, 2), (9, 3), (11, 2), (11, 3))),
        *(_gold(m) for m in (3, 5, 7, 9, 11)),
    ]


def _kerdock(m: int) -> Construction:
    d, source = 4**m, f"Kerdock code: both directions of the vectors of d/2+1 bases. {_UNBIASED}"
    if 2 <= m <= 5:
        source = f"{source} Best of its size, by semidefinite bounds (Cohn, de Laat and Leijenhorst, arXiv 2403.16874)."
    return Construction(f"Kerdock m={m}", d * (d + 2), d, 1 / 2**m, source, make=partial(_binary.kerdock, m))


def _unbiased_lines(m: int) -> Construction:
    d, make = 4**m, partial(_binary.kerdock, m, lines=True)
    return Construction(f"unbiased bases m={m}", d * (d // 2 + 1), d, 1 / 2**m, _UNBIASED, "lines", make=make)


def _delsarte_goethals(m: int, r: int) -> Construction:
    d, source = 4**m, "Words of the Delsarte-Goethals code (Delsarte and Goethals 1975)."
    name, make = f"Delsarte-Goethals m={m} r={r}", partial(_binary.delsarte_goethals, m, r)
    return Construction(name, 2 * d * (d // 2) ** r, d, 2 ** (r - 1) / 2**m, source, make=make)


def _dual_bch(m: int, t: int) -> Construction:
    """For odd m: the largest correlation of the words is 2^((m+1)/2) for t = 2, twice that for t = 3 (Kasami 1969)."""
    d, source = (
        2**m,
        "Words of the extended dual BCH code and their opposites (MacWilliams and Sloane 1977, chapter 15).",
    )
    name, make = f"dual BCH m={m} t={t}", partial(_binary.dual_bch, m, t)
    return Construction(name, 2 * d**t, d, 2 ** ((m + 1) // 2 + t - 2) / d, source, make=make)


def _gold(m: int) -> Construction:
    d, source = 2**m - 1, "All shifts of the Gold sequences (Gold 1967)."
    largest = (2 ** ((m + 1) // 2) - 1) / d
    return Construction(f"Gold m={m}", d * (d + 2), d, largest, source, make=partial(_binary.gold, m))


def _new_lines() -> list[Construction]:
    """Lines that, both ways, are no code listed above."""
    paley = "Equiangular lines from a Paley conference matrix (Paley 1933), best possible by Welch's bound."
    return [
        *(
            _lines(f"Paley q={q}", q + 1, (q + 1) // 2, 1 / sqrt(q), paley, _graphs.paley_lines, q)
            for q in (9, 13, 17, 25, 29, 37, 41, 49, 53, 61, 73, 81, 89, 97, 101)
        ),
        _lines("equiangular 16", 16, 6, 1 / 3, _EQUIANGULAR, _roots.six_dimensional_lines),
        _lines("equiangular 36", 36, 15, 1 / 5, _EQUIANGULAR, _graphs.latin_square_lines),
        _lines("equiangular 126", 126, 21, 1 / 5, _EQUIANGULAR, _leech.equiangular_252),
        _lines("equiangular 176", 176, 22, 1 / 5, _EQUIANGULAR, _leech.equiangular_352),
    ]


def _halved_codes() -> list[Construction]:
    leech = "Shortest vectors of the Leech lattice (1967), best possible by Levenshtein's bound."
    return [
        _lines("equiangular 3", 3, 2, 1 / 2, _EQUIANGULAR, simplex, 3),
        _lines("icosahedron lines", 6, 3, 1 / sqrt(5), _EQUIANGULAR, icosahedron),
        _lines("equiangular 28", 28, 7, 1 / 3, _EQUIANGULAR, _roots.gosset),
        _lines("equiangular 276", 276, 23, 1 / 5, _EQUIANGULAR, _leech.equiangular_552),
        _lines("24-cell lines", 12, 4, 1 / 2, _ROOTS, _roots.d_roots, 4),
        _lines("E6 lines", 36, 6, 1 / 2, _ROOTS, _roots.e6_roots),
        _lines("E7 lines", 63, 7, 1 / 2, _ROOTS, _roots.e7_roots),
        _lines("E8 lines", 120, 8, 1 / 2, _ROOTS, _roots.e8_roots),
        _lines("Leech lines", 98280, 24, 1 / 2, leech, _leech.leech),
        *(_unbiased_lines(m) for m in range(1, 7)),
    ]


CATALOGUE: tuple[Construction, ...] = (
    *_small_codes(),
    *_sharp_codes(),
    *_large_codes(),
    *map(_both_ways, _new_lines()),
    *_new_lines(),
    *_halved_codes(),
)
