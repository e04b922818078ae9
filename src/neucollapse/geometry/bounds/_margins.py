"""Bounds on the margin rho, the smallest distance of a point to the convex hull of the others."""

import math

from .._rows import check_size
from ._levenshtein import check_sphere


def margin_upper(K: int, d: int) -> float:
    r"""The upper bound on the margin of K unit vectors in d dimensions that holds by convexity.

    $$
    \rho \le \frac{K}{K-1} \quad (K \le d+1), \qquad \rho \le 1 \quad (K \ge d+2), \qquad
    \rho \le 1 - \cos\frac{2\pi}{K} \quad (d = 2,\ K \ge 3),
    $$

    and 0 for K >= 3 on a line. Valid for every K and d; tight for K <= 2d (simplex; cross-polytope and kin) and in the
    plane (polygon). Beyond, no code need reach it, and for large K `margin_gamma` is smaller. The second is Radon's
    theorem: K >= d+2 points split into two sets whose hulls meet.

    `InputError` is raised if K < 2 or d < 1.

    References:
        Jiang et al., "Generalized Neural Collapse for a Large Number of Classes", arXiv 2310.05351.

    Examples:
        >>> margin_upper(5, 4), margin_upper(9, 4), round(margin_upper(6, 2), 12)
        (1.25, 1.0, 0.5)
    """
    check_size(K, d)
    if d + 1 >= K:
        return K / (K - 1)
    if d == 1:
        return 0.0
    return 2 * math.sin(math.pi / K) ** 2 if d == 2 else 1.0


def margin_gamma(K: int, d: int) -> tuple[float, float]:
    r"""What packing and covering arguments say of the largest margin of K unit vectors: a lower and an upper bound.

    $$
    \frac12 \Big[ \frac{\sqrt\pi}{K} \frac{\Gamma(\frac{d+1}2)}{\Gamma(\frac d2 + 1)} \Big]^{\frac2{d-1}}
    \;\le\; \max_W \rho \;\le\;
    2 \Big[ \frac{2\sqrt\pi}{K} \frac{\Gamma(\frac{d+1}2)}{\Gamma(\frac d2)} \Big]^{\frac1{d-1}}.
    $$

    Left: points chosen one by one at some distance from the earlier ones, by the area of caps, and rho >= 1 - s. Right: the
    margin is at most the smallest distance, and caps of half that radius are disjoint. Both hold for every K >= 2 and
    d >= 2 and are loose: at (d, K) = (10, 100) they read 0.17 and 1.5. The right one is below 1 for many points in few
    dimensions alone, K > 16 for d = 3.

    `InputError` is raised if K < 2 or d < 2.

    References:
        Jiang et al., "Generalized Neural Collapse for a Large Number of Classes", arXiv 2310.05351.

    Examples:
        >>> lower, upper = margin_gamma(100, 3)
        >>> round(lower, 6), round(upper, 6)  # 2/(3K) and 4/sqrt(K)
        (0.006667, 0.4)
    """
    check_sphere(K, d)
    root = math.log(math.pi) / 2 + math.lgamma((d + 1) / 2) - math.log(K)
    lower = (root - math.lgamma(d / 2 + 1)) * 2 / (d - 1) - math.log(2)
    upper = (root + math.log(2) - math.lgamma(d / 2)) / (d - 1) + math.log(2)
    return math.exp(lower), math.exp(upper)
