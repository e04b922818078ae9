r"""A primal-dual interior-point method for the code with the least maximal cosine near a given one.

Minimise t with `c_a + s_a = t` and slacks `s_a >= 0` over the pairs a that come near the maximum. Newton's method on

$$\sum_a \lambda_a \nabla c_a = 0, \quad \sum_a \lambda_a = 1, \quad c_a + s_a = t, \quad \lambda_a s_a = \mu$$

with $\mu \to 0$ (Fiacco and McCormick's rule as in Ipopt, doi:10.1007/s10107-004-0559-y): it goes from an annealed code to
ten digits, and tells the pairs that carry a multiplier from those that only come near.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .._clock import late
from ._contacts import Contacts, contacts_above, longest
from ._descent import cosines

_NEAR = 0.1  # pairs this much below the maximum may come to carry a multiplier
_LAST = 1e-16  # complementarity at the end
_FALL = 0.1
_KAPPA = 10  # Ipopt's
_STEPS = 200
_ROUNDING = 1e-14  # ridge that rounding asks for, of the mean diagonal entry
_LEAST = 1e-9  # ridge to begin with where that is not enough
_EASE, _LITTLE = 1 / 3, 0.3  # how fast the ridge falls after steps of more than this share
_LONGEST = 0.05  # step of a point, in radians
_BACK_OFF = 0.99  # share of the way to the boundary that a step goes


class _Interior(NamedTuple):
    """Contacts with slacks and multipliers above 0, and the common level of cosine + slack."""

    at: Contacts
    level: float
    slack: np.ndarray  # (m,)
    multiplier: np.ndarray  # (m,)

    @property
    def gap(self) -> np.ndarray:
        """How far cosine + slack is above the level, (m,)."""
        return self.at.cosine + self.slack - self.level

    def error(self, mu: float) -> float:
        """How far the equations of this mu are from holding, in units of mu: below 1 the next mu may come."""
        scale = _KAPPA * mu  # not times the contacts: a large code left this far from its path ends in tiny steps
        return max(
            float(np.abs(self.at.pull(self.multiplier)).max()) / scale,
            abs(1 - float(self.multiplier.sum())),
            float(np.abs(self.gap).max()) / scale,
            float(np.abs(self.multiplier * self.slack - mu).max()) / scale,
        )


class _Step(NamedTuple):
    points: np.ndarray  # (K, d-1)
    level: float
    slack: np.ndarray  # (m,)
    multiplier: np.ndarray


def approach(
    U: np.ndarray, kind: int, sharpness: float, deadline: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """From a code annealed to a sharpness to ten digits: the code, the pairs (i, j) that touch, and their multipliers."""
    i, j = contacts_above(U, cosines(U, kind).max() - _NEAR, kind)
    now, mu = _begin(Contacts.of(U, i, j, kind), sharpness)
    ridge = 0.0
    for _ in range(_STEPS):
        if late(deadline) or (mu <= _LAST and now.error(mu) < 1):
            break
        while mu > _LAST and now.error(mu) < 1:
            mu *= _FALL
        solve, ridge = _newton(now, mu, ridge)
        step = _bent(now, solve)
        share = _share(now, step)
        ridge *= _EASE if share > _LITTLE else 1.0  # a step cut short was too long: the ridge stays
        now = _advance(now, step, share, kind)
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


def _newton(now: _Interior, mu: float, ridge: float) -> tuple[Callable[[np.ndarray], _Step], float]:
    r"""Newton's equations, condensed to the moves of the points: a solver for any gap, and the ridge that they took.

    With curvature H, slopes J, $\sigma = \lambda / s$ and a gap g they are

    $$H x + J^T (\lambda + \delta) = 0, \quad \sum_a (\lambda_a + \delta_a) = 1, \quad
      \delta_a = \sigma_a (J x - \tau)_a + (\mu - \lambda_a s_a + \lambda_a g_a) / s_a$$

    in the moves x, the change $\tau$ of the level and $\delta$ of the multipliers. The ridge makes up for negative curvature.
    """
    at, lam, stiffness = now.at, now.multiplier, now.multiplier / now.slack
    H = at.curvature(lam, stiffness)
    ridge = max(ridge, _ROUNDING * float(H.ravel()[:: len(H) + 1].mean()))
    while True:
        try:
            factor = cho_factor(H + ridge * np.eye(len(H)), lower=True, overwrite_a=True, check_finite=False)
            break
        except np.linalg.LinAlgError:
            ridge = 10 * max(ridge, _LEAST)
    pull = at.pull(stiffness).ravel()
    of_level = cho_solve(factor, pull, check_finite=False)

    def solve(gap: np.ndarray) -> _Step:
        q = (mu - lam * now.slack + lam * gap) / now.slack
        fixed = cho_solve(factor, -at.pull(lam + q).ravel(), check_finite=False)
        level = float((1 - (lam + q).sum() - pull @ fixed) / (pull @ of_level - stiffness.sum()))
        points = (fixed + of_level * level).reshape(len(at.points), -1)
        rise = at.change(points) - level
        return _Step(points, level, -gap - rise, stiffness * rise + q)

    return solve, ridge


def _bent(now: _Interior, solve: Callable[[np.ndarray], _Step]) -> _Step:
    """Newton's step, corrected once for the curvature of the sphere where that does not shorten it."""
    at, step = now.at, solve(now.gap)
    share = _share(now, step)
    moved = at.moved(share * step.points)
    bend = (moved[at.i] * moved[at.j]).sum(axis=1) * at.sign - at.cosine - share * at.change(step.points)
    corrected = solve(now.gap + bend)
    return corrected if _share(now, corrected) >= 0.9 * share else step


def _share(now: _Interior, step: _Step) -> float:
    """How much of the step the slacks allow, and the length of the moves."""
    return min(_room(now.slack, step.slack), _LONGEST / max(longest(step.points), 1e-300))


def _room(x: np.ndarray, step: np.ndarray) -> float:
    falls = step < 0
    return min(1.0, float((-_BACK_OFF * x[falls] / step[falls]).min())) if falls.any() else 1.0


def _advance(now: _Interior, step: _Step, share: float, kind: int) -> _Interior:
    at = Contacts.of(now.at.moved(share * step.points), now.at.i, now.at.j, kind)
    level = now.level + share * step.level
    slack = np.maximum(now.slack + share * step.slack, level - at.cosine)
    multiplier = now.multiplier + _room(now.multiplier, step.multiplier) * step.multiplier
    return _Interior(at, level, slack, multiplier)
