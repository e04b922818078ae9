"""Newton's equations of a sharpest code, condensed to the moves of the points: one Cholesky factor, many right sides."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ._contacts import Contacts

_ROUNDING = 1e-14  # ridge that rounding asks for, of the mean diagonal entry
_LEAST = 1e-9  # ridge to begin with where that is not enough


class Step(NamedTuple):
    points: np.ndarray  # (K, d-1)
    level: float
    multiplier: np.ndarray  # (m,)
    rise: np.ndarray  # (m,), of the contacts above the level


class Condensed(NamedTuple):
    r"""For contacts a with multipliers :math:`\lambda_a`, stiffness :math:`\sigma_a`, curvature H and slopes J,

    .. math:: H x + J^T (\lambda + \delta) = 0, \quad \sum_a (\lambda_a + \delta_a) = 1, \quad
              \delta_a = \sigma_a (J x - \tau)_a + q_a

    in the moves x, the change :math:`\tau` of the level and :math:`\delta` of the multipliers.
    """

    at: Contacts
    stiffness: np.ndarray
    factor: tuple[np.ndarray, bool]
    of_level: np.ndarray  # what a change of the level does to the points

    @classmethod
    def of(
        cls, at: Contacts, multiplier: np.ndarray, stiffness: np.ndarray, ridge: float = 0.0
    ) -> tuple["Condensed", float]:
        """The equations, and the ridge that makes up for negative curvature; given back, it is tried first."""
        H = at.curvature(multiplier, stiffness)
        ridge = max(ridge, _ROUNDING * float(H.ravel()[:: len(H) + 1].mean()))
        while True:
            try:
                factor = cho_factor(H + ridge * np.eye(len(H)), lower=True, overwrite_a=True, check_finite=False)
                break
            except np.linalg.LinAlgError:
                ridge = 10 * max(ridge, _LEAST)
        of_level = cho_solve(factor, at.pull(stiffness).ravel(), check_finite=False)
        return cls(at, stiffness, factor, of_level), ridge

    def solve(self, multiplier: np.ndarray, q: np.ndarray) -> Step:
        at = self.at
        fixed = cho_solve(self.factor, -at.pull(multiplier + q).ravel(), check_finite=False)
        v = at.pull(self.stiffness).ravel()
        level = float((1 - (multiplier + q).sum() - v @ fixed) / (v @ self.of_level - self.stiffness.sum()))
        points = (fixed + self.of_level * level).reshape(len(at.points), -1)
        rise = at.change(points) - level
        return Step(points, level, self.stiffness * rise + q, rise)
