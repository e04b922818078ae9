"""The least energies of codes: proved, on record, or unknown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from .._rows import check_size
from ..frames._energy import check_exponent, riesz
from ._records import thomson

# Universally optimal codes (Cohn and Kumar 2007): each point sees these cosines, so many times each.
_FIFTH, _GOLDEN = 5**-0.5, (1 + 5**0.5) / 4
_SHARP: dict[tuple[int, int], tuple[str, tuple[tuple[float | int, int], ...]]] = {
    (12, 3): ("icosahedron", ((-1, 1), (-_FIFTH, 5), (_FIFTH, 5))),
    (120, 4): (
        "600-cell",
        ((-1, 1), (-_GOLDEN, 12), (-0.5, 20), (0.5 - _GOLDEN, 12), (0, 30), (_GOLDEN - 0.5, 12), (0.5, 20), (_GOLDEN, 12)),
    ),
    (16, 5): ("Clebsch code", ((-3 / 5, 5), (1 / 5, 10))),
    (27, 6): ("Schlaefli code", ((-1 / 2, 10), (1 / 4, 16))),
    (56, 7): ("28 equiangular lines", ((-1, 1), (-1 / 3, 27), (1 / 3, 27))),
    (240, 8): ("E8 roots", ((-1, 1), (-1 / 2, 56), (0, 126), (1 / 2, 56))),
    (112, 21): ("isotropic subspaces, q = 3", ((-1 / 3, 30), (1 / 9, 81))),
    (162, 21): ("strongly regular graph of 162 points", ((-2 / 7, 56), (1 / 7, 105))),
    (100, 22): ("Higman-Sims code", ((-4 / 11, 22), (1 / 11, 77))),
    (275, 22): ("McLaughlin code", ((-1 / 4, 112), (1 / 6, 162))),
    (891, 22): ("kissing code in the Leech lattice", ((-1 / 2, 42), (-1 / 8, 512), (1 / 4, 336))),
    (552, 23): ("276 equiangular lines", ((-1, 1), (-1 / 5, 275), (1 / 5, 275))),
    (4600, 23): ("kissing code in the Leech lattice", ((-1, 1), (-1 / 3, 891), (0, 2816), (1 / 3, 891))),
    (196560, 24): (
        "Leech lattice",
        ((-1, 1), (-1 / 2, 4600), (-1 / 4, 47104), (0, 93150), (1 / 4, 47104), (1 / 2, 4600)),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class BestEnergy:
    """The least mean energy of K unit vectors in d dimensions, as far as it is known.

    Attributes:
        value: mean over pairs; None where nothing is known.
        status: `"proved"`, `"record"` (best known) or `"unknown"`.
        source: where it comes from, or why nothing is known: a sentence.
    """

    value: float | None
    status: Literal["proved", "record", "unknown"]
    source: str


def best_known_energy(K: int, d: int, s: float | int) -> BestEnergy:
    """The least mean Riesz energy (`mean_energy`) known for K unit vectors in d dimensions.

    Proved for the simplex (K <= d+1), the polygon (d = 2), the cross-polytope (K = 2d) and the sharp codes (icosahedron,
    600-cell, E8, ...), which minimise every such energy at once (Cohn and Kumar, arXiv math/0607446); on record for d = 3,
    s = 1 (Thomson's problem), from energies printed to nine decimals. Elsewhere, between d+2 and 2d too, the value is None
    and `source` says why. An s below 0 or infinite raises `InputError`.

    Examples:
        >>> best = best_known_energy(10, 5, 2)
        >>> round(best.value, 6), best.status
        (0.472222, 'proved')
    """
    check_size(K, d)
    check_exponent(s)
    if d == 1 and K > 2:
        return BestEnergy(math.inf, "proved", "On a line only two unit vectors differ, so some of K > 2 coincide.")
    if d >= K - 1:
        return _proved("simplex", [(2 * K / (K - 1), K - 1)], s)
    if d == 2:
        return _proved("polygon", [(4 * math.sin(math.pi * j / K) ** 2, 1) for j in range(1, K)], s)
    if 2 * d == K:
        return _proved("cross-polytope", [(4, 1), (2, K - 2)], s)
    if (K, d) in _SHARP:
        name, cosines = _SHARP[K, d]
        return _proved(name, [(2 - 2 * cosine, count) for cosine, count in cosines], s)
    if d == 3 and s == 1 and K in thomson():
        energy, source = thomson()[K]
        source = f"Best known energy of {K} charges on the sphere: {source}."
        return BestEnergy(energy / (K * (K - 1) / 2), "record", source)
    covered = "proofs cover K <= d+1, d = 2, K = 2d and the sharp codes"
    return BestEnergy(None, "unknown", f"No least energy is on record for K = {K}, d = {d}, s = {s:g}: {covered}.")


def _proved(name: str, distances: Sequence[tuple[float | int, int]], s: float | int) -> BestEnergy:
    """The mean energy of a code in which every point sees the same squared distances, so many times each."""
    squared, counts = torch.tensor(distances, dtype=torch.float64).T
    source = f"Universally optimal: the {name} has the least energy for every s (Cohn and Kumar 2007)."
    return BestEnergy(float((riesz(squared, s) * counts).sum() / counts.sum()), "proved", source)
