"""Cosines between the rows of a matrix: all of them for small K, their extremes for any K."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..._errors import InputError
from ..._types import Float
from .._rows import as_rows
from ._pairs import pair_tiles


class ClosestPair(NamedTuple):
    """Two rows, and what lies between their directions: `cosine = 1 - chord^2 / 2`, exact however close they are."""

    first: int
    second: int
    chord: float
    cosine: float


def unit_rows(W: Any) -> Float[Tensor, "K d"]:
    """The rows of W over their norms, as detached CPU float64.

    Raises:
        InputError: if a row is zero and has no direction.

    Examples:
        >>> unit_rows([[3.0, 4.0]]).tolist()
        [[0.6, 0.8]]
    """
    rows = as_rows(W)
    largest = rows.abs().amax(dim=1, keepdim=True)
    if (largest == 0).any():
        zero = (largest[:, 0] == 0).nonzero()[:, 0].tolist()
        raise InputError(
            f"expected rows with a direction, got zero rows in W at {zero[:5]} ({len(zero)} of {len(rows)})"
        )
    rows = rows / largest  # no square over- or underflows
    return rows / rows.norm(dim=1, keepdim=True)


def cosines(W: Any) -> Float[Tensor, "K K"]:
    """All cosines between rows, `<w_i, w_j> / (|w_i| |w_j|)`, with ones on the diagonal. For K in the thousands at most.

    Examples:
        >>> cosines([[2.0, 0.0], [0.0, 5.0], [1.0, 1.0]]).round(decimals=4)[2].tolist()
        [0.7071, 0.7071, 1.0]
    """
    rows = unit_rows(W)
    return (rows @ rows.T).clamp(-1, 1).fill_diagonal_(1)


def closest_pair(W: Any) -> ClosestPair:
    """The two rows with the largest cosine, in tiles: K = 50,000 never stores K x K.

    Their chord is taken from the difference of the unit rows, so it keeps its digits where the cosine rounds to 1. Fewer
    than two rows raise `InputError`.

    Examples:
        >>> pair = closest_pair([[1.0, 0.0], [1.0, 1e-9], [0.0, 1.0]])
        >>> pair.first, pair.second, pair.chord
        (0, 1, 1e-09)
    """
    return _extreme(W, absolute=False)


def max_cosine(W: Any) -> float:
    """The largest cosine between two rows: the signed coherence s, in [-1, 1].

    Smallest possible: -1/(K-1) for K <= d+1 (simplex), 0 for d+2 <= K <= 2d, and at least 0 beyond (Rankin). The best
    codes of arXiv 2310.05351 bound it; see `coherence` for the absolute kind, a different problem.

    Examples:
        >>> max_cosine([[1.0, 0.0], [-1.0, 0.0]])
        -1.0
    """
    return closest_pair(W).cosine


def coherence(W: Any) -> float:
    """The largest absolute cosine between two rows, mu, in [0, 1]: the coherence of a frame of lines (arXiv 2304.08914).

    At least sqrt((K-d) / (d(K-1))) for K > d (Welch); 0 for orthogonal rows, which are *not* the best code of K <= d+1.

    Examples:
        >>> coherence([[1.0, 0.0], [-1.0, 0.0]])
        1.0
    """
    return max(0.0, _extreme(W, absolute=True).cosine)  # a right angle rounds to either side of 0


def _extreme(W: Any, *, absolute: bool) -> ClosestPair:
    """The pair of the largest (absolute) cosine; of opposite rows, the chord from one to minus the other.

    Pairs within rounding of the largest are told apart by their chord: near 1, a cosine of 1 - 1e-16 is any of them.
    """
    rows = unit_rows(as_rows(W, minimum=2))
    best, chord, first, second = -torch.inf, torch.inf, 0, 1
    for tile in pair_tiles(rows):
        values = tile.fill(tile.gram.abs() if absolute else tile.gram, -torch.inf)
        top = float(values.max())
        if top < best - 1e-12:
            continue
        # Ties are many only where their chords agree: at codes, not at near-coincident points.
        i, j = (values >= top - 1e-14).nonzero()[:4096].T
        other = rows[tile.columns][j]
        if absolute:
            other = torch.where(tile.gram[i, j, None] < 0, -other, other)
        chords = (rows[tile.rows][i] - other).norm(dim=1)
        at = int(chords.argmin())
        if chords[at] < chord:
            chord, best = float(chords[at]), top
            first, second = tile.rows.start + int(i[at]), tile.columns.start + int(j[at])
    return ClosestPair(first, second, chord, 1 - chord**2 / 2)
