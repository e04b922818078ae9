"""Rotations: the best one between two sets of points, and random ones."""

from typing import Any

import torch
from torch import Tensor

from ..._errors import InputError
from ..._names import names_options
from ..._types import Float
from .._rows import as_rows, check_size, in_range


@names_options
def procrustes(points: Any, reference: Any, *, reflections: bool = True) -> Float[Tensor, "d d"]:
    r"""The rotation that brings points as near as possible to reference points, row by row. Exact, in closed form.

    $$
    \min_{Q \in O(d)} \| P Q - R \|_F \quad\text{at}\quad Q = U V^\top, \qquad P^\top R = U \Sigma V^\top
    $$

    Rows are turned from the right: the moved points are `points @ Q`. Without reflections Q is sought in SO(d), of
    determinant +1, and the last singular direction changes its sign where need be (Kabsch). Q is unique where the
    smallest singular value is positive; else, as for points that span less than the space, it is one of the best.

    Args:
        points: (K, d).
        reference: (K, d), of any scale.
        reflections: whether Q may have determinant -1.

    `InputError` is raised if the shapes differ.

    `NonFiniteError` is raised if either holds NaN or infinity.

    References:
        Schoenemann, "A generalized solution of the orthogonal Procrustes problem", Psychometrika 1966; Kabsch, "A
        solution for the best rotation to relate two sets of vectors", Acta Crystallographica A 1976.

    Examples:
        >>> quarter = procrustes([[1.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [-2.0, 0.0]])
        >>> quarter.round().tolist()
        [[0.0, 1.0], [-1.0, 0.0]]
    """
    return nearest_rotation(*same_shape(points, reference), reflections)


@names_options
def random_rotation(d: int, *, seed: int = 0, reflections: bool = True) -> Float[Tensor, "d d"]:
    """A rotation drawn uniformly (Haar measure) from O(d), or from SO(d) without reflections.

    The QR factor of a Gaussian matrix, with signs that make the diagonal of R positive: without them it is not uniform.

    Args:
        d: dimension.
        seed: the same seed draws the same rotation; the generator of torch is not touched.
        reflections: whether the determinant may be -1, which it then is half of the time.

    `InputError` is raised if d < 1.

    References:
        Mezzadri, "How to generate random matrices from the classical compact groups", arXiv math-ph/0609050.

    Examples:
        >>> Q = random_rotation(5, reflections=False)
        >>> torch.allclose(Q @ Q.T, torch.eye(5, dtype=Q.dtype)), round(float(torch.linalg.det(Q)), 12)
        (True, 1.0)
    """
    check_size(2, d)
    return draw_rotation(d, torch.Generator().manual_seed(seed), reflections)


def same_shape(points: Any, reference: Any) -> tuple[Float[Tensor, "K d"], Float[Tensor, "K d"]]:
    """Both as checked rows, refused unless they have one shape."""
    P, R = as_rows(points, "points"), as_rows(reference, "reference")
    if P.shape != R.shape:
        raise InputError(f"expected points and reference of one shape, got {tuple(P.shape)} and {tuple(R.shape)}")
    return P, R


def nearest_rotation(P: Float[Tensor, "K d"], R: Float[Tensor, "K d"], reflections: bool) -> Float[Tensor, "d d"]:
    """`procrustes` of rows that are checked already."""
    U, _, Vh = torch.linalg.svd(in_range(P).T @ in_range(R))
    if not reflections and torch.linalg.det(U) * torch.linalg.det(Vh) < 0:
        U[:, -1] *= -1  # the direction of the smallest singular value: the cheapest to turn round
    return U @ Vh


def draw_rotation(d: int, generator: torch.Generator, reflections: bool) -> Float[Tensor, "d d"]:
    """`random_rotation` from a generator, for those who draw many."""
    Q, R = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=generator))
    Q = Q * R.diagonal().sign()
    if not reflections and torch.linalg.det(Q) < 0:
        Q[:, 0] *= -1  # one fixed reflection maps the other half of O(d) onto SO(d), and the measure with it
    return Q
