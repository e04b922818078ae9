"""The Leech lattice: its shortest vectors, and the sharp codes in d = 21, 22 and 23 cut out of them.

All are cross-sections: the shortest vectors with given inner products to one, two or three fixed lattice vectors, as seen
from the span of those. Vectors are in the usual integers, sqrt(8) times the lattice: the shortest have squared norm 32.
"""

from collections.abc import Sequence
from functools import cache
from itertools import combinations

import numpy as np
from torch import Tensor

from ..._types import Float
from ._exact import check_count, signs, unit

_GENERATOR = (0, 2, 4, 5, 6, 10, 11)  # exponents of a factor of x^23 - 1 over two elements: the cyclic Golay code
_LONG = np.array([5, *[1] * 23])  # a vector of squared norm 48, the second shortest kind
_SHORT = np.array([4, 4, *[0] * 22])  # inner product 24 with the long one, 16 with the next
_SHORT_TOO = np.array([4, 0, 4, *[0] * 21])


@cache
def golay_words() -> np.ndarray:
    """The 4096 words of the extended binary Golay code, int8 (4096, 24): 759 of weight 8, 2576 of weight 12."""
    basis = np.zeros((12, 24), dtype=np.int64)
    for shift, row in enumerate(basis):
        row[[shift + exponent for exponent in _GENERATOR]] = 1
    basis[:, 23] = basis.sum(axis=1) % 2
    return (((np.arange(4096)[:, None] >> np.arange(12)) & 1) @ basis % 2).astype(np.int8)


@cache
def _shortest() -> np.ndarray:
    """The 196560 shortest vectors, int8, in three shapes: (±4^2, 0^22), (±2^8, 0^16) and (∓3, ±1^23)."""
    words = golay_words()
    pairs = np.zeros((276, 4, 24), dtype=np.int8)
    for block, pair in zip(pairs, combinations(range(24), 2), strict=True):
        block[:, pair] = 4 * signs(2)
    octads = words[words.sum(axis=1) == 8].nonzero()[1].reshape(759, 8)
    eights = np.zeros((759, 128, 24), dtype=np.int8)
    np.put_along_axis(eights, octads[:, None].repeat(128, axis=1), 2 * signs(8, even=True)[None], axis=2)
    ones = np.ones((24, 24), dtype=np.int8) - 4 * np.eye(24, dtype=np.int8)
    return np.concatenate([part.reshape(-1, 24) for part in (pairs, eights, (1 - 2 * words)[:, None] * ones)])


def leech(count: int | None = None) -> Float[Tensor, "K 24"]:
    """The 196560 shortest vectors of the Leech lattice in d = 24, or the first `count`: maximal cosine 1/2.

    The best code of its size, and the most points at 60 degrees in d = 24 (Levenshtein; Odlyzko and Sloane 1979).

    Examples:
        >>> leech(1000).shape
        torch.Size([1000, 24])
    """
    return unit(_shortest()[: check_count(count, 196560)])


def leech_section(fixed: Sequence[np.ndarray], products: Sequence[int]) -> Float[Tensor, "K d"]:
    """The shortest vectors with inner products `products` (in the integer scale) to the `fixed` vectors, projected.

    The projection is along the span of the fixed vectors, and the points come in coordinates of its complement.
    """
    frame = np.stack(fixed)
    inside = (_shortest() @ frame.T == products).all(axis=1)
    complement = np.linalg.qr(frame.T.astype(np.float64), mode="complete").Q[:, len(frame) :]
    return unit(_shortest()[inside] @ complement)


def conway_4600() -> Float[Tensor, "4600 23"]:
    """The 4600 neighbours of a shortest vector of the Leech lattice: d = 23, maximal cosine 1/3."""
    return leech_section([_SHORT], [16])


def conway_891() -> Float[Tensor, "891 22"]:
    """The 891 common neighbours of two shortest vectors of the Leech lattice at 60 degrees: d = 22, maximal cosine 1/4."""
    return leech_section([_SHORT, _SHORT_TOO], [16, 16])


def equiangular_552() -> Float[Tensor, "552 23"]:
    """552 points of d = 23, maximal cosine 1/5: the 276 equiangular lines, the most there can be, both ways.

    The shortest vectors v for which u - v is another, for a fixed u of the second shortest kind.
    """
    return leech_section([_LONG], [24])


def mclaughlin() -> Float[Tensor, "275 22"]:
    """The 275 points of the McLaughlin graph in d = 22, maximal cosine 1/6: neighbours of a point of `equiangular_552`."""
    return leech_section([_LONG, _SHORT], [24, 16])


def mclaughlin_162() -> Float[Tensor, "162 21"]:
    """The 162 points of `mclaughlin` at cosine 1/6 with a point of it, seen from there: d = 21, maximal cosine 1/7."""
    return leech_section([_LONG, _SHORT, _SHORT_TOO], [24, 16, 16])


def mclaughlin_112() -> Float[Tensor, "112 21"]:
    """The 112 points of `mclaughlin` at cosine -1/4 with a point of it, seen from there: d = 21, maximal cosine 1/9."""
    return leech_section([_LONG, _SHORT, _SHORT_TOO], [24, 16, 8])


def equiangular_352() -> Float[Tensor, "352 22"]:
    """352 points of d = 22, maximal cosine 1/5: the 176 equiangular lines, the most there can be, both ways.

    The points of `equiangular_552` that are orthogonal to a lattice vector as seen from the complement of u.
    """
    return leech_section([_LONG, _across()[0]], [24, 8])


def equiangular_252() -> Float[Tensor, "252 21"]:
    """252 points of d = 21, maximal cosine 1/5: the 126 equiangular lines, the most there can be, both ways.

    The points of `equiangular_352` that are orthogonal to one more lattice vector.
    """
    return leech_section([_LONG, *_across()], [24, 8, 8])


def _across() -> list[np.ndarray]:
    """Two shortest vectors at inner product 16 with the long one and -8 with each other."""
    words = golay_words()
    octad = words[(words.sum(axis=1) == 8) & (words[:, 0] == 0) & (words[:, 1] == 1)][0]
    return [np.array([4, -4, *[0] * 22]), 2 * octad.astype(np.int64)]
