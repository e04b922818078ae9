"""Descent on the sphere: smooth objectives of K unit vectors, and an L-BFGS that lowers them from many starts.

Plain numpy, which numba compiles as it stands (extra `fast`): for a few dozen points that is several times faster; for
hundreds the matrix products take most of the time either way.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, no_type_check  # annotations checked at run time would wrap what numba compiles

import numpy as np

from ..._environment import numba_available
from .._clock import late

# Without numba the functions run as plain Python.
compiled: Callable[..., Any] = (
    import_module("numba").njit(cache=True) if numba_available() else lambda function: function
)

SIGNED, ABSOLUTE, RIESZ, LOGARITHMIC = 0, 1, 2, 3
_MEMORY = 12
_PIECE = 1e8  # K^2 d times iterations between two looks at the clock: about a tenth of a second


@compiled
@no_type_check
def _exponentials_of_most(C, p, top):
    S = np.zeros_like(C)
    for i in range(len(C)):
        for j in range(i):
            x = p * (C[i, j] - top)
            if x > -40:  # most pairs of a sharp maximum are not worth an exponential
                S[i, j] = S[j, i] = np.exp(x)
    return S


def _exponentials_of_all(C: np.ndarray, p: float, top: float) -> np.ndarray:
    return np.exp(p * (C - top))


# A loop over pairs pays where it is compiled, and there alone.
_exponentials = _exponentials_of_most if numba_available() else _exponentials_of_all


@compiled
@no_type_check
def evaluate(U: np.ndarray, kind: int, p: float) -> tuple[float, np.ndarray]:
    """An objective at unit rows U (K, d), and its gradient along the sphere.

    `SIGNED`, `ABSOLUTE`: the smooth maximum `log(sum_{i != j} exp(p c_ij)) / p` of the cosines, or their absolute
    values. `RIESZ`: the mean over pairs of `|u_i - u_j|^-p`. `LOGARITHMIC`: that of `-log|u_i - u_j|`.
    """
    K = len(U)
    G = U @ U.T
    if kind <= ABSOLUTE:
        C = np.abs(G) if kind == ABSOLUTE else G
        np.fill_diagonal(C, -np.inf)
        top = C.max()
        S = _exponentials(C, p, top)
        total = S.sum()
        value = top + np.log(total) / p
        S *= 2 / total
        if kind == ABSOLUTE:
            S *= np.sign(G)
    else:
        D = np.maximum(2 - 2 * G, 1e-300)
        np.fill_diagonal(D, np.inf)
        pairs = K * (K - 1) / 2
        if kind == RIESZ:
            S = D ** (-p / 2)
            value = S.sum() / 2 / pairs
            S *= p / D
        else:
            np.fill_diagonal(D, 1.0)
            value = -np.log(D).sum() / 4 / pairs
            S = 1 / D
            np.fill_diagonal(S, 0.0)
        S /= pairs
    T = S @ U
    return value, T - (T * U).sum(axis=1).reshape((K, 1)) * U


@compiled
@no_type_check
def _direction(U, slope, steps, changes, curvature, count):
    # Minus the inverse Hessian, as the last steps tell it, times the slope, along the sphere (Nocedal and Wright, 7.4).
    alpha = np.zeros(_MEMORY)
    direction = -slope
    kept = min(count, _MEMORY)
    for back in range(kept):
        at = (count - 1 - back) % _MEMORY
        alpha[at] = (steps[at] * direction).sum() / curvature[at]
        direction -= alpha[at] * changes[at]
    if kept:
        at = (count - 1) % _MEMORY
        direction *= curvature[at] / (changes[at] * changes[at]).sum()
    for back in range(kept - 1, -1, -1):
        at = (count - 1 - back) % _MEMORY
        direction += (alpha[at] - (changes[at] * direction).sum() / curvature[at]) * steps[at]
    return direction - (direction * U).sum(axis=1).reshape((len(U), 1)) * U


@compiled
@no_type_check
def descend(U: np.ndarray, kind: int, p: float, iterations: int, tolerance: float) -> tuple[np.ndarray, float]:
    """L-BFGS with a weak Wolfe line search by bisection, which also serves the nearly kinked objectives of large p.

    Steps move all rows along the tangent and back to the sphere. It ends at a gradient (of the largest row) below
    `tolerance`, where no step helps, or after `iterations`. Returns the rows and the value.
    """
    K, d = U.shape
    steps, changes, curvature = np.zeros((_MEMORY, K, d)), np.zeros((_MEMORY, K, d)), np.zeros(_MEMORY)
    value, slope = evaluate(U, kind, p)
    count = 0
    for _ in range(iterations):
        if np.sqrt((slope * slope).sum(axis=1).max()) <= tolerance:
            break
        direction = _direction(U, slope, steps, changes, curvature, count)
        downhill = (direction * slope).sum()
        if downhill >= 0:
            direction, downhill, count = -slope, -(slope * slope).sum(), 0
        longest = np.sqrt((direction * direction).sum(axis=1).max())
        step = 1.0 if count else min(1.0, 0.1 / longest)
        step = min(step, 0.5 / longest)
        low, high = 0.0, np.inf
        moved, new_value, new_slope = U, value, slope
        for _ in range(30):
            moved = U + step * direction
            moved = moved / np.sqrt((moved * moved).sum(axis=1)).reshape((K, 1))
            new_value, new_slope = evaluate(moved, kind, p)
            if not new_value <= value + 1e-4 * step * downhill:
                high = step
            elif (new_slope * direction).sum() < 0.9 * downhill:
                low = step
            else:
                break
            step = (low + high) / 2 if high < np.inf else 2 * step
            if step * longest > 0.5:
                break
        if not new_value < value:
            if count == 0:
                break
            count = 0  # the memory may be to blame
            continue
        s, y = moved - U, new_slope - slope
        product = (s * y).sum()
        if product > 1e-14 * np.sqrt((s * s).sum() * (y * y).sum()):
            at = count % _MEMORY
            steps[at], changes[at], curvature[at] = s, y, product
            count += 1
        U, value, slope = moved, new_value, new_slope
    return U, value


def cosines(U: np.ndarray, kind: int) -> np.ndarray:
    """Cosines of all pairs, or their absolute values, with -1 on the diagonal."""
    C = U @ U.T
    C = np.abs(C) if kind == ABSOLUTE else C
    np.fill_diagonal(C, -1)
    return C


def normalise(U: np.ndarray) -> np.ndarray:
    """The rows over their norms."""
    return U / np.linalg.norm(U, axis=1)[:, None]


def anneal(
    U: np.ndarray,
    kind: int,
    first: float,
    last: float,
    *,
    factor: float,
    iterations: int,
    tolerance: float,
    deadline: float | None = None,
) -> np.ndarray:
    """`descend` on smooth maxima of sharpness first, first * factor, ..., last; to the deadline at most."""
    p = first
    while True:
        U = lower(U, kind, p, iterations, tolerance, deadline=deadline)
        if p >= last or late(deadline):
            return U
        p = min(p * factor, last)


def lower(
    U: np.ndarray, kind: int, p: float, iterations: int, tolerance: float, *, deadline: float | None = None
) -> np.ndarray:
    """The rows that `descend` ends with, to the deadline at most: piece by piece, as compiled code looks at no clock."""
    if deadline is None:
        return descend(U, kind, p, iterations, tolerance)[0]
    piece = max(1, int(_PIECE / len(U) ** 2 / U.shape[1]))
    for begin in range(0, iterations, piece):
        moved, _ = descend(U, kind, p, min(piece, iterations - begin), tolerance)
        if late(deadline) or np.array_equal(moved, U):
            return moved
        U = moved
    return U
