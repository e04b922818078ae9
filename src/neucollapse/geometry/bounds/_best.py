"""``best_bound``: the tightest bound there is here, by name."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..._errors import InputError
from .._rows import check_size
from ._codes import fejes_toth, rankin
from ._delsarte import delsarte
from ._levenshtein import design_size, levenshtein
from ._lines import higher_welch, levenshtein_lines, orthoplex_lines, welch
from ._margins import margin_gamma, margin_upper

Kind = Literal["spherical", "grassmannian", "softmax"]
_LARGEST = 200_000  # points up to which the linear program is solved
_DEGREE = 16  # of its polynomials
_ORDERS = range(2, 7)  # of Welch's bounds


@dataclass(frozen=True)
class Bound:
    """A proved bound on what K points in d dimensions can reach.

    Attributes:
        value: on the largest cosine or the coherence a lower bound, on the margin an upper one.
        name: whose it is.
        proof: why it holds, a sentence.
    """

    value: float
    name: str
    proof: str


def best_bound(K: int, d: int, kind: str = "spherical") -> Bound:
    """The tightest of the bounds of this package on K unit vectors in d dimensions.

    * ``"spherical"``: a lower bound on the largest cosine s. Rankin, Fejes Toth (d = 3), Levenshtein, and Delsarte's linear
      program of degree 16, certified, for K up to 200,000 and to where Levenshtein's polynomials have that degree too.
    * ``"grassmannian"``: a lower bound on the largest absolute cosine mu of K lines. Welch and its higher orders, orthoplex,
      Levenshtein, and the bounds on the 2K points where the lines meet the sphere.
    * ``"softmax"``: an upper bound on the margin rho: Radon, packing, and doubling: rho <= 1 - s*(K, 2d) for the least
      maximal cosine s* of K points in twice the dimension, below 1 from K > 4d on.

    On a line and in the plane the values are exact. The linear program takes up to some seconds the first time; its result
    is kept. The others are computed in floating point, to about 1e-14.

    `InputError` is raised if K < 2, d < 1 or the kind is unknown.

    Examples:
        >>> best_bound(12, 3).name, round(best_bound(12, 3).value * 5**0.5, 9)
        ('Fejes Toth', 1.0)
        >>> best_bound(28, 7, "grassmannian").name, best_bound(9, 7, "softmax").value
        ('Welch', 1.0)
    """
    check_kind(kind)
    check_size(K, d)
    if kind == "softmax":
        return min(_margins(K, d), key=lambda bound: bound.value)
    bounds = _codes(K, d) if kind == "spherical" else _lines(K, d)
    best = next(bounds)
    for bound in bounds:  # in order of fame: a later one must say more than rounding would
        if bound.value > best.value + 1e-12:
            best = bound
    return best


def check_kind(kind: Any) -> None:
    """Check the name of a problem."""
    if kind not in get_args(Kind):
        raise InputError(f"expected kind as one of {', '.join(map(repr, get_args(Kind)))}, got {kind!r}")


def _codes(K: int, d: int) -> Iterator[Bound]:
    if d == 1 and K > 2:
        yield Bound(1.0, "line", "On a line only two unit vectors differ, so two of more than two coincide.")
        return
    if d == 2 and K > 3:
        yield Bound(math.cos(2 * math.pi / K), "polygon", "Some two of K neighbours on the circle are within 2 pi / K.")
        return
    yield Bound(rankin(K, d), "Rankin", "Sum of all inner products, or of those about a vertex (Rankin 1955).")
    if 2 * d >= K:
        return
    if d == 3:
        area = "Area of the triangles of the Delaunay triangulation of the sphere (Fejes Toth 1943)."
        yield Bound(fejes_toth(K), "Fejes Toth", area)
    universal = "Levenshtein's polynomials, inverted at K (1979)."
    yield Bound(levenshtein(K, d), "Levenshtein", universal)
    if K <= min(_LARGEST, design_size(d, _DEGREE + 1)):
        program = (
            f"Linear program of degree {_DEGREE}, its polynomial checked in exact arithmetic (Delsarte et al. 1977)."
        )
        yield Bound(delsarte(K, d, _DEGREE).value, "Delsarte", program)


def _lines(K: int, d: int) -> Iterator[Bound]:
    if d == 2:
        yield Bound(math.cos(math.pi / K), "plane", "Some two neighbours of K lines in the plane are within pi / K.")
        return
    yield Bound(welch(K, d), "Welch", "The Gram matrix has trace K and rank at most d (Welch 1974).")
    if K <= d or d == 1:
        return
    if d * (d + 1) // 2 < K:
        traces = (
            "More than d(d+1)/2 trace-free projections make an obtuse or right angle (Conway, Hardin and Sloane 1996)."
        )
        yield Bound(orthoplex_lines(K, d), "orthoplex", traces)
        yield Bound(levenshtein_lines(K, d), "Levenshtein", "Levenshtein's polynomials for lines (1982).")
    for k in _ORDERS:
        mean = f"Mean of the power {2 * k} of all cosines (Welch 1974, Sidelnikov 1974)."
        yield Bound(higher_welch(K, d, k, field="real"), f"Welch of order {k}", mean)
    if K > d:
        for bound in _codes(2 * K, d):
            yield Bound(bound.value, f"{bound.name} of 2K points", f"For the 2K ends of the lines: {bound.proof}")


def _margins(K: int, d: int) -> Iterator[Bound]:
    if d + 1 >= K:
        why, name = "Distance of a point from the mean of the others (Rankin 1955).", "simplex"
    elif d == 1:
        why, name = "On a line only two unit vectors differ, so two of more than two coincide.", "line"
    elif d == 2:
        why, name = "The polygon is best in the plane (arXiv 2310.05351).", "polygon"
    else:
        why, name = "K >= d+2 points split into two sets whose hulls meet (Radon).", "Radon"
    yield Bound(margin_upper(K, d), name, why)
    if d > 2:
        caps = "The margin is at most the smallest distance, and caps of half of it are disjoint (arXiv 2310.05351)."
        yield Bound(margin_gamma(K, d)[1], "packing", caps)
        # With h_k the unit normal that gives class k its distance, 2 rho <= <h_k - h_j, w_k - w_j>, which is at most
        # half of |h_k - h_j|^2 + |w_k - w_j|^2 = 4 - 2 <h_k, h_j> - 2 <w_k, w_j>.
        pairs = f"Rows and normals (w_k, h_k)/sqrt(2) are a code in {2 * d} dimensions of cosine at most 1 - rho: "
        code = best_bound(K, 2 * d)
        yield Bound(1 - code.value, "doubling", pairs + code.proof)
