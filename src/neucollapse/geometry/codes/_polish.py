"""Newton's method on the contacts of a code: from the few digits of a smooth maximum to the last one.

At a best code the pairs at the maximal cosine t carry multipliers lam >= 0 of sum 1 with `sum_j lam_ij (u_j - t u_i) = 0` for
every i. `approach` finds these pairs to ten digits or so. Gauss-Newton steps then make all contacts equal.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, hstack

from .._clock import late
from ._contacts import Contacts, contacts_above, imbalance
from ._descent import cosines
from ._interior import approach

_FIRST = 1e4  # sharpness that an annealed code has
_TIGHT = 1e-9  # contacts this near to the maximum are meant to be equal
_STEPS = 4


class Polished(NamedTuple):
    """A code, the pairs that carry a multiplier, the multipliers, and the largest stationarity residual of a point."""

    points: np.ndarray  # (K, d)
    i: np.ndarray  # (m,)
    j: np.ndarray
    multipliers: np.ndarray
    residual: float


def polish(U: np.ndarray, kind: int, sharpness: float = _FIRST, *, deadline: float | None = None) -> Polished:
    """The best code near U, one annealed to that sharpness. Cut short by the deadline, it may be a worse one."""
    U, i, j, lam = approach(U, kind, sharpness, deadline)
    before = imbalance(U, i, j, lam, kind)
    if late(deadline):
        return Polished(U, i, j, lam, before)
    U = _tightened(U, kind, deadline)
    J = Contacts.of(U, i, j, kind).jacobian()
    balanced = lam
    for _ in range(2):
        balanced = balanced - J @ _least_squares(J, balanced)
    balanced = balanced / balanced.sum()
    after = imbalance(U, i, j, balanced, kind)
    return Polished(U, i, j, balanced, after) if after <= max(before, 1e-13) else Polished(U, i, j, lam, before)


def _tightened(U: np.ndarray, kind: int, deadline: float | None) -> np.ndarray:
    """Least-norm Gauss-Newton steps on all contacts, as long as the maximum falls: a code may have more than it needs."""
    top = cosines(U, kind).max()
    for _ in range(_STEPS):
        if late(deadline):
            break
        at = Contacts.of(U, *contacts_above(U, top - _TIGHT, kind), kind)
        J = csr_array(hstack([at.jacobian(), np.full((len(at.i), 1), -1.0)]))  # the last unknown is the common level
        V = at.moved(_least_squares(J, at.cosine.mean() - at.cosine)[:-1].reshape(len(U), -1))
        if not cosines(V, kind).max() < top:
            break
        U, top = V, cosines(V, kind).max()
    return U


def _least_squares(J: csr_array, right: np.ndarray) -> np.ndarray:
    """The least x with `J x` nearest to the right side, from the normal equations: called again, it corrects itself."""
    normal = (J.T @ J).toarray()
    factor = cho_factor(normal + 1e-12 * np.eye(len(normal)), lower=True, overwrite_a=True, check_finite=False)
    return cho_solve(factor, J.T @ right, check_finite=False)
