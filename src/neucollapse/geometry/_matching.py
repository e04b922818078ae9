"""``align``: permute and rotate a code so that its points lie as near as possible to given class means."""

from typing import Any

import torch
from torch import Tensor

from .._errors import InputError
from .._types import Float, Int
from ._rows import as_rows

_STARTS = 100
_ROUNDS = 100  # each round cannot do worse than the one before; a handful is usual


def align(points: Any, reference: Any, *, starts: int | None = None, seed: int = 0) -> Float[Tensor, "K d"]:
    r"""The rows of a code, permuted and rotated (reflections allowed) to fit reference points as well as possible.

    .. math:: \max_{\pi,\ Q \in O(d)} \sum_k \langle Q\,p_{\pi(k)},\ r_k \rangle

    which for a given code is the least squared distance. Rotation (Procrustes) and assignment of points to classes
    (linear assignment) alternate, each exact given the other, from several starts: the given order, then random
    rotations from a fixed seed. The best end is returned; for a permuted and rotated copy of a small code that is the
    copy itself. A global optimum is not guaranteed.

    Args:
        points: the code (K, d).
        reference: class means (K, d), of any common scale.
        starts: how many; by default 100, and 8 for K > 200, where each costs seconds.
        seed: of the random rotations; the generator of torch is not touched.

    Raises:
        InputError: if the shapes differ, or ``starts`` is not positive.
        NonFiniteError: if either holds NaN or infinity: leave absent classes out.

    Example:
        >>> from neucollapse.geometry import icosahedron
        >>> code = icosahedron()
        >>> bool(torch.allclose(align(code.flip(0), code), code))
        True
    """
    P, R = as_rows(points, "points"), as_rows(reference, "reference")
    if P.shape != R.shape:
        raise InputError(f"expected points and reference of one shape, got {tuple(P.shape)} and {tuple(R.shape)}")
    K, d = P.shape
    starts = starts if starts is not None else (_STARTS if K <= 200 else 8)
    if starts < 1:
        raise InputError(f"expected at least one start, got {starts}")
    R = R / (float(R.norm()) or 1.0)
    generator = torch.Generator().manual_seed(seed)
    best, best_fit = P, -torch.inf
    for start in range(starts):
        rotation = _procrustes(P, R) if start == 0 else _random_rotation(d, generator)
        moved, fit = _alternate(P, R, rotation)
        if fit > best_fit + 1e-12:  # ties go to the earlier start: the given order where it is as good
            best, best_fit = moved, fit
    return best


def _alternate(P: Float[Tensor, "K d"], R: Float[Tensor, "K d"], Q: Float[Tensor, "d d"]) -> tuple[Tensor, float]:
    moved, fit = P @ Q, -torch.inf
    for _ in range(_ROUNDS):
        order = _assign(moved, R)
        moved = P[order] @ _procrustes(P[order], R)
        better = float((moved * R).sum())
        if better <= fit + 1e-14:
            break
        fit, P = better, P[order]
    return moved, fit


def _assign(points: Float[Tensor, "K d"], reference: Float[Tensor, "K d"]) -> Int[Tensor, " K"]:
    """For each reference row the point it gets: the one-to-one assignment of largest total inner product."""
    from scipy.optimize import linear_sum_assignment

    _, columns = linear_sum_assignment((reference @ points.T).numpy(), maximize=True)
    return torch.as_tensor(columns)


def _procrustes(points: Float[Tensor, "K d"], reference: Float[Tensor, "K d"]) -> Float[Tensor, "d d"]:
    """The orthogonal Q with ``points @ Q`` nearest to the reference (Schoenemann 1966)."""
    U, _, Vh = torch.linalg.svd(points.T @ reference)
    return U @ Vh


def _random_rotation(d: int, generator: torch.Generator) -> Float[Tensor, "d d"]:
    Q, R = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=generator))
    return Q * R.diagonal().sign()  # the sign makes it Haar, over rotations and reflections alike
