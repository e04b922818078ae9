"""Every construction of this room with its size, its maximal cosine and its source."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import sqrt
from typing import Literal

from torch import Tensor

from ..._errors import InputError
from ..._types import Float
from .._rows import check_size
from ..frames import icosahedron, simplex
from . import _binary, _graphs, _leech, _roots
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
        kind: `"code"` (signed cosines) or `"lines"` (absolute ones).
        make: makes the first rows, that many at least.
    """

    name: str
    K: int
    d: int
    max_cosine: float
    source: str
    kind: Kind = "code"
    make: Callable[[int], Tensor] = field(kw_only=True, compare=False, repr=False)

    def build(self, count: int | None = None) -> Float[Tensor, "K d"]:
        """The unit rows, or the first `count` of them, in 1..K; the largest constructions only fit in memory in part."""
        count = check_count(count, self.K)
        return self.make(count)[:count]


def candidates(K: int, d: int, kind: str = "code") -> tuple[Construction, ...]:
    """The constructions that give K points (or lines) in d dimensions, the smallest maximal cosine first.

    They have K points or more, in d dimensions or fewer: `pad(c.build(K), d)` is the code. Empty where none is large enough.

    Raises:
        InputError: if `kind` is neither `"code"` nor `"lines"`.

    Examples:
        >>> [(c.name, c.d) for c in candidates(240, 8)]
        [('E8 roots', 8)]
    """
    check_size(K, d)
    if kind not in ("code", "lines"):
        raise InputError(f'expected kind "code" or "lines", got {kind!r}')
    fitting = [c for c in CATALOGUE if c.kind == kind and c.K >= K and c.d <= d]
    return tuple(sorted(fitting, key=lambda c: (c.max_cosine, c.K)))


def _whole(
    name: str, K: int, d: int, max_cosine: float, source: str, function: Callable[[], Tensor], kind: Kind = "code"
) -> Construction:
    """What a function makes whole."""
    return Construction(name, K, d, max_cosine, source, kind, make=lambda _: function())


def _lines(name: str, K: int, d: int, coherence: float, source: str, function: Callable[[], Tensor]) -> Construction:
    """Lines that a function makes whole, each once or both ways."""
    return _whole(
        name, K, d, coherence, source, lambda: rows if len(rows := function()) == K else halves(rows), "lines"
    )


def _both_ways(lines: Construction) -> Construction:
    name, source = f"{lines.name}, both ways", f"Both directions of the {lines.K} lines. {lines.source}"
    return _whole(name, 2 * lines.K, lines.d, lines.max_cosine, source, lambda: antipodal(lines.build()))


_T = _roots.TRIBONACCI
_ROOTS = "Root system; see Conway and Sloane, Sphere Packings, Lattices and Groups, chapter 4."
_SHARP = "Sharp code, hence best of its size and universally optimal (Levenshtein 1992; Cohn and Kumar 2007)."
_SNUB = "Best of its size (Robinson 1961)."
_CELLS = "Best of its size (Boroczky 1978) and universally optimal (Cohn and Kumar 2007)."
_PETERSEN = "Best of its size, by semidefinite bounds (Bachoc and Vallentin 2009)."
_BARNES_WALL = "Shortest vectors of the Barnes-Wall lattice (1959), the most points known at 60 degrees in d = 16."
_SECTION = f"Section of the Leech lattice. {_SHARP}"
_LEECH = "Shortest vectors of the Leech lattice (1967)"
_QUADRIC = f"Points of an elliptic quadric (Cameron, Goethals and Seidel 1978). {_SHARP}"
_TRIANGLE_FREE = (
    "Points of a triangle-free strongly regular graph, proved best of their size by semidefinite bounds (Cohn, de Laat and "
    "Leijenhorst, arXiv 2403.16874)."
)
_EQUIANGULAR = "Equiangular lines, the most in this dimension (van Lint and Seidel 1966; Lemmens and Seidel 1973)."
_PALEY = "Equiangular lines from a Paley conference matrix (Paley 1933), best possible by Welch's bound."
_UNBIASED = "Mutually unbiased bases (Cameron and Seidel 1973), best possible by the orthoplex bound."
_KERDOCK = f"Kerdock code: both directions of the vectors of d/2+1 bases. {_UNBIASED}"
_KERDOCK_BEST = " Best of its size, by semidefinite bounds (Cohn, de Laat and Leijenhorst, arXiv 2403.16874)."
_DELSARTE_GOETHALS = "Words of the Delsarte-Goethals code (Delsarte and Goethals 1975)."
_DUAL_BCH = "Words of the extended dual BCH code and their opposites (MacWilliams and Sloane 1977, chapter 15)."
_GOLD = "All shifts of the Gold sequences (Gold 1967)."

_CODES = (
    *(_whole(f"A{n} roots", n * (n + 1), n, 1 / 2, _ROOTS, partial(_roots.a_roots, n)) for n in range(3, 9)),
    *(_whole(f"D{n} roots", 2 * n * (n - 1), n, 1 / 2, _ROOTS, partial(_roots.d_roots, n)) for n in range(3, 17)),
    _whole("E6 roots", 72, 6, 1 / 2, _ROOTS, _roots.e6_roots),
    _whole("E7 roots", 126, 7, 1 / 2, _ROOTS, _roots.e7_roots),
    _whole("E8 roots", 240, 8, 1 / 2, f"Root system. {_SHARP}", _roots.e8_roots),
    _whole("icosahedron", 12, 3, 1 / sqrt(5), _SHARP, icosahedron),
    _whole("snub cube", 24, 3, _T**2 / (1 + _T**-2 + _T**2), _SNUB, _roots.snub_cube),
    _whole("600-cell", 120, 4, (1 + sqrt(5)) / 4, _CELLS, _roots.hexacosichoron),
    _whole("Petersen", 10, 4, 1 / 6, _PETERSEN, _roots.petersen),
    _whole("Clebsch", 16, 5, 1 / 5, _SHARP, _roots.clebsch),
    _whole("Schlaefli", 27, 6, 1 / 4, _SHARP, _roots.schlaefli),
    _whole("Gosset", 56, 7, 1 / 3, _SHARP, _roots.gosset),
    _whole("Barnes-Wall", 4320, 16, 1 / 2, _BARNES_WALL, _roots.barnes_wall),
    _whole("McLaughlin 112", 112, 21, 1 / 9, _SECTION, _leech.mclaughlin_112),
    _whole("McLaughlin 162", 162, 21, 1 / 7, _SECTION, _leech.mclaughlin_162),
    _whole("McLaughlin", 275, 22, 1 / 6, _SECTION, _leech.mclaughlin),
    _whole("Higman-Sims", 100, 22, 1 / 11, f"Points of the Higman-Sims graph. {_SHARP}", _graphs.higman_sims),
    _whole("Gewirtz", 56, 20, 1 / 15, _TRIANGLE_FREE, _graphs.gewirtz),
    _whole("Hoffman-Singleton", 50, 21, 1 / 21, _TRIANGLE_FREE, _graphs.hoffman_singleton),
    _whole("M22 graph", 77, 21, 1 / 12, _TRIANGLE_FREE, _graphs.mesner),
    _whole("Conway 891", 891, 22, 1 / 4, _SECTION, _leech.conway_891),
    _whole("equiangular 552", 552, 23, 1 / 5, _SECTION, _leech.equiangular_552),
    _whole("Conway 4600", 4600, 23, 1 / 3, _SECTION, _leech.conway_4600),
    Construction("Leech", 196560, 24, 1 / 2, f"{_LEECH}. {_SHARP}", make=_leech.leech),
    *(
        _whole(f"isotropic q={q}", *_graphs.isotropic_size(q), 1 / q**2, _QUADRIC, partial(_graphs.isotropic, q))
        for q in (2, 3, 4, 5, 7, 8, 9)
    ),
)

_LARGE = (
    *(
        Construction(
            f"Kerdock m={m}", d * (d + 2), d, 1 / 2**m, _KERDOCK + _KERDOCK_BEST * (2 <= m <= 5),
            make=partial(_binary.kerdock, m),
        )
        for m, d in ((m, 4**m) for m in range(1, 7))
    ),
    *(
        Construction(
            f"Delsarte-Goethals m={m} r={r}", 2 * d * (d // 2) ** r, d, 2 ** (r - 1) / 2**m, _DELSARTE_GOETHALS,
            make=partial(_binary.delsarte_goethals, m, r),
        )
        for m, r, d in ((m, r, 4**m) for m, r in ((3, 2), (4, 2), (5, 2), (5, 3)))
    ),
    # For odd m the largest correlation of the words is 2^((m+1)/2) for t = 2, twice that for t = 3 (Kasami 1969).
    *(
        Construction(
            f"dual BCH m={m} t={t}", 2 * d**t, d, 2 ** ((m + 1) // 2 + t - 2) / d, _DUAL_BCH,
            make=partial(_binary.dual_bch, m, t),
        )
        for m, t, d in ((m, t, 2**m) for m, t in ((5, 2), (7, 2), (7, 3), (9, 2), (9, 3), (11, 2), (11, 3)))
    ),
    *(
        Construction(
            f"Gold m={m}", d * (d + 2), d, (2 ** ((m + 1) // 2) - 1) / d, _GOLD, make=partial(_binary.gold, m)
        )
        for m, d in ((m, 2**m - 1) for m in (3, 5, 7, 9, 11))
    ),
)  # fmt: skip

# Lines that, both ways, are no code listed above.
_NEW_LINES = (
    *(
        _lines(f"Paley q={q}", q + 1, (q + 1) // 2, 1 / sqrt(q), _PALEY, partial(_graphs.paley_lines, q))
        for q in (9, 13, 17, 25, 29, 37, 41, 49, 53, 61, 73, 81, 89, 97, 101)
    ),
    _lines("equiangular 16", 16, 6, 1 / 3, _EQUIANGULAR, _roots.six_dimensional_lines),
    _lines("equiangular 36", 36, 15, 1 / 5, _EQUIANGULAR, _graphs.latin_square_lines),
    _lines("equiangular 126", 126, 21, 1 / 5, _EQUIANGULAR, _leech.equiangular_252),
    _lines("equiangular 176", 176, 22, 1 / 5, _EQUIANGULAR, _leech.equiangular_352),
)

_HALVED_CODES = (
    _lines("equiangular 3", 3, 2, 1 / 2, _EQUIANGULAR, partial(simplex, 3)),
    _lines("icosahedron lines", 6, 3, 1 / sqrt(5), _EQUIANGULAR, icosahedron),
    _lines("equiangular 28", 28, 7, 1 / 3, _EQUIANGULAR, _roots.gosset),
    _lines("equiangular 276", 276, 23, 1 / 5, _EQUIANGULAR, _leech.equiangular_552),
    _lines("24-cell lines", 12, 4, 1 / 2, _ROOTS, partial(_roots.d_roots, 4)),
    _lines("E6 lines", 36, 6, 1 / 2, _ROOTS, _roots.e6_roots),
    _lines("E7 lines", 63, 7, 1 / 2, _ROOTS, _roots.e7_roots),
    _lines("E8 lines", 120, 8, 1 / 2, _ROOTS, _roots.e8_roots),
    _lines("Leech lines", 98280, 24, 1 / 2, f"{_LEECH}, best possible by Levenshtein's bound.", _leech.leech),
    *(
        Construction(
            f"unbiased bases m={m}", d * (d // 2 + 1), d, 1 / 2**m, _UNBIASED, "lines",
            make=partial(_binary.kerdock, m, lines=True),
        )
        for m, d in ((m, 4**m) for m in range(1, 7))
    ),
)  # fmt: skip

CATALOGUE: tuple[Construction, ...] = (*_CODES, *_LARGE, *map(_both_ways, _NEW_LINES), *_NEW_LINES, *_HALVED_CODES)
