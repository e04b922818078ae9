"""Delsarte's linear-programming bound on spherical codes, with a proof that can be checked in exact arithmetic."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np

from ..._errors import InputError
from ._gegenbauer import maximum, monomials, values
from ._levenshtein import check_sphere, levenshtein

_BITS = 44  # of the certified cosine after the point: few, so that its powers stay short in exact arithmetic
_SLACK = Fraction(1, 10**13)  # the exact bound on a maximum may exceed -1 by this much, and counts as -1
_SAMPLES = 200  # per degree: of the dense grid on which the largest violation is looked for
_ROUNDS = 20  # of the exchange of points, at most
_NEARLY = 1e-2  # points where the solution is this far below -1 are dropped in the next round
_STEPS, _NEAR = 15, 1e-10  # of Newton in s, and the step after which it ends
_STEP = 1e-6  # of a difference quotient
_EXCESS = 2e-10  # above -1 that a solution may be between the points
_OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


@dataclass(frozen=True)
class DelsarteBound:
    """A proof that K unit vectors in d dimensions have two with a cosine above `value`.

    With $g = \\sum_{k \\ge 1} g_k P_k$, all $g_k \\ge 0$ (`coefficients`), and g at most some M < 0 on [-1, value],
    no code with cosines up to `value` has more than 1 - g(1)/M points, and that is less than K. (For K = 2 there is
    nothing to prove: the value is -1.)

    Attributes:
        K: number of points.
        d: dimension.
        value: the certified lower bound on the largest cosine.
        coefficients: g_1, ..., g_degree: floats, taken as the exact numbers they are.
    """

    K: int
    d: int
    value: float
    coefficients: tuple[float, ...]

    def largest_size(self) -> Fraction:
        """The upper bound 1 - g(1)/M on the size of a code with cosines up to `value`: exact, and less than K.

        Worked out anew, in whole numbers, from `value` and `coefficients` alone.

        Raises:
            InputError: if the coefficients prove nothing: one is negative or not finite, or the maximum M is not below 0.
        """
        if not all(math.isfinite(g) and g >= 0 for g in self.coefficients):
            raise InputError(f"expected finite coefficients >= 0, got {self.coefficients}")
        g = [Fraction(a) for a in self.coefficients]
        polynomial = [Fraction(0)] * (len(g) + 1)
        for weight, P in zip(g, monomials(len(g), self.d)[1:], strict=True):
            for power, a in enumerate(P):
                polynomial[power] += weight * a
        M = maximum(polynomial, Fraction(-1), Fraction(self.value), _SLACK)
        if M >= 0:
            raise InputError(
                f"expected a polynomial that is negative on [-1, {self.value}], got a maximum of {float(M)}"
            )
        return 1 - sum(g) / M


@cache
def delsarte(K: int, d: int, degree: int = 16) -> DelsarteBound:
    r"""The linear-programming bound on the largest cosine s of K unit vectors in d >= 2 dimensions, certified.

    A code with cosines at most s has at most $f(1)/f_0$ points for every polynomial $f = \sum_k f_k P_k$ with
    $f_0 > 0$, $f_k \ge 0$ and $f(t) \le 0$ on [-1, s], where $P_k$ are the Gegenbauer polynomials of the
    sphere: the sum of f over all pairs is at least $f_0 K^2$ by positive definiteness and at most $K f(1)$. The
    largest s at which this excludes K points is sought among polynomials up to a degree.

    The linear program is solved in floating point on points of [-1, s], which proves nothing: between them f may be
    positive, and such bounds have come out *above* the truth. So f is then bounded on the whole interval in exact rational
    arithmetic, by its Bernstein coefficients under repeated halving (they close in quadratically at the double zeros of an
    optimal f, where interval evaluation would close in linearly), the excess is taken off f_0, and s counts only if
    f(1)/f_0, again exact, is below K. The result can be checked without trust in the solver: `largest_size`.

    Valid for every K and d >= 2. Tight, to about 1e-9 from below, for the sharp codes (icosahedron, E8 roots, Leech lattice,
    ...) and with degree 17 for the 600-cell. It is never below `levenshtein` by more than that while its degree
    suffices. Takes a second or less, up to three in the plane and in space; results are kept.

    Args:
        K: number of points.
        d: dimension.
        degree: of the polynomials, 1 to 60. A larger one is at least as good, and slower.

    Raises:
        InputError: if K < 2, d < 2 or the degree is out of range.

    References:
        Delsarte, Goethals and Seidel, "Spherical codes and designs", 1977; Odlyzko and Sloane, "New bounds on the number
        of unit spheres that can touch a unit sphere in n dimensions", 1979.

    Examples:
        >>> bound = delsarte(240, 8)
        >>> 0.499999 < bound.value <= 0.5, bound.largest_size() < 240
        (True, True)
    """
    check_sphere(K, d)
    if not isinstance(degree, int) or not 1 <= degree <= 60:
        raise InputError(f"expected a degree as a whole number from 1 to 60, got {degree!r}")
    bound = DelsarteBound(K, d, -1.0, (1.0,))  # all that K = 2 allows; for K > 2, P_1(-1) = -1 proves it
    if K == 2:
        return bound
    programs, step = _Programs(d, degree), 2.0**-36
    s = _crossing(K, programs)
    while s - step > -1:
        lower = math.floor((s - step) * 2**_BITS) / 2**_BITS
        tried = DelsarteBound(K, d, lower, tuple(programs.solve(lower)[0].tolist()))
        if _proves(tried):
            return tried
        step *= 4
    return bound


def _proves(bound: DelsarteBound) -> bool:
    try:
        return bound.largest_size() < bound.K
    except InputError:
        return False


def _crossing(K: int, programs: "_Programs") -> float:
    """The s at which the linear program, in floating point, allows K points: by Newton steps, as its value increases with s."""
    low, high = -1.0, 1.0
    s = levenshtein(K, programs.d)
    for _ in range(_STEPS):
        _, value, slope = programs.solve(s)
        low, high = (s, high) if value < K else (low, s)
        step = value / slope * math.log(K / value) if slope > 0 else 0.0
        if slope > 0 and abs(step) < _NEAR:
            return s + step
        s = s + step if slope > 0 and low < s + step < high else (low + high) / 2
    return s


class _Programs:
    """The linear programs of one dimension and degree, on a set of points that adapts from one to the next.

    Each round adds the local maxima of the solution (Remez exchange), so that some dozens of points do better than a fine
    grid. Points are kept as fractions u of [-1, s], where they serve for neighbouring s too.
    """

    def __init__(self, d: int, degree: int) -> None:
        self.d, self.degree = d, degree
        self.points = self.start = _spread(4 * degree)
        self.dense = _spread(_SAMPLES * degree)

    def solve(self, s: float) -> tuple[np.ndarray, float, float]:
        """g_1, ..., g_degree >= 0 of least sum with g = sum_k g_k P_k <= -1 on [-1, s]; 1 - g(1) / max g; its slope in s."""
        P, rounds = self._values(self.dense, s), 0
        while True:
            g, price, below = self._on_points(s)
            if g is None:
                return np.zeros(self.degree), math.inf, 0.0
            peaks = _peaks(self.dense, P @ g)
            excess = self._values(peaks, s) @ g + 1
            rounds += 1
            if excess.max() < _EXCESS or rounds == _ROUNDS:
                break
            near = self.points[below < _NEARLY]
            self.points = np.unique(np.concatenate([self.start, near, peaks[excess >= _EXCESS]]))
        # Of the constraints only that at s itself counts: at the other zeros, all double, f has no slope.
        end = self._values(np.array([1 - _STEP, 1.0]), s) @ g
        slope = price * (end[1] - end[0]) / (_STEP * (1 + s))
        return g, 1 + g.sum() / (1 - min(float(excess.max()), 0.5)), slope

    def _on_points(self, s: float) -> tuple[np.ndarray | None, float, np.ndarray]:
        """The solution on the points, None if s is too near to 1; the price of the constraint at s; how far g is below -1."""
        from scipy.optimize import linprog

        A = self._values(self.points, s)
        result = linprog(np.ones(self.degree), A_ub=A, b_ub=-np.ones(len(A)), method="highs", options=_OPTIONS)
        if result.x is None:
            return None, 0.0, np.empty(0)
        g = np.maximum(result.x, 0)
        return g, -float(result.ineqlin.marginals[-1]), -1 - A @ g

    def _values(self, u: np.ndarray, s: float) -> np.ndarray:
        return values(self.degree, self.d, u * (1 + s) - 1)[:, 1:]


def _spread(count: int) -> np.ndarray:
    """Points of [0, 1], denser towards both ends, where polynomials bend most."""
    return (1 - np.cos(np.pi * np.arange(count) / (count - 1))) / 2


def _peaks(u: np.ndarray, sampled: np.ndarray) -> np.ndarray:
    """Where a function sampled at u has its local maxima: each at the top of the parabola through three samples."""
    padded = np.concatenate([[-np.inf], sampled, [-np.inf]])
    at = np.flatnonzero((sampled >= padded[:-2]) & (sampled > padded[2:]))
    inner = at[(at > 0) & (at < len(u) - 1)]
    left, right = u[inner - 1] - u[inner], u[inner + 1] - u[inner]
    rise, fall = sampled[inner - 1] - sampled[inner], sampled[inner + 1] - sampled[inner]
    top = (fall * left**2 - rise * right**2) / (2 * (fall * left - rise * right))
    return np.concatenate([u[np.setdiff1d(at, inner)], u[inner] + np.clip(top, left, right)])
