"""`certify_energy`: whether a code is a local minimum of a Riesz energy."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..._errors import InputError
from ..._types import Float
from .._rows import as_rows
from ..frames import mean_energy, pair_tiles, unit_rows

_DENSE = 1500  # K d up to which the Hessian is formed
_FREE = 1e-9  # share of the largest eigenvalue that rounding explains


@dataclass(frozen=True)
class EnergyCertificate:
    """First- and second-order conditions of a Riesz energy at a code.

    Attributes:
        energy: the mean over pairs, as `mean_energy` gives it.
        gradient: the norm of the tangential gradient, divided by the norm of the sums of force magnitudes at each point.
            0 at a stationary code; rounding leaves about 1e-16.
        smallest_curvature: the smallest eigenvalue of the Riemannian Hessian on the motions orthogonal to rotations, over
            its largest one; None for K d > 1500. Positive at a strict local minimum up to rotations; 0 where a motion
            costs nothing to second order.
        largest_curvature: that largest eigenvalue, of the sum over pairs; None for K d > 1500.
    """

    energy: float
    gradient: float
    smallest_curvature: float | None
    largest_curvature: float | None

    @property
    def is_local(self) -> bool | None:
        """Whether it is a strict local minimum up to rotations, to rounding; None where the Hessian was not formed."""
        if self.gradient > _FREE:
            return False
        return None if self.smallest_curvature is None else self.smallest_curvature > _FREE


def certify_energy(points: Any, s: float | int) -> EnergyCertificate:
    r"""Gradient and curvature of the Riesz energy $\sum_{i<j} |u_i - u_j|^{-s}$ (logarithmic for s = 0) at a code.

    With $\varphi(c)$ the energy of a pair at cosine c, the tangential gradient at u_i is the part of
    $\sum_j \varphi'(c_{ij}) u_j$ orthogonal to u_i, and the Hessian on the product of spheres has the blocks

    $$
    P_i (\varphi''_{ij} u_j u_i^T + \varphi'_{ij} I) P_j, \qquad
    P_i \Big( \sum_j \varphi''_{ij} u_j u_j^T - \sum_j \varphi'_{ij} c_{ij} I \Big) P_i .
    $$

    Args:
        points: the code (K, d), K >= 2; its rows are normalised.
        s: exponent, at least 0, as in `mean_energy`.

    `NonFiniteError` is raised if points holds NaN or infinity.

    Raises:
        InputError: if s is negative or not finite, points is not a matrix of at least two rows, or two of its directions
            coincide, where the energy is infinite.

    References:
        Absil, Mahony and Sepulchre, "Optimization Algorithms on Matrix Manifolds", 2008, chapter 5.

    Examples:
        >>> from neucollapse.geometry import icosahedron
        >>> certificate = certify_energy(icosahedron(), 1)
        >>> certificate.gradient < 1e-14, certificate.is_local
        (True, True)
    """
    rows = unit_rows(as_rows(points, "points", minimum=2))
    energy = mean_energy(rows, s)
    if math.isinf(energy):
        raise InputError("expected points with different directions, got two that coincide: their energy is infinite")
    gradient, forces = torch.zeros_like(rows), rows.new_zeros(len(rows))
    for tile in pair_tiles(rows):
        first = tile.fill(_derivatives(tile.squared_distances(), s)[0], 0.0)
        gradient[tile.rows] += first @ rows[tile.columns]
        gradient[tile.columns] += first.T @ rows[tile.rows]
        forces[tile.rows] += first.sum(dim=1)
        forces[tile.columns] += first.sum(dim=0)
    gradient -= (gradient * rows).sum(dim=1, keepdim=True) * rows
    relative = float(gradient.norm() / forces.norm())
    if rows.numel() > _DENSE:
        return EnergyCertificate(energy, relative, None, None)
    return EnergyCertificate(energy, relative, *_curvatures(rows, s))


def _derivatives(squared: Tensor, s: float | int) -> tuple[Tensor, Tensor]:
    """First and second derivative of a pair's energy in its cosine, where the squared distance is 2 - 2c."""
    scale = s or 1.0
    first = scale * squared.pow(-s / 2 - 1)
    return first, (s + 2) * first / squared


def _curvatures(rows: Float[Tensor, "K d"], s: float | int) -> tuple[float | None, float | None]:
    """The smallest eigenvalue over the largest, and the largest, on tangent motions orthogonal to rotations."""
    K, d = rows.shape
    basis = _motions(rows)
    if basis.shape[1] == 0:
        return None, None
    squared = (rows[:, None] - rows).square().sum(dim=2).fill_diagonal_(1)
    first, second = (values.fill_diagonal_(0) for values in _derivatives(squared, s))
    eye = torch.eye(d, dtype=rows.dtype)
    hessian = torch.einsum("ij,ja,ib->iajb", second, rows, rows) + torch.einsum("ij,ab->iajb", first, eye)
    own = torch.einsum("ij,ja,jb->iab", second, rows, rows)
    own -= (first * (rows @ rows.T)).sum(dim=1)[:, None, None] * eye
    i = torch.arange(K)
    hessian[i, :, i, :] += own
    values = torch.linalg.eigvalsh(basis.T @ hessian.reshape(K * d, K * d) @ basis)
    largest = float(values.abs().max())
    return float(values[0]) / largest, largest


def _motions(rows: Float[Tensor, "K d"]) -> Float[Tensor, "n m"]:
    """An orthonormal basis (K d, m) of the tangent motions of the points orthogonal to all rotations."""
    K, d = rows.shape
    normals = torch.block_diag(*rows[:, :, None])
    p, q = torch.triu_indices(d, d, offset=1)
    eye = torch.eye(d, dtype=rows.dtype)
    turns = (rows[:, p, None] * eye[q] - rows[:, q, None] * eye[p]).transpose(1, 2).reshape(K * d, -1)
    U, values, _ = torch.linalg.svd(torch.cat([normals, turns], dim=1), full_matrices=True)
    return U[:, int((values > 1e-9 * values[0]).sum()) :]
