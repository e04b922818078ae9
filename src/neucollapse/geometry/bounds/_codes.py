"""The classical bounds on spherical codes: Rankin's, and Fejes Toth's on the ordinary sphere."""

import math

from ..._errors import InputError
from .._rows import check_size


def rankin(K: int, d: int) -> float:
    r"""Rankin's lower bound on the largest cosine s of K unit vectors in d dimensions.

    $$
    s \ge -\frac{1}{K-1} \quad (K \le d+1), \qquad s \ge 0 \quad (K \ge d+2).
    $$

    Valid for every K and d; tight for K <= 2d: the simplex has the first value, the cross-polytope and its kin the
    second. (On a line, d = 1, two of K >= 3 unit vectors coincide, and s = 1: see `best_bound`.)

    `InputError` is raised if K < 2 or d < 1.

    References:
        Rankin, "The closest packing of spherical caps in n dimensions", 1955.

    Examples:
        >>> rankin(5, 4), rankin(6, 4)
        (-0.25, 0.0)
    """
    check_size(K, d)
    return -1 / (K - 1) if d + 1 >= K else 0.0


def fejes_toth(K: int) -> float:
    r"""Fejes Toth's lower bound on the largest cosine s of K >= 3 unit vectors in three dimensions.

    Their smallest distance is at most $\sqrt{4 - \csc^2 \omega}$ with $\omega = \frac{\pi K}{6 (K-2)}$, so

    $$
    s \ge \tfrac12 \csc^2 \omega - 1.
    $$

    Tight for K = 3, 4, 6 and 12, the triangle, tetrahedron, octahedron and icosahedron, and asymptotically for large K.

    Raises:
        InputError: if K < 3.

    References:
        L. Fejes Toth, "Ueber die Abschaetzung des kuerzesten Abstandes zweier Punkte eines auf einer Kugelflaeche
        liegenden Punktsystems", 1943.

    Examples:
        >>> round(fejes_toth(12) * 5**0.5, 12)
        1.0
    """
    check_size(K, 3)
    if K < 3:
        raise InputError(f"expected at least 3 points for the bound of Fejes Toth, got K = {K}; see rankin(K, 3)")
    return 0.5 / math.sin(math.pi * K / (6 * (K - 2))) ** 2 - 1
