r"""A primal-dual interior-point method for the code with the least maximal cosine near a given one.

Minimise t with ``c_a + s_a = t`` and slacks ``s_a >= 0`` over the pairs a that come near the maximum. Newton's method on

.. math:: \sum_a \lambda_a \nabla c_a = 0, \quad \sum_a \lambda_a = 1, \quad c_a + s_a = t, \quad \lambda_a s_a = \mu

with :math:`\mu \to 0` (Fiacco and McCormick's rule as in Ipopt, doi:10.1007/s10107-004-0559-y): it takes some twenty steps
from an annealed code to ten digits, and tells the pairs that carry a multiplier from those that only come near.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ._contacts import Contacts, contacts_above, cosines, longest

_NEAR = 0.1  # pairs this much below the maximum may come to carry a multiplier
_LAST = 1e-13  # complementarity at the end
_FALL = 0.1
_STEPS = 120
_LONGEST = 0.05  # step of a point, in radians
_BACK_OFF = 0.99  # share of the way to the boundary that a step goes
_ROUNDING = 1e-14  # ridge that rounding asks for, of the mean diagonal entry


class _Interior(NamedTuple):
    """Contacts with slacks and multipliers above 0, and the common level of cosine + slack."""

    at: Contacts
    level: float
    slack: np.ndarray  # (m,)
    multiplier: np.ndarray  # (m,)

    def error(self, mu: float) -> float:
        """How far the equations of this mu are from holding, in units of mu: below 1 the next mu may come."""
        scale = mu * len(self.slack)
        return max(
            float(np.abs(self.at.pull(self.multiplier)).max()) / scale,
            abs(1 - float(self.multiplier.sum())),
            float(np.abs(self.at.cosine + self.slack - self.level).max()) / scale,
            float(np.abs(self.multiplier * self.slack - mu).max()) / (10 * mu),
        )


class _Step(NamedTuple):
    points: np.ndarray  # (K, d-1)
    level: float
    slack: np.ndarray
    multiplier: np.ndarray


def approach(U: np.ndarray, kind: int, sharpness: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """From a code annealed to a sharpness to ten digits: the code, the pairs (i, j) that touch, and their multipliers."""
    top = cosines(U, kind).max()
    i, j = contacts_above(U, top - _NEAR, kind)
    now, mu = _begin(Contacts.of(U, i, j, kind), sharpness)
    ridge = 0.0
    for _ in range(_STEPS):
        if mu <= _LAST and now.error(mu) < 1:
            break
        while mu > _LAST and now.error(mu) < 1:
            mu *= _FALL
        factor, ridge = _factorise(now, ridge)
        step = _newton(now, mu, factor)
        now = _advance(now, step, kind)
    touch = now.multiplier > now.slack
    return now.at.points, i[touch], j[touch], now.multiplier[touch]


def _begin(at: Contacts, sharpness: float) -> tuple[_Interior, float]:
    """Weights of the smooth maximum as multipliers, the distance below it as slack."""
    below = at.cosine.max() - at.cosine
    weight = np.exp(-np.minimum(sharpness * below, 30))
    total = weight.sum()
    slack = below + np.log1p(total) / sharpness
    mu = float((weight / total * slack).mean())
    multiplier = np.maximum(weight / total, 0.1 * mu / slack)
    return _Interior(at, float(at.cosine[0] + slack[0]), slack, multiplier), mu


def _factorise(now: _Interior, ridge: float) -> tuple[tuple[np.ndarray, bool], float]:
    """A factor of the condensed Newton matrix; a ridge, remembered, makes up for negative curvature."""
    H = now.at.curvature(now.multiplier, now.multiplier / now.slack)
    diagonal = H.ravel()[:: len(H) + 1]
    rounding = _ROUNDING * float(diagonal.mean())
    ridge = max(ridge / 3, rounding)
    while True:
        try:
            factor = cho_factor(H + ridge * np.eye(len(H)), lower=True, overwrite_a=True, check_finite=False)
            return factor, ridge
        except np.linalg.LinAlgError:
            ridge = 10 * max(ridge, 1e-9)


def _newton(now: _Interior, mu: float, factor: tuple[np.ndarray, bool]) -> _Step:
    """Newton's step, corrected once for what the sphere bends it by."""
    at, gap = now.at, now.at.cosine + now.slack - now.level
    stiff = now.multiplier / now.slack
    with_level = cho_solve(factor, at.pull(stiff).ravel(), check_finite=False)

    def solve(gap: np.ndarray) -> _Step:
        q = (mu - now.multiplier * now.slack) / now.slack + stiff * gap
        fixed = cho_solve(factor, -at.pull(now.multiplier + q).ravel(), check_finite=False)
        v = at.pull(stiff).ravel()
        level = (1 - (now.multiplier + q).sum() - v @ fixed) / (v @ with_level - stiff.sum())
        points = (fixed + with_level * level).reshape(len(at.points), -1)
        rise = at.change(points) - level
        return _Step(points, float(level), -gap - rise, stiff * rise + q)

    step = solve(gap)
    share = _share(now, step)
    moved = at.moved(share * step.points)
    bend = (moved[at.i] * moved[at.j]).sum(axis=1) * at.sign - at.cosine - share * at.change(step.points)
    corrected = solve(gap + bend)
    return corrected if _share(now, corrected) >= 0.9 * share else step


def _share(now: _Interior, step: _Step) -> float:
    """How much of the step the slacks allow, and the length of the moves."""
    return min(_room(now.slack, step.slack), _LONGEST / max(longest(step.points), 1e-300))


def _room(x: np.ndarray, step: np.ndarray) -> float:
    falls = step < 0
    return min(1.0, float((-_BACK_OFF * x[falls] / step[falls]).min())) if falls.any() else 1.0


def _advance(now: _Interior, step: _Step, kind: int) -> _Interior:
    share = _share(now, step)
    at = Contacts.of(now.at.moved(share * step.points), now.at.i, now.at.j, kind)
    level = now.level + share * step.level
    slack = np.maximum(now.slack + share * step.slack, level - at.cosine)
    multiplier = now.multiplier + _room(now.multiplier, step.multiplier) * step.multiplier
    return _Interior(at, level, slack, multiplier)
