"""Codes and lines from strongly regular graphs: points whose cosines are a function of adjacency.

The projector onto an eigenspace of the adjacency matrix is the Gram matrix of the points, up to scale; its entries are rational
and known in advance, so no eigenvector is ever computed.
"""

import numpy as np
from torch import Tensor

from ..._errors import InputError
from ..._types import Float
from .._rows import check_whole
from ._exact import from_gram
from ._galois import GaloisField, galois_field
from ._leech import golay_words


def higman_sims() -> Float[Tensor, "100 22"]:
    """The 100 points of the Higman-Sims graph in d = 22, maximal cosine 1/11.

    Points: a root, the 22 other points of the Steiner system S(3, 6, 22), and its 77 blocks. The root meets the 22, a point
    the blocks through it, a block the blocks disjoint from it. The eigenvalue -8 has multiplicity 22.
    """
    blocks = _steiner_blocks()
    adjacency = np.zeros((100, 100), dtype=bool)
    adjacency[0, 1:23] = True
    adjacency[1:23, 23:] = blocks.T == 1
    adjacency[23:, 23:] = blocks @ blocks.T == 0
    return _spectral(adjacency | adjacency.T, -8, 22)


def mesner() -> Float[Tensor, "77 21"]:
    """The 77 points of the M22 graph in d = 21, maximal cosine 1/12.

    Points: the blocks of the Steiner system S(3, 6, 22), joined where they are disjoint: the Higman-Sims graph without a point
    and its neighbours. The eigenvalue -6 has multiplicity 21.
    """
    blocks = _steiner_blocks()
    return _spectral(blocks @ blocks.T == 0, -6, 21)


def gewirtz() -> Float[Tensor, "56 20"]:
    """The 56 points of the Gewirtz graph in d = 20, maximal cosine 1/15.

    Points: the blocks of the Steiner system S(3, 6, 22) without a given point, joined where they are disjoint. The eigenvalue
    -4 has multiplicity 20.
    """
    blocks = _steiner_blocks()
    blocks = blocks[blocks[:, 0] == 0]
    return _spectral(blocks @ blocks.T == 0, -4, 20)


def hoffman_singleton() -> Float[Tensor, "50 21"]:
    """The 50 points of the Hoffman-Singleton graph in d = 21, maximal cosine 1/21.

    Robertson's pentagons and pentagrams: five of each, point j of pentagon h joined to point hi + j of pentagram i, all mod 5.
    The eigenvalue -3 has multiplicity 21.
    """
    h, j = np.divmod(np.arange(25), 5)
    step = (j[:, None] - j) % 5
    own = h[:, None] == h
    adjacent = np.zeros((50, 50), dtype=bool)
    adjacent[:25, :25] = own & ((step == 1) | (step == 4))
    adjacent[25:, 25:] = own & ((step == 2) | (step == 3))
    adjacent[:25, 25:] = (h[:, None] * h + j[:, None]) % 5 == j
    return _spectral(adjacent | adjacent.T, -3, 21)


def latin_square_lines() -> Float[Tensor, "36 15"]:
    """36 equiangular lines in d = 15 of coherence 1/5, the most there can be: Welch's bound.

    The cells of the addition table of the integers mod 6, joined where they share row, column or entry. The eigenvalue 3
    has multiplicity 15.
    """
    cell = np.arange(36)
    labels = np.stack([cell // 6, cell % 6, (cell // 6 + cell % 6) % 6])
    adjacent = (labels[:, :, None] == labels[:, None, :]).any(axis=0)
    np.fill_diagonal(adjacent, False)
    return _spectral(adjacent, 3, 15)


def isotropic_size(q: int) -> tuple[int, int]:
    """K and d of `isotropic(q)`."""
    return (q + 1) * (q**3 + 1), q * (q * q - q + 1)


def isotropic(q: int) -> Float[Tensor, "K d"]:
    """The (q+1)(q^3+1) points of an elliptic quadric over q elements, in d = q(q^2-q+1): maximal cosine 1/q^2.

    The best code of its size (Cameron, Goethals and Seidel 1978; Levenshtein), for every prime power q; another q raises
    `InputError`. 27 points in d = 6 (Schlaefli), 112 in 21, 325 in 52, 756 in 105, 2752 in 301, 4617 in 456, 7300 in 657.
    The singular points of the quadratic form x0 x1 + x2 x3 + f(x4, x5), f irreducible, are a generalised quadrangle of order
    (q, q^2): its collinearity graph has the eigenvalue -q^2-1 with multiplicity d, so that collinear points are at cosine
    -1/q, others at 1/q^2.

    Examples:
        >>> isotropic(2).shape, isotropic(3).shape
        (torch.Size([27, 6]), torch.Size([112, 21]))
    """
    field = galois_field(check_whole(q, "q (size of the field)", 2))
    a, b = _irreducible(field)
    multiply = field.multiply

    def form(x: np.ndarray) -> np.ndarray:
        last = [field.power(x[4], 2), multiply(a, multiply(x[4], x[5])), multiply(b, field.power(x[5], 2))]
        return field.add(multiply(x[0], x[1]), multiply(x[2], x[3]), *last)

    x = _projective_points(field, 6).T
    x = x[:, form(x) == 0]
    K, d = isotropic_size(q)

    def column(i: int) -> np.ndarray:
        # Singular points are collinear where the form of their sum is 0: it is the polar form of the two.
        cosine = np.where(form(field.add(x, x[:, i : i + 1])) == 0, -1 / q, 1 / q**2)
        cosine[i] = 1
        return cosine

    return from_gram(column, K, d)


def paley_lines(q: int) -> Float[Tensor, "K d"]:
    """q+1 equiangular lines in d = (q+1)/2, for a prime power q = 1 mod 4: coherence 1/sqrt(q), Welch's bound.

    From the Paley conference matrix, 1 where a difference in the field is a square and -1 where not (Paley 1933; Lemmens
    and Seidel 1973): 6 lines in d = 3 (the icosahedron's), 10 in 5, 14 in 7, 18 in 9, 26 in 13, 30 in 15.

    Raises:
        InputError: if q is not 1 mod 4; nor may it be other than a prime power.

    Examples:
        >>> from neucollapse.geometry import coherence
        >>> round(1 / coherence(paley_lines(5)) ** 2, 12)
        5.0
    """
    if check_whole(q, "q (size of the field)", 2) % 4 != 1:
        raise InputError(f"expected q = 1 mod 4, where -1 is a square, got q = {q}")
    field = galois_field(q)
    square = 1 - 2 * (field.logarithms % 2)
    square[0] = 0
    conference = np.ones((q + 1, q + 1))
    conference[0, 0] = 0
    elements = np.arange(q)
    conference[1:, 1:] = square[field.subtract(elements[:, None], elements)]
    gram = np.eye(q + 1) + conference / q**0.5
    return from_gram(lambda i: gram[i], q + 1, (q + 1) // 2)


def _steiner_blocks() -> np.ndarray:
    """The 77 blocks of S(3, 6, 22) as rows of zeros and ones: octads of the Golay code through two points, without those."""
    words = golay_words()
    return words[(words.sum(axis=1) == 8) & (words[:, :2] == 1).all(axis=1)][:, 2:].astype(np.int64)


def _spectral(adjacent: np.ndarray, eigenvalue: int, multiplicity: int) -> Tensor:
    """The points of a strongly regular graph for one of its eigenvalues, in as many dimensions as that has multiplicity.

    With degree k and eigenvalue r of n vertices, neighbours are at cosine r/k, others at -(1+r)/(n-k-1).
    """
    n, k = len(adjacent), int(adjacent[0].sum())
    gram = np.where(adjacent, eigenvalue / k, -(1 + eigenvalue) / (n - k - 1))
    np.fill_diagonal(gram, 1)
    return from_gram(lambda i: gram[i], n, multiplicity)


def _irreducible(field: GaloisField) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients a, b of a polynomial t^2 + a t + b without roots in the field, as arrays of one element."""
    t = np.arange(field.q)
    a = np.ones(1, dtype=np.int64)  # in every field: t^2 + t takes values twice, so that it misses some
    values = field.add(field.power(t, 2), field.multiply(a, t))
    b = next(b for b in np.split(t, field.q) if field.add(values, b).all())
    return a, b


def _projective_points(field: GaloisField, n: int) -> np.ndarray:
    """One vector of each line through 0 in n dimensions: the one whose first nonzero coordinate is 1."""
    q = field.q
    blocks = [np.arange(q**k) + q**k for k in range(n)]
    return np.concatenate(blocks)[:, None] // q ** np.arange(n - 1, -1, -1) % q
