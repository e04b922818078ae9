"""`excess`: what a code lacks to the best known of its size, by each target of hyperspherical uniformity."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from .._rows import as_rows
from ..codes import MaximumGramDeterminant
from ..codes._solution import Status
from ..frames import Separation, mean_energy, separation, unit_rows
from ..hull import one_vs_rest
from ._energies import best_known_energy
from ._known import best_known


@dataclass(frozen=True)
class Excess:
    """One number of a code beside the best of its size.

    Attributes:
        value: of the code.
        best: the best known, or a bound; None where neither is at hand.
        excess: how much worse the code is, in the same unit: 0 at the best, below 0 for a code that beats a record; None
            where `best` is.
        status: of `best`. `"proved"`: the best there is; `"record"`: the best known; `"bound"`: no code does
            better, and none need be this good; `"unknown"`.
    """

    value: float
    best: float | None
    excess: float | None
    status: Status | Literal["unknown"]


def excess(points: Any) -> dict[str, Excess]:
    r"""What a code lacks to the best known of its size: by energy, by its closest pair, by margin and by determinant.

    | key              | what it is                                                     | best from               |
    | ---------------- | -------------------------------------------------------------- | ----------------------- |
    | `energy/0, 1, 2` | mean log and Riesz energies (`mean_energy`); small is good     | `best_known_energy`     |
    | `separation`     | smallest angle in radians; large is good                       | `best_known`            |
    | `margin`         | smallest one-vs-rest distance; large is good                   | `best_known`            |
    | `determinant`    | mean log-eigenvalue of the centred Gram matrix; large is good  | log(K/r), r = min(K-1, d) |

    All are zero together on the simplex, the polygon, the cross-polytope and the sharp codes, and at few other sizes:
    see `targets_agree`. The last target is met by any unit-norm tight frame of zero sum, however close its points lie.
    Nothing is solved: best values are looked up.

    Args:
        points: (K, d), K >= 2; only directions count.

    References:
        Liu et al., "Generalizing and Decoupling Neural Collapse via Hyperspherical Uniformity Gap", arXiv 2303.06484;
        Jiang et al., arXiv 2310.05351.

    Examples:
        >>> from neucollapse.geometry import orthoplex
        >>> found = excess(orthoplex(5, 3))  # one of the codes of largest margin, and not of least energy
        >>> round(found["margin"].excess, 12), round(found["determinant"].excess, 4)
        (0.0, 0.1231)
    """
    rows = unit_rows(as_rows(points, minimum=2))
    K, d = rows.shape
    best = best_known(K, d)
    found = {}
    for s in (0, 1, 2):
        energy = best_known_energy(K, d, s)
        found[f"energy/{s}"] = _beside(mean_energy(rows, s), energy.value, energy.status, sign=1)
    widest = Separation.of_cosine(best.max_cosine).angle
    found["separation"] = _beside(separation(rows).angle, widest, best.max_cosine_status)
    found["margin"] = _beside(one_vs_rest(rows).margin, best.margin, best.status)
    value, largest = MaximumGramDeterminant(K, d).value(rows), math.log(K / min(K - 1, d))
    found["determinant"] = _beside(value, largest, "proved" if _tight(K, d) else "bound")
    return found


def _beside(value: float, best: float | None, status: Status | Literal["unknown"], sign: int = -1) -> Excess:
    """A value beside the best; the sign is 1 where small is good."""
    if best is None:
        return Excess(value, None, None, status)
    return Excess(value, best, 0.0 if value == best else sign * (value - best), status)  # two infinities are as good


def _tight(K: int, d: int) -> bool:
    """Whether K unit vectors of rank min(K-1, d) can be a tight frame of zero sum: a spherical 2-design (Mimura 1990).

    Not for K = d+2 with d odd: the two null vectors of the Gram matrix are constant and, by its diagonal, of entries of
    one size, which with zero sum needs an even K. On a line K must be even.
    """
    if K <= d + 1:
        return True
    return K % 2 == 0 if d == 1 else not (K == d + 2 and d % 2 == 1)
