"""Newton's method on the contacts of a code: from the few digits of a smooth maximum to the last one.

At a best code the pairs at the maximal cosine t carry multipliers lam >= 0 of sum 1 with
`sum_j lam_ij (u_j - t u_i) = 0` for every i. `approach` (`_interior`) finds these pairs; then

* `equalise`: Newton's method on the equations above together with `<u_i, u_j> = t` for them;
* `tighten`: the last gain, where a code has more contacts than it needs.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, hstack

from .._clock import late
from ._contacts import Condensed, Contacts, contacts_above, imbalance, longest
from ._descent import cosines
from ._interior import approach

FIRST = 1e4  # sharpness that an annealed code has
_LONGEST = 0.05  # step of a point, in radians
_ROUNDS = 30
_TIGHT = 1e-9  # contacts this near to the maximum are meant to be equal
_STIFFNESS = 1e5


class Polished(NamedTuple):
    """A code, the pairs that carry a multiplier, the multipliers, and the largest stationarity residual of a point."""

    points: np.ndarray  # (K, d)
    i: np.ndarray  # (m,)
    j: np.ndarray
    multipliers: np.ndarray
    residual: float


def polish(U: np.ndarray, kind: int, sharpness: float = FIRST, *, deadline: float | None = None) -> Polished:
    """The best code near U, one annealed to that sharpness. Cut short by the deadline, it may be a worse one."""
    V, i, j, multipliers = approach(U, kind, sharpness, deadline)
    start = Polished(V, i, j, multipliers, imbalance(V, i, j, multipliers, kind))
    if late(deadline):
        return start
    return tighten(equalise(start, kind, deadline), kind, deadline)


def equalise(code: Polished, kind: int, deadline: float | None = None) -> Polished:
    """The optimality conditions of the pairs that carry a multiplier, by the method of multipliers.

    Contacts are stiff springs whose multipliers take over what they are compressed by, one factor for all rounds.
    """
    best, top = code, cosines(code.points, kind).max()
    U, i, j, lam, _ = code
    equations, level = None, 0.0
    for _ in range(_ROUNDS):
        if late(deadline):
            break
        at = Contacts.of(U, i, j, kind)
        if equations is None:
            equations, _ = Condensed.of(at, lam, np.full(len(i), _STIFFNESS))
            level = float(at.cosine.max())
        step = equations._replace(at=at).solve(lam, _STIFFNESS * (at.cosine - level))
        if not longest(step.points) < _LONGEST:
            break
        U, lam, level = at.moved(step.points), lam + step.multiplier, level + step.level
        new, residual = cosines(U, kind).max(), imbalance(U, i, j, lam, kind)
        gains = new < top - 1e-15 or residual < best.residual / 2
        if new <= top + 1e-15 and residual <= max(best.residual, 1e-14):
            best, top = Polished(U, i, j, lam, residual), min(new, top)
        pulls = lam < -1e-9 * lam.max()  # a contact only pushes
        if pulls.any():
            i, j, lam, equations = i[~pulls], j[~pulls], lam[~pulls], None
        elif not gains:
            break
    return best


def tighten(code: Polished, kind: int, deadline: float | None = None) -> Polished:
    """Least-norm Gauss-Newton steps on all contacts, as long as the maximum falls, and multipliers that balance there.

    Where contacts are more than a code needs (the sharp codes) the equations above leave a few of the last digits.
    """
    U, top = code.points, cosines(code.points, kind).max()
    for _ in range(4):
        if late(deadline):
            return code._replace(points=U)
        at = Contacts.of(U, *contacts_above(U, top - _TIGHT, kind), kind)
        J = csr_array(hstack([at.jacobian(), np.full((len(at.i), 1), -1.0)]))  # the last unknown is the common level
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
    """The least x with `J x` nearest to the right side, from the normal equations: called again, it corrects itself."""
    normal = (J.T @ J).toarray()
    factor = cho_factor(normal + 1e-12 * np.eye(len(normal)), lower=True, overwrite_a=True, check_finite=False)
    return cho_solve(factor, J.T @ right, check_finite=False)
