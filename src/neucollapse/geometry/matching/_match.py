"""`match` and `align`: permute and rotate a code so that its points lie as near as possible to given class means."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..._errors import InputError
from ..._names import names_options
from ..._types import Float, Int
from .._rows import in_range
from ._permutations import best_pairing
from ._rotations import draw_rotation, nearest_rotation, same_shape

_STARTS = 100
_ROUNDS = 100  # each round cannot do worse than the one before; a handful is usual


@dataclass(frozen=True)
class Match:
    """How a code was brought onto reference points.

    Attributes:
        permutation: (K,), the point of the code that each reference row got.
        rotation: (d, d), orthogonal; of determinant +1 where reflections were not allowed.
        points: (K, d), the code moved: `code[permutation] @ rotation`.
        error: the distance left, relative to the reference, at the best common scale c of the code:
            `min_{c >= 0} |c points - reference|_F / |reference|_F`. 0 is a copy, 1 is as good as nothing.
    """

    permutation: Int[Tensor, " K"]
    rotation: Float[Tensor, "d d"]
    points: Float[Tensor, "K d"]
    error: float


@names_options
def match(points: Any, reference: Any, *, reflections: bool = True, starts: int | None = None, seed: int = 0) -> Match:
    r"""Permute and rotate a code to fit reference points as well as possible; say how, and how well.

    $$
    \max_{\pi,\ Q} \sum_k \langle p_{\pi(k)}\, Q,\ r_k \rangle
    $$

    which for a given code is the least squared distance. Rotation (`procrustes`) and assignment of points to classes
    (`permutation_of`) alternate, each exact given the other, from several starts: the given order, then random
    rotations from a fixed seed. The best end is returned; for a permuted and rotated copy of a small code that is the
    copy itself. The whole is a heuristic: a global optimum is not guaranteed, and the error is an upper bound on the
    least one.

    Args:
        points: the code (K, d).
        reference: class means (K, d), of any common scale.
        reflections: whether the code may be mirrored, as it may wherever only angles and distances matter.
        starts: how many; by default 100, and 8 for K > 200, where each costs seconds.
        seed: of the random rotations; the generator of torch is not touched.

    `NonFiniteError` is raised if either holds NaN or infinity: leave absent classes out.

    Raises:
        InputError: if the shapes differ, or `starts` is not positive.

    Examples:
        >>> from neucollapse.geometry import icosahedron
        >>> code = icosahedron()
        >>> found = match(code, 5 * code.flip(0))
        >>> found.error < 1e-12, torch.allclose(code[found.permutation] @ found.rotation, code.flip(0))
        (True, True)
    """
    P, R = same_shape(points, reference)
    K, d = P.shape
    starts = starts if starts is not None else (_STARTS if K <= 200 else 8)
    if starts < 1:
        raise InputError(f"expected at least one start, got {starts}")
    given, P, R = P, in_range(P), in_range(R)
    R = R / (float(R.norm()) or 1.0)
    generator = torch.Generator().manual_seed(seed)
    best, best_fit = (torch.arange(K), torch.eye(d, dtype=P.dtype)), -torch.inf
    for start in range(starts):
        first = nearest_rotation(P, R, reflections) if start == 0 else draw_rotation(d, generator, reflections)
        permutation, rotation, fit = _alternate(P, R, first, reflections)
        if fit > best_fit + 1e-12:  # ties go to the earlier start: the given order where it is as good
            best, best_fit = (permutation, rotation), fit
    error = _error(P[best[0]] @ best[1], R)
    return Match(*best, given[best[0]] @ best[1], error)


@names_options
def align(
    points: Any, reference: Any, *, reflections: bool = True, starts: int | None = None, seed: int = 0
) -> Float[Tensor, "K d"]:
    r"""The rows of a code, permuted and rotated to fit reference points as well as possible.

    $$
    \max_{\pi,\ Q} \sum_k \langle p_{\pi(k)}\, Q,\ r_k \rangle
    $$

    The points of `match`, which see for the method, a heuristic, and for the permutation, rotation and error. For a
    permuted and rotated copy of a small code the result is the copy itself.

    Args:
        points: the code (K, d).
        reference: class means (K, d), of any common scale.
        reflections: whether the code may be mirrored.
        starts: how many; by default 100, and 8 for K > 200, where each costs seconds.
        seed: of the random rotations; the generator of torch is not touched.

    `InputError` is raised if the shapes differ, or `starts` is not positive.

    `NonFiniteError` is raised if either holds NaN or infinity: leave absent classes out.

    Examples:
        >>> from neucollapse.geometry import icosahedron
        >>> code = icosahedron()
        >>> bool(torch.allclose(align(code.flip(0), code), code))
        True
    """
    return match(points, reference, reflections=reflections, starts=starts, seed=seed).points


def _alternate(
    P: Float[Tensor, "K d"], R: Float[Tensor, "K d"], Q: Float[Tensor, "d d"], reflections: bool
) -> tuple[Int[Tensor, " K"], Float[Tensor, "d d"], float]:
    permutation, fit = torch.arange(len(P)), -torch.inf
    for _ in range(_ROUNDS):
        trial = best_pairing(P @ Q, R)
        turn = nearest_rotation(P[trial], R, reflections)
        better = float((P[trial] @ turn * R).sum())
        if better <= fit + 1e-14:
            break
        permutation, Q, fit = trial, turn, better
    return permutation, Q, fit


def _error(moved: Float[Tensor, "K d"], R: Float[Tensor, "K d"]) -> float:
    """From the difference itself, which keeps its digits near a perfect fit."""
    scale = max(float((moved * R).sum()), 0.0) / (float((moved * moved).sum()) or 1.0)
    return float((scale * moved - R).norm()) / (float(R.norm()) or 1.0)
