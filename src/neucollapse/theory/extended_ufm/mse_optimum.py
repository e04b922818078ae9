r"""The optimum of several linear layers on free features, with mean-squared error and weight decay, in closed form.

For K classes of n samples, N = Kn, one-hot targets Y and matrices $W_1$ (the features H, d x N) to $W_L$:

$$f = \frac{1}{2N} \|W_L \cdots W_2 H + b 1^T - Y\|_F^2 + \sum_{l=1}^{L} \frac{\lambda_l}{2} \|W_l\|_F^2 .$$

*Derived here.* By the inequality of arithmetic and geometric means a singular value s of the product costs at least
$\frac{L}{2} \Lambda s^{2/L}$, with $\Lambda = (\lambda_1 \cdots \lambda_L)^{1/L}$, when the factors share it so that
all $\lambda_l a_l^2$ are equal. Y has K singular values $\sqrt n$; a bias that does not decay takes the mean away and
leaves K - 1. The product has the singular vectors of Y (von Neumann), and with $s = t \sqrt n$ each value solves

$$\min_{t \ge 0} \tfrac12 (1 - t)^2 + \tfrac L2 c\, t^{2/L}, \qquad c = K n^{1/L} \Lambda .$$

For L = 2 that is the soft threshold t = max(0, 1 - c). For L > 2 the stationary point $t^{1 - 2/L} (1 - t) = c$ with
$t > \frac{L-2}{2L-2}$ is a local minimum. It is better than 0 iff $t > \frac{L-2}{L-1}$, that is

$$c < c_0 = \frac{1}{L-1} \Big( \frac{L-2}{L-1} \Big)^{(L-2)/L} .$$

Above, everything collapses to zero; for L > 2 t jumps there. At most as many values survive as the smallest width; all are
equal, so which do is open.
Deep linear networks with mean-squared error are the subject of arXiv 2301.00437, two layers of arXiv 2202.08087.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import scipy.optimize

from ..._errors import InputError


@dataclass(frozen=True)
class DeepOptimum:
    """What `deep_optimum` returns.

    Attributes:
        value: of the objective.
        shrinkage: t in [0, 1]: a class's mean logits are t times its one-hot target, projected. 0 is collapse to zero.
        rank: of the logits.
        singular_values: of each matrix, the features first; each of them `rank` times.
    """

    value: float
    shrinkage: float
    rank: int
    singular_values: tuple[float, ...]


def threshold(layers: int) -> float:
    """c_0: all is zero at the optimum where K n^(1/L) (product of decays)^(1/L) is larger.

    Examples:
        >>> [round(threshold(L), 4) for L in (2, 3, 4)]
        [1.0, 0.3969, 0.2722]
    """
    L = layers
    return ((L - 2) / (L - 1)) ** ((L - 2) / L) / (L - 1)


def threshold_decay(K: int, n: int, layers: int) -> float:
    """The decay, the same for all matrices, above which the optimum is zero: c_0 / (K n^(1/L))."""
    return threshold(layers) / (K * n ** (1 / layers))


def shrinkage(c: float, layers: int) -> float:
    """The minimiser t of (1 - t)^2 / 2 + (L/2) c t^(2/L) over t >= 0.

    Args:
        c: price, at least 0.
        layers: L >= 2.

    Raises:
        InputError: for a negative price, or fewer than 2 layers.

    Examples:
        >>> shrinkage(0.25, 2), shrinkage(0.5, 3)
        (0.75, 0.0)
    """
    L = layers
    if L < 2 or not 0 <= c < math.inf:
        raise InputError(f"expected at least 2 layers and a finite price of at least 0, got {L} and {c}")
    if L == 2:
        return max(0.0, 1 - c)
    if c > threshold(L):
        return 0.0
    least = (L - 2) / (L - 1)
    root = scipy.optimize.root_scalar(
        lambda t: t ** (1 - 2 / L) * (1 - t) - c, bracket=(least * (1 - 1e-9), 1.0), method="brentq", xtol=1e-16
    )
    return float(root.root)


def deep_optimum(K: int, n: int, dim: int, decays: Sequence[float], bias: bool = False) -> DeepOptimum:
    """The global optimum of linear layers; see the formulas above.

    Args:
        K: classes, at least 2; n: samples of each; dim: the smallest width.
        decays: of each matrix, the features first; all above 0.
        bias: whether there is one, without decay.

    Raises:
        InputError: sizes below 1 (K below 2), fewer than two matrices, or a decay that is not positive.

    Examples:
        >>> optimum = deep_optimum(K=4, n=5, dim=8, decays=(0.01, 0.01, 0.01))
        >>> round(optimum.shrinkage, 6), optimum.rank
        (0.929924, 4)
    """
    L = len(decays)
    if K < 2 or n < 1 or dim < 1 or L < 2 or not all(0 < decay < math.inf for decay in decays):
        raise InputError(
            f"expected K >= 2, n >= 1, dim >= 1 and two or more positive decays, got {K}, {n}, {dim}, {tuple(decays)}"
        )
    shared = math.prod(decays) ** (1 / L)
    t = shrinkage(K * n ** (1 / L) * shared, L)
    modes = K - 1 if bias else K
    rank = min(modes, dim) if t else 0
    price = shared * (t * math.sqrt(n)) ** (2 / L)  # = decay times squared singular value, of every matrix
    value = (rank * (1 - t) ** 2 + modes - rank) / (2 * K) + rank * L / 2 * price
    return DeepOptimum(value, t, rank, tuple(math.sqrt(price / decay) for decay in decays))
