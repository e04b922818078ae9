"""The stress of a code: multipliers of its contacts under which every point is in balance."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..._types import Float
from ._contacts import Contacts

ENTRIES = 20_000_000  # of the sparse stress equations up to which they are solved
_DENSE = 3_000_000  # entries of the dense equations up to which they are factorised: (10, 100) has 0.9 million
_FACTORED = 8000  # contacts up to which their normal equations are factorised
_RIDGE, _CORRECTIONS = 1e-12, 5
_GOOD = 1e-13  # residual with which a solution is taken as it is
_FAIR = 1e-11  # residual with which no other solution is sought
_SMALL = 1e-10  # share of the largest multiplier below which one counts as zero
_DROPS = 10  # rounds of leaving out contacts that would pull
RIGID = 2500  # K d up to which rigidity is decided
_SOFT = 1e-9  # stiffness below which a motion counts as free; one contact has about 1
_SPEED = 1e10  # operations a second, of one slow core
RANKED = 1500  # points up to which the rank of the stress matrix is worked out


def seconds_of_rigidity(coordinates: int) -> float:
    """About how long that takes: one factor of so many unknowns."""
    return coordinates**3 / _SPEED


def seconds_of_multipliers(rows: int, m: int) -> float:
    """About how long they take where the first of the ways there are succeeds."""
    if (rows + 1) * m <= _DENSE:
        return 4 * rows * m * min(rows, m) / _SPEED
    return m**3 / _SPEED if m <= _FACTORED else 1e5 * rows * m**0.5 / _SPEED


def equations(rows: Float[Tensor, "K d"], contacts: Contacts, s: float) -> Any:
    """The sparse matrix (K d, m) of the stress equations: column (i, j) holds sign w_j - s w_i at i, and the same at j."""
    from scipy import sparse

    W, d = rows.numpy(), rows.shape[1]
    i, j = contacts.pairs.numpy().T
    sign = contacts.signs.numpy()[:, None]
    blocks = np.concatenate([sign * W[j] - s * W[i], sign * W[i] - s * W[j]], axis=1)
    index = np.concatenate([i[:, None] * d + np.arange(d), j[:, None] * d + np.arange(d)], axis=1)
    starts = np.arange(len(i) + 1) * 2 * d
    return sparse.csc_array((blocks.ravel(), index.ravel(), starts), shape=(W.size, len(i)))


def solve_stress(A: Any, d: int, seconds: float = math.inf) -> tuple[np.ndarray, float, bool]:
    """Multipliers >= 0 of sum 1 with A lam = 0 as nearly as can be had, the largest residual, and whether that decides.

    Tried in turn: equal multipliers, which symmetric codes have; the solution of least norm, which gives stress to as many
    contacts as it can; the same with negative ones left out; and, up to a size, non-negative least squares, which is
    always right. Where that was too large, or would take more than ``seconds``, a residual that is not small decides nothing.
    """
    m = A.shape[1]
    best = np.full(m, 1 / m)
    if largest_residual(A, best, d) < _GOOD:
        return best, largest_residual(A, best, d), True
    live = np.ones(m, dtype=bool)
    for _ in range(_DROPS):
        part = _least_norm(A[:, live])
        best = _normalised(live, part)
        negative = part < -_SMALL * np.abs(part).max()
        if not negative.any() or largest_residual(A, best, d) < _GOOD:
            break
        live[np.flatnonzero(live)[negative]] = False
        if not live.any():
            break
    decided = largest_residual(A, best, d) < _FAIR
    if not decided and A.shape[0] * m <= _DENSE and m**3 / _SPEED < seconds:
        best = min((best, _non_negative(A)), key=lambda weights: largest_residual(A, weights, d))
        decided = True
    return best, largest_residual(A, best, d), decided


def largest_residual(A: Any, weights: np.ndarray, d: int) -> float:
    """The largest norm of A lam at a point."""
    return float(np.linalg.norm((A @ weights).reshape(-1, d), axis=1).max())


def carrying(weights: Float[Tensor, " m"]) -> Tensor:
    """Which contacts carry stress: those with more than rounding of the largest multiplier."""
    return weights > _SMALL * weights.max() if len(weights) else weights.bool()


def stress_rank(rows: Float[Tensor, "K d"], contacts: Contacts, weights: Float[Tensor, " m"], s: float) -> int | None:
    """The rank of the stress matrix over the points that carry stress; None where they are too many."""
    on = carrying(weights)
    i, j = contacts.pairs[on].T
    points, index = torch.cat([i, j]).unique(return_inverse=True)
    if len(points) > RANKED:
        return None
    i, j = index.split(len(i))
    stress = rows.new_zeros(len(points), len(points))
    stress[i, j] = stress[j, i] = (contacts.signs * weights)[on]
    total = rows.new_zeros(len(points)).index_add_(0, torch.cat([i, j]), weights[on].repeat(2))
    values = torch.linalg.eigvalsh(stress - s * torch.diag(total)).abs()
    return int((values > 1e-9 * total.max()).sum())


def is_rigid(rows: Float[Tensor, "K d"], contacts: Contacts, weights: Float[Tensor, " m"], A: Any) -> bool | None:
    """Whether the stressed contacts leave no first-order motion of their points but rotations; None where that is large.

    Motions are penalised by their effect on every contact, on the norms, and by their part along the rotations: a positive
    definite matrix then leaves none.
    """
    on = carrying(weights)
    points = contacts.pairs[on].unique()
    W, d = rows[points], rows.shape[1]
    if len(points) * d > RIGID:
        return None
    coordinates = (points[:, None] * d + torch.arange(d)).flatten().numpy()
    B = A[:, on.numpy()].tocsr()[coordinates]
    stiffness = torch.from_numpy((B @ B.T).toarray())
    p, q = torch.triu_indices(d, d, offset=1)
    eye = torch.eye(d, dtype=rows.dtype)
    turns = W[:, p, None] * eye[q] - W[:, q, None] * eye[p]  # (n, pairs of axes, d)
    turns = turns.transpose(1, 2).reshape(len(W) * d, -1) * (d / (2 * len(W))) ** 0.5
    stiffness += turns @ turns.T + torch.block_diag(*(W[:, :, None] * W[:, None, :]))
    stiffness.diagonal().sub_(_SOFT)
    return int(torch.linalg.cholesky_ex(stiffness).info) == 0


def _least_norm(A: Any) -> np.ndarray:
    """The solution of least norm of A lam = 0, sum lam = 1, in the sense of least squares."""
    from scipy import sparse
    from scipy.linalg import cho_factor, cho_solve, lstsq
    from scipy.sparse.linalg import lsmr

    rows, m = A.shape
    if (rows + 1) * m <= _DENSE:
        bordered = np.vstack([A.toarray(), np.ones(m)])
        right = np.zeros(rows + 1)
        right[-1] = 1
        solution: Any = lstsq(bordered, right, cond=1e-11, lapack_driver="gelsy")
        return solution[0]
    bordered = sparse.vstack([A, sparse.csr_array(np.ones((1, m)))]).tocsr()
    weights, right = np.zeros(m), np.zeros(rows + 1)
    right[-1] = 1
    if m <= _FACTORED:
        normal = (bordered.T @ bordered).toarray() + _RIDGE * np.eye(m)
        factor = cho_factor(normal, lower=True, overwrite_a=True, check_finite=False)
        for _ in range(_CORRECTIONS):  # squaring loses half the digits, corrections bring them back
            weights = weights + cho_solve(factor, bordered.T @ (right - bordered @ weights), check_finite=False)
        return weights
    for _ in range(2):  # the second time on the residual: refinement
        weights = weights + lsmr(bordered, right - bordered @ weights, atol=1e-15, btol=1e-15, maxiter=2000)[0]
    return weights


def _normalised(live: np.ndarray, part: np.ndarray) -> np.ndarray:
    weights = np.zeros(len(live))
    weights[live] = np.where(part > 0, part, 0)
    total = weights.sum()
    return weights / total if total > 0 else np.full(len(live), 1 / len(live))


def _non_negative(A: Any) -> np.ndarray:
    from scipy.optimize import nnls

    rows, m = A.shape
    bordered = np.vstack([A.toarray(), np.ones(m)])
    right = np.zeros(rows + 1)
    right[-1] = 1
    if rows + 1 > m:  # the same problem in m equations
        Q, bordered = np.linalg.qr(bordered)
        right = Q.T @ right
    return _normalised(np.ones(m, dtype=bool), nnls(bordered, right, maxiter=20 * m)[0])
