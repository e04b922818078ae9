"""Pairs of a code that touch, or nearly: their cosines, slopes and curvature along the sphere."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from ._descent import ABSOLUTE, cosines, normalise


class Contacts(NamedTuple):
    """Pairs (i, j) of unit rows `points`, and what Newton's method needs of them.

    Moves of the points are coordinates (K, d-1) along `bases` of their tangent spaces.
    """

    points: np.ndarray  # (K, d)
    bases: np.ndarray  # (K, d, d-1), orthonormal
    i: np.ndarray  # (m,)
    j: np.ndarray
    sign: np.ndarray  # (m,), what makes a cosine an absolute one
    cosine: np.ndarray  # (m,), times the sign
    slope_i: np.ndarray  # (m, d-1), of the cosine as point i moves
    slope_j: np.ndarray

    @classmethod
    def of(cls, U: np.ndarray, i: np.ndarray, j: np.ndarray, kind: int) -> "Contacts":
        bases = _tangents(U)
        cosine = (U[i] * U[j]).sum(axis=1)
        sign = np.sign(cosine) if kind == ABSOLUTE else np.ones(len(i))
        slope_i = sign[:, None] * np.einsum("md,mdk->mk", U[j], bases[i])
        slope_j = sign[:, None] * np.einsum("md,mdk->mk", U[i], bases[j])
        return cls(U, bases, i, j, sign, cosine * sign, slope_i, slope_j)

    def moved(self, step: np.ndarray) -> np.ndarray:
        """The points after a step (K, d-1)."""
        return normalise(self.points + np.einsum("kdl,kl->kd", self.bases, step))

    def change(self, step: np.ndarray) -> np.ndarray:
        """What a step (K, d-1) does to the cosines to first order, (m,)."""
        return (self.slope_i * step[self.i]).sum(axis=1) + (self.slope_j * step[self.j]).sum(axis=1)

    def pull(self, weight: np.ndarray) -> np.ndarray:
        """`sum_a weight_a` times the slopes, (K, d-1)."""
        total = np.zeros((len(self.points), self.slope_i.shape[1]))
        np.add.at(total, self.i, weight[:, None] * self.slope_i)
        np.add.at(total, self.j, weight[:, None] * self.slope_j)
        return total

    def curvature(self, weight: np.ndarray, square: np.ndarray) -> np.ndarray:
        """`sum_a weight_a` times the second derivatives plus `square_a` times the slopes' squares, (n, n)."""
        K, k, i, j = len(self.points), self.slope_i.shape[1], self.i, self.j
        H = np.zeros((K, K, k, k))
        H[i, j] = (weight * self.sign)[:, None, None] * (self.bases[i].transpose(0, 2, 1) @ self.bases[j])
        H[i, j] += square[:, None, None] * self.slope_i[:, :, None] * self.slope_j[:, None, :]
        H[j, i] = H[i, j].transpose(0, 2, 1)
        for end, slope in ((i, self.slope_i), (j, self.slope_j)):
            blocks = square[:, None, None] * slope[:, :, None] * slope[:, None, :]
            blocks -= (weight * self.cosine)[:, None, None] * np.eye(k)
            np.add.at(H, (end, end), blocks)
        return H.transpose(0, 2, 1, 3).reshape(K * k, K * k)

    def jacobian(self) -> csr_array:
        """The slopes, (m, n)."""
        K, k, m = len(self.points), self.slope_i.shape[1], len(self.i)
        columns = np.concatenate([end[:, None] * k + np.arange(k) for end in (self.i, self.j)], axis=1)
        entries = np.concatenate([self.slope_i, self.slope_j], axis=1)
        return csr_array((entries.ravel(), (np.repeat(np.arange(m), 2 * k), columns.ravel())), shape=(m, K * k))


def contacts_above(U: np.ndarray, level: float, kind: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs i < j whose (absolute) cosine is above a level."""
    i, j = np.nonzero(np.triu(cosines(U, kind) > level, 1))
    return i, j


def imbalance(U: np.ndarray, i: np.ndarray, j: np.ndarray, multipliers: np.ndarray, kind: int) -> float:
    """The largest force on a point, under pairs that push each with its multiplier."""
    C = (U[i] * U[j]).sum(axis=1)
    w = np.maximum(multipliers, 0) * (np.sign(C) if kind == ABSOLUTE else 1.0)
    w = w / max(np.abs(w).sum(), 1e-300)
    force = np.zeros_like(U)
    np.add.at(force, i, w[:, None] * (U[j] - C[:, None] * U[i]))
    np.add.at(force, j, w[:, None] * (U[i] - C[:, None] * U[j]))
    return longest(force)


def longest(rows: np.ndarray) -> float:
    return float(np.sqrt((rows * rows).sum(axis=1).max()))


def _tangents(U: np.ndarray) -> np.ndarray:
    """An orthonormal basis (d, d-1) of the tangent space at each point, from a Householder reflection."""
    v = U.copy()
    v[:, 0] += np.where(U[:, 0] >= 0, 1.0, -1.0)
    v /= np.linalg.norm(v, axis=1)[:, None]
    return (np.eye(U.shape[1]) - 2 * v[:, :, None] * v[:, None, :])[:, :, 1:]
