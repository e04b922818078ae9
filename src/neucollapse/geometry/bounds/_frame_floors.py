"""Floors under the distance of K points in d dimensions to frames that need more dimensions."""

from .._rows import check_size


def etf_floor(K: int, d: int) -> float:
    r"""The smallest distance any K points in d dimensions can have from the simplex ETF Gram matrix.

    With the K x K Gram matrix G of rank at most d, scaled to unit Frobenius norm, and $E = (I - 11^T/K) / \sqrt{K-1}$, the
    distance $\|G - E\|_F$ is at least

    $$
    \sqrt{2 - 2\sqrt{d/(K-1)}} \quad (K > d+1), \qquad 0 \text{ otherwise,}
    $$

    as $\langle G, E\rangle$ is at most the root of the sum of squares of the d largest eigenvalues of E, and all
    K-1 of them are $1/\sqrt{K-1}$. It is reached by points whose Gram matrix is a projection of rank d orthogonal to 1.

    `InputError` is raised if K < 2 or d < 1.

    Examples:
        >>> round(etf_floor(8, 2), 4), etf_floor(10, 9)
        (0.9649, 0.0)
    """
    check_size(K, d)
    return _projection_floor(d, K - 1)


def orthogonal_frame_floor(K: int, d: int) -> float:
    r"""The smallest distance any K points in d dimensions can have from the orthogonal frame $I/\sqrt K$.

    $\sqrt{2 - 2\sqrt{d/K}}$ for K > d, else 0: see `etf_floor`, with K in place of K-1.

    `InputError` is raised if K < 2 or d < 1.

    Examples:
        >>> round(orthogonal_frame_floor(8, 2), 4), orthogonal_frame_floor(8, 8)
        (1.0, 0.0)
    """
    check_size(K, d)
    return _projection_floor(d, K)


def _projection_floor(d: int, rank: int) -> float:
    return (2 - 2 * (d / rank) ** 0.5) ** 0.5 if d < rank else 0.0
