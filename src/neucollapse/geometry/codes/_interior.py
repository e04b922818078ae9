r"""A primal-dual interior-point method for the code with the least maximal cosine near a given one.

Minimise t with `c_a + s_a = t` and slacks `s_a >= 0` over the pairs a that come near the maximum. Newton's method on

$$\sum_a \lambda_a \nabla c_a = 0, \quad \sum_a \lambda_a = 1, \quad c_a + s_a = t, \quad \lambda_a s_a = \mu$$

with $\mu \to 0$ (Fiacco and McCormick's rule as in Ipopt, doi:10.1007/s10107-004-0559-y): it goes from an
annealed code to ten digits, and tells the pairs that carry a multiplier from those that only come near.
"""

from typing import NamedTuple

import numpy as np

from .._clock import late
from ._contacts import Condensed, Contacts, Step, contacts_above, longest
from ._descent import cosines

_NEAR = 0.1  # pairs this much below the maximum may come to carry a multiplier
_LAST = 1e-16  # complementarity at the end
_FALL = 0.1
_KAPPA = 10  # Ipopt's
_STEPS = 200
_EASE, _LITTLE = 1 / 3, 0.3  # how fast the ridge falls after steps of more than this share
_LONGEST = 0.05  # step of a point, in radians
_BACK_OFF = 0.99  # share of the way to the boundary that a step goes


class _Interior(NamedTuple):
    """Contacts with slacks and multipliers above 0, and the common level of cosine + slack."""

    at: Contacts
    level: float
    slack: np.ndarray  # (m,)
    multiplier: np.ndarray  # (m,)

    def error(self, mu: float) -> float:
        """How far the equations of this mu are from holding, in units of mu: below 1 the next mu may come."""
        scale = _KAPPA * mu  # not times the contacts: a large code left this far from its path ends in tiny steps
        return max(
            float(np.abs(self.at.pull(self.multiplier)).max()) / scale,
            abs(1 - float(self.multiplier.sum())),
            float(np.abs(self.at.cosine + self.slack - self.level).max()) / scale,
            float(np.abs(self.multiplier * self.slack - mu).max()) / scale,
        )


def approach(
    U: np.ndarray, kind: int, sharpness: float, deadline: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """From a code annealed to a sharpness to ten digits: the code, the pairs (i, j) that touch, and their multipliers."""
    top = cosines(U, kind).max()
    i, j = contacts_above(U, top - _NEAR, kind)
    now, mu = _begin(Contacts.of(U, i, j, kind), sharpness)
    ridge = 0.0
    for _ in range(_STEPS):
        if late(deadline) or (mu <= _LAST and now.error(mu) < 1):
            break
        while mu > _LAST and now.error(mu) < 1:
            mu *= _FALL
        equations, ridge = Condensed.of(now.at, now.multiplier, now.multiplier / now.slack, ridge)
        step, slack = _newton(now, mu, equations)
        share = _share(now, step, slack)
        ridge *= _EASE if share > _LITTLE else 1.0  # a step cut short was too long: the ridge stays
        now = _advance(now, step, slack, share, kind)
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


def _newton(now: _Interior, mu: float, equations: Condensed) -> tuple[Step, np.ndarray]:
    """Newton's step of the points and of the slacks, corrected once for the curvature of the sphere."""
    at, product = now.at, now.multiplier * now.slack

    def solve(gap: np.ndarray) -> tuple[Step, np.ndarray]:
        step = equations.solve(now.multiplier, (mu - product + now.multiplier * gap) / now.slack)
        return step, -gap - step.rise

    gap = at.cosine + now.slack - now.level
    step, slack = solve(gap)
    share = _share(now, step, slack)
    moved = at.moved(share * step.points)
    bend = (moved[at.i] * moved[at.j]).sum(axis=1) * at.sign - at.cosine - share * at.change(step.points)
    corrected = solve(gap + bend)
    return corrected if _share(now, *corrected) >= 0.9 * share else (step, slack)


def _share(now: _Interior, step: Step, slack: np.ndarray) -> float:
    """How much of the step the slacks allow, and the length of the moves."""
    return min(_room(now.slack, slack), _LONGEST / max(longest(step.points), 1e-300))


def _room(x: np.ndarray, step: np.ndarray) -> float:
    falls = step < 0
    return min(1.0, float((-_BACK_OFF * x[falls] / step[falls]).min())) if falls.any() else 1.0


def _advance(now: _Interior, step: Step, slack_step: np.ndarray, share: float, kind: int) -> _Interior:
    at = Contacts.of(now.at.moved(share * step.points), now.at.i, now.at.j, kind)
    level = now.level + share * step.level
    slack = np.maximum(now.slack + share * slack_step, level - at.cosine)
    multiplier = now.multiplier + _room(now.multiplier, step.multiplier) * step.multiplier
    return _Interior(at, level, slack, multiplier)
