"""Gegenbauer polynomials P_k of the sphere in d dimensions, P_k(1) = 1, and exact bounds on polynomials.

P_k(<x, y>) is a positive definite function of unit vectors x, y in d dimensions: what all linear-programming bounds use.
The recurrence: (k+d-2) P_{k+1}(t) = (2k+d-2) t P_k(t) - k P_{k-1}(t), from P_0 = 1 and P_1 = t.
"""

from fractions import Fraction
from itertools import pairwise
from math import comb, lcm

import numpy as np


def values(degree: int, d: int, t: np.ndarray) -> np.ndarray:
    """P_0(t), ..., P_degree(t) in float64: the shape of t, with a last axis of degree + 1."""
    P = [np.ones_like(t), t]
    for k in range(1, degree):
        P.append(((2 * k + d - 2) * t * P[k] - k * P[k - 1]) / (k + d - 2))
    return np.stack(P[: degree + 1], axis=-1)


def monomials(degree: int, d: int) -> list[list[Fraction]]:
    """The exact coefficients of P_0, ..., P_degree: row k holds the coefficients of 1, t, ..., t^k."""
    P = [[Fraction(1)], [Fraction(0), Fraction(1)]]
    for k in range(1, degree):
        shifted = [Fraction(0), *(Fraction(2 * k + d - 2, k + d - 2) * a for a in P[k])]
        for power, a in enumerate(P[k - 1]):
            shifted[power] -= Fraction(k, k + d - 2) * a
        P.append(shifted)
    return P[: degree + 1]


def maximum(polynomial: list[Fraction], low: Fraction, high: Fraction, slack: Fraction) -> Fraction:
    """An upper bound on a polynomial over [low, high], at most ``slack`` above its maximum there. Proved, not sampled.

    All arithmetic is on whole numbers. On an interval the largest Bernstein coefficient bounds the polynomial, and the
    first and last are its values at the ends; intervals whose bound exceeds the best value seen by more than the slack
    are halved. The bounds close in quadratically, so that the double zeros of an optimal polynomial cost a few hundred
    halvings.
    """
    degree = len(polynomial) - 1
    bernstein = _bernstein(_substitute(polynomial, low, high - low))
    scale = lcm(*(b.denominator for b in bernstein), slack.denominator)
    cells, room = [[int(b * scale) for b in bernstein]], int(slack * scale)
    best = max(cells[0][0], cells[0][-1])
    while cells:  # one level of halving a turn; every number is over the same scale
        best = max(best, *(max(cell[0], cell[-1]) for cell in cells))
        cells = [half for cell in cells if max(cell) > best + room for half in _halve(cell)]
        best, room, scale = (x << degree for x in (best, room, scale))
    return Fraction(best + room, scale)


def _substitute(polynomial: list[Fraction], low: Fraction, width: Fraction) -> list[Fraction]:
    """The coefficients in u of the polynomial at t = low + width * u, by Horner's rule."""
    result = [Fraction(0)]
    for a in reversed(polynomial):
        shifted = [Fraction(0), *(width * c for c in result)]
        for power, c in enumerate(result):
            shifted[power] += low * c
        shifted[0] += a
        result = shifted
    return result[: len(polynomial)]


def _bernstein(polynomial: list[Fraction]) -> list[Fraction]:
    """The Bernstein coefficients on [0, 1] of a polynomial given by its coefficients of 1, u, u^2, ..."""
    degree = len(polynomial) - 1
    scaled = [c / comb(degree, j) for j, c in enumerate(polynomial)]
    return [sum((comb(i, j) * scaled[j] for j in range(i + 1)), Fraction(0)) for i in range(degree + 1)]


def _halve(cell: list[int]) -> tuple[list[int], list[int]]:
    """The Bernstein coefficients on both halves of an interval, times 2^degree (de Casteljau)."""
    degree = len(cell) - 1
    left, right, row = [], [], cell
    for step in range(degree + 1):
        left.append(row[0] << (degree - step))
        right.append(row[-1] << (degree - step))
        row = [a + b for a, b in pairwise(row)]
    return left, right[::-1]
