"""The best margin and maximal cosine known for K points in d dimensions: proved, on record, or only bounded."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.resources import files
from typing import Literal

import torch
from torch import Tensor

from .._types import Float
from ._frames import icosahedron, orthoplex, polygon, simplex
from ._rows import check_size

Status = Literal["proved", "record", "found", "bound"]


@dataclass(frozen=True)
class Optimum:
    """What is known of the best K unit vectors in d dimensions.

    Attributes:
        K: number of points (classes).
        d: dimension.
        margin: the largest margin rho, the smallest one-vs-rest distance of a code (the softmax code of arXiv 2310.05351).
        max_cosine: the smallest maximal cosine s (the spherical code or Tammes problem); rho >= 1 - s for every code.
        status: of the margin. ``"proved"``: no code does better. ``"record"``: the best known, which another code might
            beat. ``"found"``: where a search ended (``solve``). ``"bound"``: no code does better, and none this good is known.
        max_cosine_status: the same of the maximal cosine.
        source: where the numbers come from, a sentence.
        family: whether codes of different shape reach the optimum, so that distance to ``points`` says nothing.
        build: makes ``points``; None where no coordinates are at hand.
    """

    K: int
    d: int
    margin: float
    max_cosine: float
    status: Status
    max_cosine_status: Status
    source: str
    family: bool = False
    build: Callable[[], Tensor] | None = field(default=None, compare=False)

    @property
    def points(self) -> Float[Tensor, "K d"] | None:
        """Unit rows that reach these values, made anew at each use; None where no coordinates are at hand."""
        return None if self.build is None else self.build()


def best_known(K: int, d: int) -> Optimum:
    """The best margin and maximal cosine known for K unit vectors in d dimensions. A look-up: it never solves anything.

    ========================  ==================  =====================  ==============================================
    sizes                     margin              maximal cosine         status
    ========================  ==================  =====================  ==============================================
    K <= d+1                  K/(K-1)             -1/(K-1)               proved (Rankin): the simplex
    d = 2                     1 - cos(2 pi / K)   cos(2 pi / K)          proved: the polygon
    d+2 <= K <= 2d            1                   0                      proved (Rankin, Radon): a family of codes
    in ``known_codes.csv``    the table's         the table's            margin on record, cosine proved or on record
    other K > 2d              1                   0                      bound, not reached: ``solve(K, d)`` finds a code
    ========================  ==================  =====================  ==============================================

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
    """
    check_size(K, d)
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
    if (K, d) in _table():
        s, margin, proved, source = _table()[K, d]
        build = icosahedron if (K, d) == (12, 3) else None
        return Optimum(
            K, d, margin, s, "record", "proved" if proved else "record", f"Best known code: {source}.", build=build
        )
    source = "No code is on record here; for K >= d+2 no margin exceeds 1 (Radon) and no maximal cosine is below 0 (Rankin 1955)."
    return Optimum(K, d, 1.0, 0.0, "bound", "bound", source)


def _proved(
    K: int, d: int, margin: float, s: float, source: str, build: Callable[[], Tensor], family: bool = False
) -> Optimum:
    return Optimum(K, d, margin, s, "proved", "proved", source, family, build)


def _two_ends(K: int) -> Float[Tensor, "K 1"]:
    return 1 - 2.0 * (torch.arange(K, dtype=torch.float64) % 2)[:, None]


@cache
def _table() -> dict[tuple[int, int], tuple[float, float, bool, str]]:
    text = files("neucollapse.geometry").joinpath("known_codes.csv").read_text(encoding="utf-8")
    return {
        (int(row["K"]), int(row["d"])): (
            float(row["max_cosine"]), float(row["margin"]), row["max_cosine_proved"] == "1", row["source"]
        )
        for row in csv.DictReader(text.splitlines())
    }  # fmt: skip


def etf_floor(K: int, d: int) -> float:
    r"""The smallest distance any K points in d dimensions can have from the simplex ETF Gram matrix.

    With the K x K Gram matrix G of rank at most d, scaled to unit Frobenius norm, and :math:`E = (I - 11^T/K) /
    \sqrt{K-1}`, the distance :math:`\|G - E\|_F` is at least

    .. math:: \sqrt{2 - 2\sqrt{d/(K-1)}} \quad (K > d+1), \qquad 0 \text{ otherwise,}

    as :math:`\langle G, E\rangle` is at most the root of the sum of squares of the d largest eigenvalues of E, and all
    K-1 of them are :math:`1/\sqrt{K-1}`. It is reached by points whose Gram matrix is a projection of rank d orthogonal to 1.

    Raises:
        InputError: if K < 2 or d < 1.

    Example:
        >>> round(etf_floor(8, 2), 4), etf_floor(10, 9)
        (0.9649, 0.0)
    """
    check_size(K, d)
    return _projection_floor(d, K - 1)


def orthogonal_frame_floor(K: int, d: int) -> float:
    r"""The smallest distance any K points in d dimensions can have from the orthogonal frame :math:`I/\sqrt K`.

    :math:`\sqrt{2 - 2\sqrt{d/K}}` for K > d, else 0: see ``etf_floor``, with K in place of K-1.

    Raises:
        InputError: if K < 2 or d < 1.

    Example:
        >>> round(orthogonal_frame_floor(8, 2), 4), orthogonal_frame_floor(8, 8)
        (1.0, 0.0)
    """
    check_size(K, d)
    return _projection_floor(d, K)


def _projection_floor(d: int, rank: int) -> float:
    return (2 - 2 * (d / rank) ** 0.5) ** 0.5 if d < rank else 0.0
