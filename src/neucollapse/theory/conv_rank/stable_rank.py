r"""What stable ranks to expect of data made of patches, and of filters that were trained on them.

The claim is that of arXiv 2504.08628 (abstract seen): filters keep the rank of clean data under noise, where that of the data
grows. Its theorem was not seen; everything here is derived here, for signals that are orthonormal, n samples of each.
"""

import math

import numpy as np
import scipy.sparse.linalg
import torch
from torch import Tensor

from ..._errors import InputError
from ..._types import Float

_SMALL = 100


def stable_rank_of(matrix: Float[Tensor, "a b"]) -> float:
    """||A||_F^2 / ||A||_2^2, as `metrics` has it, from the largest singular value alone.

    Raises:
        InputError: for a matrix of zeros.

    Examples:
        >>> round(stable_rank_of(torch.eye(3)), 9)
        3.0
    """
    square = float(matrix.double().square().sum())
    if square == 0:
        raise InputError("expected a matrix that is not all zeros, got one that has no rank to speak of")
    if min(matrix.shape) <= _SMALL:
        return square / float(torch.linalg.matrix_norm(matrix.double(), ord=2)) ** 2
    start = np.random.default_rng(0).standard_normal(min(matrix.shape))
    array = matrix.double().numpy()
    largest = np.asarray(scipy.sparse.linalg.svds(array, k=1, v0=start, return_singular_vectors=False))
    return square / float(largest[0]) ** 2


def data_stable_rank(K: int, n: int, patches: int, dim: int, level: float, *, orthogonal: bool = True) -> float:
    r"""Stable rank of the matrix of all patches of 2K n samples, under noise of norm `level`.

    Of the N = 2K n samples each has one patch with a signal of norm 1 and P-1 of noise, so a = N(P-1) noise patches with
    variance $\sigma^2 = \rho^2/d'$ in each of the d' dimensions that noise has. Then
    $\mathbb E\|X\|_F^2 = N + a\rho^2$, and the largest of the squared singular values is

    - noise orthogonal to the signals (d' = d - 2K): the larger of n and $\sigma^2(\sqrt a + \sqrt{d'})^2$;
    - noise in all directions (d' = d): n is a spike on a Wishart matrix. By the R-transform of that,
      $a\sigma^2/(1 - \sigma^2 d g)$ at g = 1/n, it lifts an eigenvalue to $n + a\sigma^2 n/(n - \rho^2)$ where
      $n > \sigma^2(d + \sqrt{ad})$, and elsewhere none out of the bulk, up to $\sigma^2(\sqrt a + \sqrt d)^2$.

    While the signal is the largest, orthogonal noise gives $2K(1 + (P-1)\rho^2)$, and this is exact for the mean. The
    other cases hold for large a and d at a fixed ratio. No noise gives 2K.

    Examples:
        >>> round(data_stable_rank(5, 10, patches=2, dim=1000, level=1.5), 9)
        32.5
    """
    N = 2 * K * n
    a, free = N * (patches - 1), dim - 2 * K if orthogonal else dim
    variance = level**2 / free
    bulk = variance * (math.sqrt(a) + math.sqrt(free)) ** 2
    largest = max(float(n), bulk)
    if not orthogonal:
        apart = n > variance * (free + math.sqrt(a * free))
        largest = n + a * variance * n / (n - level**2) if apart else bulk
    return (N + a * level**2) / largest


def small_init_stable_rank(responses: Float[Tensor, "R S"]) -> float:
    r"""Stable rank of filters that grew from a vanishing initialisation, by a power of the activation above 2.

    The response z of a filter to a signal grows as $\dot z \propto z^{q-1}$. With q > 2 it explodes after a time
    $\propto z_0^{2-q}$, first for the filter with the largest response at the start; when that one fits the samples of the
    signal, those of all others are still vanishing. So every signal has one winner. Their responses become equal in long
    training, as loss and slope are the same for each, but slowly: margins grow as the logarithm of the time since the explosion.
    A filter that wins c signals then has c equal coordinates, a block of ones of size c in W^T W: hence 2K over the largest c.
    It is 2K if no filter wins twice, which among m filters of each sign has probability $\prod_{i<K} (1 - i/m)^2$.

    Args:
        responses: of the filters to the 2K signals at the start; first half of both has second layer and label +1.

    Examples:
        >>> small_init_stable_rank(torch.tensor([[3.0, 1.0], [1.0, 2.0]]))
        2.0
    """
    m, K = len(responses) // 2, responses.shape[1] // 2
    halves = (responses[:m, :K], responses[m:, K:])
    return 2 * K / max(int(half.argmax(0).bincount().max()) for half in halves)


def quadratic_stable_rank(K: int) -> float:
    r"""Stable rank of filters that grew from a vanishing initialisation by the power 2, in the limit of many filters.

    Now $\dot z \propto z$: responses grow in proportion, and a filter ends with $\max(g, 0)$ on the K signals of its
    sign, g standard normal, and nothing else. As $\mathbb E\max(g,0)^2 = 1/2$ and
    $(\mathbb E\max(g,0))^2 = 1/(2\pi)$, W^T W has trace K/2 and largest eigenvalue 1/2 + (K-1)/(2 pi) for each sign:

    $$\frac{2K}{1 + (K-1)/\pi} < 2\pi .$$

    Examples:
        >>> round(quadratic_stable_rank(10), 3)
        5.175
    """
    return 2 * K / (1 + (K - 1) / math.pi)


def robust_level(n: int, power: float) -> float:
    r"""Norm of noise at which a filter learns a noise patch as fast as a signal: n^(1/q).

    A signal is in 1/(2K) of the samples, a noise patch in 1/N, and gradients are in proportion to squared norms: a response z to
    them grows by $z^{q-1}/(2K)$ and $\rho^2 z^{q-1}/N$, from responses of 1 to $\rho$ at the start. The
    exploding times are equal where $\rho^q = N/(2K) = n$. An order of magnitude: a filter wins by its largest response, and
    there are more noise patches than signals.

    Examples:
        >>> robust_level(8, 3.0)
        2.0
    """
    return n ** (1 / power)
