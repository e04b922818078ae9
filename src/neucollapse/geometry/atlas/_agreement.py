"""`targets_agree`: for which sizes one code is the best by angle, by margin and by energy at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Literal

from .._rows import check_size
from ..constructions._galois import prime_power
from ._energies import best_known_energy

Verdict = Literal["proved same", "believed same", "proved different", "unknown"]
Theorem = tuple[Verdict, str]

_UNIQUE: Theorem = (
    "proved different",
    "The best spherical code is proved to be the only one, and the best known solution of Thomson's problem (s = 1) has less "
    "energy.",
)
_CONJECTURED: Theorem = "believed same", "Conjectured universally optimal (Ballinger et al., arXiv math/0611451)."
_THEOREMS: dict[tuple[int, int], Theorem] = {
    (288, 16): (
        "proved same",
        "Universally optimal: the Kerdock code (Cohn, de Laat and Leijenhorst, arXiv 2403.16874).",
    ),
    (24, 4): (
        "proved different",
        "The 24-cell is the only best spherical code (de Laat, Leijenhorst and de Muinck Keizer, arXiv 2404.18794) and is "
        "not universally optimal (Cohn, Conway, Elkies and Kumar 2007). The energy that shows it is no power law: for Riesz "
        "energies the question is not settled by it.",
    ),
    (10, 4): (
        "proved different",
        "The Petersen code is the one best spherical code (Bachoc and Vallentin 2009); two regular pentagons in orthogonal "
        "planes have less energy at s = 0 and s = 1.",
    ),
    # codes proved best (Schuette, van der Waerden, Danzer, Musin, Tarasov, Robinson)
    **dict.fromkeys([(K, 3) for K in (7, 8, 9, 10, 11, 13, 14, 24)], _UNIQUE),
    **dict.fromkeys([(40, 10), (64, 14)], _CONJECTURED),
}

_MARGIN_BEYOND = (
    "The largest margin is 1 - s of the best spherical code in every size tried, and is proved to be where no point of the "
    "best codes is free to move (arXiv 2310.05351)."
)
_FAMILY = (
    "For d+2 <= K <= 2d a margin of 1, the largest, asks for no positive cosine (Radon), which is what a best spherical code "
    "has: the same codes."
)
_PHASE = (
    " The energy leaves them: for five points on the sphere the triangular bipyramid has the least Riesz energy up to s = "
    "15.048, a square pyramid just above (Schwartz, arXiv 1610.03303)."
)
# A best code has p = K - d or more orthogonal blocks of two or more points, and points beyond 2p: over 2p(p-1) right angles.
# The tilted cross-polytope keeps 2p(p-1), so that at large s it has less energy, (2p(p-1) + o(1)) 2^(-s/2), than any of them.
_TILT = (
    " The energy leaves them at large s: tilted away from the single vertices, the pairs of the cross-polytope keep fewer "
    "pairs of points near a right angle than any best code has."
)


@dataclass(frozen=True)
class Agreement:
    """Whether the three targets of hyperspherical uniformity have a solution in common.

    Attributes:
        K: number of points (classes).
        d: dimension.
        margin: whether the codes of smallest maximal cosine (spherical codes) have the largest margin (softmax codes).
        energy: whether one spherical code has the least energy for every completely monotone function of the squared
            distance, hence every Riesz energy s >= 0, the logarithmic one included: whether it is universally optimal.
        reason: why, in sentences.
    """

    K: int
    d: int
    margin: Verdict
    energy: Verdict
    reason: str

    @property
    def agree(self) -> bool | None:
        """Whether all three targets ask for one code, proved or believed; None where it is not known."""
        if "proved different" in (self.margin, self.energy):
            return False
        return None if "unknown" in (self.margin, self.energy) else True

    @property
    def proved(self) -> bool:
        """Whether `agree` is a theorem."""
        return self.agree is False or self.margin == self.energy == "proved same"


def targets_agree(K: int, d: int) -> Agreement:
    """Whether spherical code, softmax code and minimum energy are one code for K points in d dimensions, and why.

    A look-up of theorems:

    | sizes                             | do they agree?           | why                                                      |
    | --------------------------------- | ------------------------ | -------------------------------------------------------- |
    | K <= d+1                          | yes, proved              | simplex                                                  |
    | d = 2                             | yes, proved              | regular polygon                                          |
    | K = 2d                            | yes, proved              | cross-polytope                                           |
    | d+2 <= K < 2d                     | no, proved               | margin and angle share a family, which the energy leaves |
    | sharp codes, 600-cell, (288, 16)  | yes, the margin believed | universally optimal (see below; arXiv 2403.16874)        |
    | (K, d) = (24, 4), (10, 4), (7, 3) | no, proved               | a code of larger angle, another of less energy           |
    | other                             | None                     | not known; the general case is no                        |

    A code where they differ can still be close to best by all: see `excess`.

    References:
        Cohn and Kumar, "Universally optimal distribution of points on spheres", arXiv math/0607446; Cohn, Conway, Elkies
        and Kumar, "The D4 root system is not universally optimal", arXiv math/0607447; Schwartz, "The phase transition in
        5 point energy minimization", arXiv 1610.03303; Jiang et al., arXiv 2310.05351; Liu et al., arXiv 2303.06484.

    Examples:
        >>> [targets_agree(K, 3).agree for K in (4, 5, 6, 7, 12)]
        [True, False, True, False, True]
    """
    check_size(K, d)
    if d == 1 and K > 2:
        reason = "On a line K > 2 points coincide: every code has maximal cosine 1, margin 0 and infinite energy."
        return Agreement(K, d, "proved same", "proved same", reason)
    if d + 2 <= K < 2 * d:
        reason = _FAMILY + (_PHASE if (K, d) == (5, 3) else _TILT)
        return Agreement(K, d, "proved same", "proved different", reason)
    margin: Verdict = "proved same" if d == 2 or K <= 2 * d else "believed same"
    energy, reason = _energy(K, d)
    if margin == "believed same":
        reason = f"{reason} {_MARGIN_BEYOND}"
    return Agreement(K, d, margin, energy, reason)


def _energy(K: int, d: int) -> tuple[Verdict, str]:
    best = best_known_energy(K, d, 2)  # at s = 2 every proof is of a universal optimum
    if best.status == "proved":
        return "proved same", best.source
    if (K, d) in _isotropic(d):
        return "proved same", "Universally optimal: points of an elliptic quadric, a sharp code (Cohn and Kumar 2007)."
    return _THEOREMS.get((K, d), ("unknown", "No theorem on this size; codes that are best for every energy are rare."))


def _isotropic(d: int) -> Iterator[tuple[int, int]]:
    """Sizes of the sharp codes of isotropic subspaces up to dimension d: one for each prime power q."""
    for q in takewhile(lambda q: q * (q * q - q + 1) <= d, count(2)):
        if prime_power(q):
            yield (q + 1) * (q**3 + 1), q * (q * q - q + 1)
