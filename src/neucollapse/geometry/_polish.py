"""Newton's method on the contacts of a code: from the few digits of a smooth maximum to the last one.

At a best code the pairs at the maximal cosine t carry multipliers lam >= 0 of sum 1 with
``sum_j lam_ij (u_j - t u_i) = 0`` for every i. ``approach`` (``_interior``) finds these pairs; then

* ``equalise``: Newton's method on the equations above together with ``<u_i, u_j> = t`` for them;
* ``tighten``: what is left to gain where contacts are more than a code needs.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, hstack

from ._contacts import Contacts, contacts_above, cosines, imbalance, longest
from ._interior import approach

FIRST = 1e4  # sharpness that an annealed code has
_LONGEST = 0.05  # step of a point, in radians
_ROUNDS = 12
_TIGHT = 1e-9  # contacts this near to the maximum are meant to be equal
_RIDGE = 1e-13  # carries rotations, rattlers and dependent contacts through the factorisation
UNKNOWNS = 6000  # K (d-1) up to which the dense systems are worth their while
_BOTH = 4000  # unknowns and multipliers up to which those of both are


class Polished(NamedTuple):
    """A code, the pairs that carry a multiplier, the multipliers, and the largest stationarity residual of a point."""

    points: np.ndarray  # (K, d)
    i: np.ndarray  # (m,)
    j: np.ndarray
    multipliers: np.ndarray
    residual: float


def polish(U: np.ndarray, kind: int, sharpness: float = FIRST) -> Polished:
    """The best code near U, one annealed to that sharpness."""
    V, i, j, multipliers = approach(U, kind, sharpness)
    start = Polished(V, i, j, multipliers, imbalance(V, i, j, multipliers, kind))
    return tighten(equalise(start, kind), kind)


def equalise(code: Polished, kind: int) -> Polished:
    """Newton's method on the optimality conditions of the pairs that carry a multiplier."""
    best, top = code, cosines(code.points, kind).max()
    U, i, j, lam = code[:4]
    if U.size + len(i) > _BOTH:
        return code
    for _ in range(_ROUNDS):
        at = Contacts.of(U, i, j, kind)
        step, lam = _newton(at, lam)
        if not longest(step) < _LONGEST:
            break
        U = at.moved(step)
        new, residual = cosines(U, kind).max(), imbalance(U, i, j, lam, kind)
        gains = new < top - 1e-15 or residual < best.residual / 2
        if new <= top + 1e-15 and residual <= max(best.residual, 1e-14):
            best, top = Polished(U, i, j, lam, residual), min(new, top)
        pulls = lam < -1e-9 * lam.max()  # a contact only pushes
        if not gains and not pulls.any():
            break
        i, j, lam = i[~pulls], j[~pulls], lam[~pulls]
    return best


def tighten(code: Polished, kind: int) -> Polished:
    """Least-norm Gauss-Newton steps on all contacts, as long as the maximum falls, and multipliers that balance there.

    Where contacts are more than a code needs (the sharp codes) the equations above leave a few of the last digits.
    """
    U, top = code.points, cosines(code.points, kind).max()
    for _ in range(4):
        at = Contacts.of(U, *contacts_above(U, top - _TIGHT, kind), kind)
        J = hstack([at.jacobian(), np.full((len(at.i), 1), -1.0)], format="csr")  # the last unknown is the common level
        step = _least_squares(J, at.cosine.mean() - at.cosine)[:-1]
        V = at.moved(step.reshape(len(U), -1))
        if not cosines(V, kind).max() < top:
            break
        U, top = V, cosines(V, kind).max()
    i, j, lam = code.i, code.j, code.multipliers
    J = Contacts.of(U, i, j, kind).jacobian()
    for _ in range(2):
        lam = lam - J @ _least_squares(J, lam)
    lam = lam / lam.sum()
    after = Polished(U, i, j, lam, imbalance(U, i, j, lam, kind))
    return after if after.residual <= max(code.residual, 1e-13) else code._replace(points=U)


def _least_squares(J: csr_array, right: np.ndarray) -> np.ndarray:
    """The least x with ``J x`` nearest to the right side, from the normal equations: called again, it corrects itself."""
    normal = (J.T @ J).toarray()
    factor = cho_factor(normal + 1e-12 * np.eye(len(normal)), lower=True, overwrite_a=True, check_finite=False)
    return cho_solve(factor, J.T @ right, check_finite=False)


def _newton(at: Contacts, lam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One Newton step on the optimality conditions: moves of the points (K, d-1) and new multipliers (m,)."""
    m, n = len(at.i), at.bases[:, 0].size
    A = np.zeros((n + m + 1, n + m + 1))
    A[:n, :n] = at.curvature(lam, np.zeros(m))
    A[n : n + m, :n] = at.jacobian().toarray()
    A[:n, n : n + m] = A[n : n + m, :n].T
    A[n : n + m, -1] = A[-1, n : n + m] = -1
    A[np.arange(n), np.arange(n)] += _RIDGE
    A[np.arange(n, n + m), np.arange(n, n + m)] -= _RIDGE
    right = np.zeros(n + m + 1)
    right[n : n + m] = at.cosine.max() - at.cosine
    right[-1] = -1
    x = np.linalg.solve(A, right)
    return x[:n].reshape(len(at.points), -1), x[n : n + m]
