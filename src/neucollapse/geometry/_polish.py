"""Newton's method on the contacts of a code: from the few digits of a smooth maximum to the last one.

At a best code the pairs at the maximal cosine t carry multipliers lam >= 0 of sum 1 with
``sum_j lam_ij (u_j - t u_i) = 0`` for every i. Two steps lead there:

* ``follow``: Newton's method on the smooth maximum, sharper and sharper. Its weights become the multipliers, so that
  in the end it is plain which pairs carry one.
* ``equalise``: Newton's method on the equations above together with ``<u_i, u_j> = t`` for the pairs that do.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from ._descent import ABSOLUTE

FIRST = 1e4  # sharpness at which the path starts: an annealed code is near its end there
_LAST, _FACTOR, _LEAST_FACTOR = 1e8, 10.0, 1.2
_STEPS = 25  # of Newton's method at one sharpness
_LONGEST = 0.05  # step of a point, in radians
_CARRIES = 1e-6  # share of the largest weight from which a pair counts as carrying a multiplier
_ROUNDS = 12
_TIGHT = 1e-9  # contacts this near to the maximum are meant to be equal
_RIDGE = 1e-13  # carries rotations, rattlers and dependent contacts through the factorisation
UNKNOWNS = 4000  # K (d-1) up to which the dense systems are worth their while


class Polished(NamedTuple):
    """A code, the pairs that carry a multiplier, the multipliers, and the largest stationarity residual of a point."""

    points: np.ndarray  # (K, d)
    pairs: np.ndarray  # (m, 2)
    multipliers: np.ndarray  # (m,)
    residual: float


class _Contacts(NamedTuple):
    """Pairs of points, and what Newton's method needs of them: slopes along tangent bases, and signs."""

    i: np.ndarray  # (m,)
    j: np.ndarray
    cosine: np.ndarray  # (m,), or its absolute value
    sign: np.ndarray  # (m,), what makes it one
    slope_i: np.ndarray  # (m, d-1)
    slope_j: np.ndarray


def polish(U: np.ndarray, kind: int, sharpness: float = FIRST) -> Polished:
    """The best code near U, one annealed to that sharpness."""
    U, i, j, weight = follow(U, kind, sharpness)
    return tighten(equalise(U, kind, i, j, weight), kind)


def follow(U: np.ndarray, kind: int, p: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Follow the minimum of the smooth maximum from sharpness p on; the code, its pairs and their weights.

    Each minimum is the start of the next; where Newton's method loses the way, the next sharpness was too far off.
    """
    factor = _FACTOR
    U, found, _ = _centre(U, kind, p)
    while p < _LAST and factor > _LEAST_FACTOR:
        V, new, converged = _centre(U, kind, min(p * factor, _LAST))
        if converged:
            U, found, p, factor = V, new, min(p * factor, _LAST), min(_FACTOR, factor**1.5)
        else:
            factor **= 0.5
    return U, found[0], found[1], found[2]


def _centre(U, kind, p):
    """The minimum of the smooth maximum of sharpness p by Newton's method with a ridge, and whether it was reached."""
    K = len(U)
    upper = np.triu_indices(K, 1)
    value, weight = _smooth(U, upper, kind, p)
    ridge = 1e-3
    found = upper[0], upper[1], weight
    for _ in range(_STEPS):
        chosen = weight > 1e-12 * weight.max()
        w = weight[chosen] / weight[chosen].sum()
        found = upper[0][chosen], upper[1][chosen], w
        bases = _tangents(U)
        contacts = _contacts(U, bases, *found[:2], kind)
        H = _curvature(contacts, bases, w, p * w)
        slope = _gather(contacts, w, K)
        for _ in range(8):
            step = _solve(H, slope, ridge * p)
            V = _retract(U + np.einsum("kdl,kl->kd", bases, step))
            new_value, new_weight = _smooth(V, upper, kind, p)
            longest = np.sqrt((step * step).sum(axis=1).max())
            if longest < 0.01 / p and ridge < 1e-5:
                return U, found, True
            if new_value < value:
                U, value, weight, ridge = V, new_value, new_weight, max(ridge / 10, 1e-14)
                break
            ridge *= 10
        else:
            break
    return U, found, False


def equalise(U: np.ndarray, kind: int, i: np.ndarray, j: np.ndarray, weight: np.ndarray) -> Polished:
    """Newton's method on the optimality conditions of the pairs that carry a multiplier."""
    carries = weight > _CARRIES * weight.max()
    i, j, lam = i[carries], j[carries], weight[carries] / weight[carries].sum()
    best, level = Polished(U, np.stack([i, j], axis=1), lam, _residual(U, i, j, lam, kind)), _top(U, kind)
    if U.size + len(i) > UNKNOWNS:  # so many contacts hold a code by themselves: tighten
        return best
    for _ in range(_ROUNDS):
        bases = _tangents(U)
        step, lam = _newton(_contacts(U, bases, i, j, kind), bases, lam)
        longest = np.sqrt((step * step).sum(axis=1).max())
        if not longest < _LONGEST:
            break
        U = _retract(U + step)
        top, residual = _top(U, kind), _residual(U, i, j, lam, kind)
        if top <= level + 1e-15 and residual <= max(best.residual, 1e-14):
            best, level = Polished(U, np.stack([i, j], axis=1), lam, residual), min(top, level)
        pulls = lam < -1e-9 * lam.max()  # a contact only pushes
        if longest < 1e-15 and not pulls.any():
            break
        i, j, lam = i[~pulls], j[~pulls], lam[~pulls]
    return best


def tighten(code: Polished, kind: int) -> Polished:
    """Least-norm Gauss-Newton steps on all contacts, as long as the maximum falls, and multipliers that balance there.

    Where contacts are more than a code needs (the sharp codes) the equations above leave a few of the last digits.
    """
    U, level = code.points, _top(code.points, kind)
    for _ in range(4):
        i, j = np.nonzero(np.triu(_cosines(U, kind), 1) - 2 * np.tri(len(U)) > level - _TIGHT)
        bases = _tangents(U)
        contacts = _contacts(U, bases, i, j, kind)
        step = _least_squares(_slopes(contacts, bases), contacts.cosine.mean() - contacts.cosine)
        V = _retract(U + np.einsum("kdl,kl->kd", bases, step[:-1].reshape(bases.shape[0], -1)))
        if not _top(V, kind) < level:
            break
        U, level = V, _top(V, kind)
    i, j = code.pairs.T
    lam = code.multipliers
    J = _slopes(_contacts(U, _tangents(U), i, j, kind), _tangents(U))[:, :-1]
    for _ in range(2):
        lam = lam - J @ _least_squares(J, lam)
    lam = lam / lam.sum()
    after = Polished(U, code.pairs, lam, _residual(U, i, j, lam, kind))
    return after if after.residual <= max(code.residual, 1e-13) else code._replace(points=U)


def _slopes(c, bases):
    """Slopes of the contacts less that of the common level, (m, n + 1)."""
    K, _, k = bases.shape
    m, n = len(c.i), K * k
    columns = [c.i[:, None] * k + np.arange(k), c.j[:, None] * k + np.arange(k), np.full((m, 1), n)]
    entries = np.concatenate([c.slope_i, c.slope_j, np.full((m, 1), -1.0)], axis=1)
    rows = np.repeat(np.arange(m), 2 * k + 1)
    return csr_array((entries.ravel(), (rows, np.concatenate(columns, axis=1).ravel())), shape=(m, n + 1))


def _least_squares(J, right):
    """The least x with ``J x`` nearest to the right side, from the normal equations: called again, it corrects itself."""
    normal = (J.T @ J).toarray()
    return np.linalg.solve(normal + 1e-12 * np.eye(len(normal)), J.T @ right)


def _smooth(U, upper, kind, p):
    C = _cosines(U, kind)[upper]
    top = C.max()
    weight = np.exp(np.maximum(p * (C - top), -700))
    return top + np.log(weight.sum()) / p, weight


def _cosines(U, kind):
    C = U @ U.T
    return np.abs(C) if kind == ABSOLUTE else C


def _top(U, kind):
    C = _cosines(U, kind)
    np.fill_diagonal(C, -1)
    return float(C.max())


def _retract(U):
    return U / np.linalg.norm(U, axis=1)[:, None]


def _tangents(U):
    """An orthonormal basis (d, d-1) of the tangent space at each point, from a Householder reflection."""
    v = U.copy()
    v[:, 0] += np.where(U[:, 0] >= 0, 1.0, -1.0)
    v /= np.linalg.norm(v, axis=1)[:, None]
    return (np.eye(U.shape[1]) - 2 * v[:, :, None] * v[:, None, :])[:, :, 1:]


def _contacts(U, bases, i, j, kind):
    cosine = (U[i] * U[j]).sum(axis=1)
    sign = np.sign(cosine) if kind == ABSOLUTE else np.ones(len(i))
    slope_i = sign[:, None] * np.einsum("md,mdk->mk", U[j], bases[i])
    slope_j = sign[:, None] * np.einsum("md,mdk->mk", U[i], bases[j])
    return _Contacts(i, j, cosine * sign, sign, slope_i, slope_j)


def _gather(c, w, K):
    """``sum_a w_a`` times the slopes of the contacts, (K, d-1)."""
    total = np.zeros((K, c.slope_i.shape[1]))
    np.add.at(total, c.i, w[:, None] * c.slope_i)
    np.add.at(total, c.j, w[:, None] * c.slope_j)
    return total


def _curvature(c, bases, w, square):
    """``sum_a w_a`` times the second derivatives of the contacts plus ``square_a`` times their slopes' squares, (n, n)."""
    K, _, k = bases.shape
    H = np.zeros((K, K, k, k))
    H[c.i, c.j] = (w * c.sign)[:, None, None] * (bases[c.i].transpose(0, 2, 1) @ bases[c.j])
    H[c.i, c.j] += square[:, None, None] * c.slope_i[:, :, None] * c.slope_j[:, None, :]
    H[c.j, c.i] = H[c.i, c.j].transpose(0, 2, 1)
    for end, slope in ((c.i, c.slope_i), (c.j, c.slope_j)):
        blocks = square[:, None, None] * slope[:, :, None] * slope[:, None, :]
        blocks -= (w * c.cosine)[:, None, None] * np.eye(k)
        np.add.at(H, (end, end), blocks)
    return H.transpose(0, 2, 1, 3).reshape(K * k, K * k)


def _solve(H, slope, ridge):
    """The step of Newton's method; the ridge grows until the matrix is positive definite."""
    n = len(H)
    while True:
        try:
            factor = cho_factor(H + ridge * np.eye(n), lower=True, overwrite_a=True, check_finite=False)
            break
        except np.linalg.LinAlgError:
            ridge *= 10
    step = -cho_solve(factor, slope.ravel(), check_finite=False).reshape(slope.shape)
    longest = np.sqrt((step * step).sum(axis=1).max())
    return step * min(1.0, _LONGEST / max(longest, 1e-300))


def _newton(c, bases, lam):
    """One Newton step on the optimality conditions: moves of the points (K, d) and new multipliers (m,)."""
    K, _, k = bases.shape
    m, n = len(c.i), K * k
    rows = np.arange(m)
    J = np.zeros((m, K, k))
    J[rows, c.i] += c.slope_i
    J[rows, c.j] += c.slope_j
    A = np.zeros((n + m + 1, n + m + 1))
    A[:n, :n] = _curvature(c, bases, lam, np.zeros(m))
    A[n : n + m, :n] = J.reshape(m, n)
    A[:n, n : n + m] = A[n : n + m, :n].T
    A[n : n + m, -1] = A[-1, n : n + m] = -1
    A[np.arange(n), np.arange(n)] += _RIDGE
    A[np.arange(n, n + m), np.arange(n, n + m)] -= _RIDGE
    right = np.zeros(n + m + 1)
    right[n : n + m] = c.cosine.max() - c.cosine
    right[-1] = -1
    x = np.linalg.solve(A, right)
    return np.einsum("kdl,kl->kd", bases, x[:n].reshape(K, k)), x[n : n + m]


def _residual(U, i, j, lam, kind):
    C = (U[i] * U[j]).sum(axis=1)
    w = np.maximum(lam, 0) * (np.sign(C) if kind == ABSOLUTE else 1.0)
    w = w / max(np.abs(w).sum(), 1e-300)
    force = np.zeros_like(U)
    np.add.at(force, i, w[:, None] * (U[j] - C[:, None] * U[i]))
    np.add.at(force, j, w[:, None] * (U[i] - C[:, None] * U[j]))
    return float(np.sqrt((force * force).sum(axis=1).max()))
