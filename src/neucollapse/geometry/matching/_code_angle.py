"""`angle_to_code`: how many degrees class means are from the best code, and whether they are on their way to it at all."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..._errors import InputError
from ..._names import names_options
from ..._types import Float
from ..atlas import best_known
from ..frames import max_cosine, unit_rows
from ._match import match

Arrangement = Literal["same", "another", "undecided"]

_RELAXED_UP_TO = 3000  # K d: a second or so
# Of the smooth maximum: the first does not melt an arrangement
_SHARPNESS = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
_STEPS = 300
_AS_GOOD = 2e-3  # cosines nearer than this are of one code, as far as the sharpest smooth maximum tells
_THERE = 3.0  # degrees in the mean; a few points that are free to move may lie anywhere


@dataclass(frozen=True)
class CodeAngle:
    """Where points lie beside a code.

    Attributes:
        mean: the mean angle of a point to its point of the code, in degrees, after the best rotation and matching; None for
            a family of codes.
        largest: the largest of these angles; None for a family.
        arrangement: `"same"`: moved apart without a detour, the points end in this code, or for a family in one of its
            members. `"another"`: they end in another arrangement. `"undecided"` where they are too many.
        family: whether codes of different shape are best (d+2 <= K <= 2d), so that the angle to one of them says nothing.
        closest: the smallest angle between two of the points, in degrees.
        code_closest: the smallest angle between two points of the code, in degrees.
    """

    mean: float | None
    largest: float | None
    arrangement: Arrangement
    family: bool
    closest: float
    code_closest: float


@names_options
def angle_to_code(points: Any, code: Any = None, *, starts: int | None = None, seed: int = 0) -> CodeAngle:
    r"""The angles of points, such as centred class means, to the best code, in degrees, and whether it is where they go.

    $$
    \theta_k = \angle(m_k,\ c_{\pi(k)} Q), \qquad \pi, Q \text{ of least } \sum_k |m_k/|m_k| - c_{\pi(k)} Q|^2
    $$

    Lengths do not count. A small angle beside the closest pair (`code_closest`) is a code nearly reached. Where it is not
    small, the points are moved apart, downhill from their places: they end in the code or in another arrangement, a
    local optimum that no longer training leaves. For d+2 <= K <= 2d every code without a positive cosine is best, so that
    `mean` and `largest` are None; compare `closest` with 90 degrees there. The matching is by
    `match`, a heuristic: the angles may be too large, never too small.

    Args:
        points: class means (K, d), already centred.
        code: the code (K, d); by default the best known of that size.
        starts: of the matching, as in `match`.
        seed: of the matching.

    `InputError` is raised if a row is zero, the shapes differ, or no coordinates of a code of that size are known.

    `NonFiniteError` is raised if points hold NaN or infinity.

    Examples:
        >>> from neucollapse.geometry import best_known, random_rotation
        >>> code = best_known(10, 3).points
        >>> there = angle_to_code(5 * code.flip(0) @ random_rotation(3))
        >>> there.largest < 1e-6, there.arrangement
        (True, 'same')
    """
    rows = unit_rows(points)
    K, d = rows.shape
    closest = _degrees_of(max_cosine(rows))
    family = code is None and d + 2 <= K <= 2 * d
    if family:
        where = "undecided" if K * d > _RELAXED_UP_TO else _end(rows, 0.0, None)
        return CodeAngle(None, None, where, True, closest, 90.0)
    target = _target(K, d) if code is None else unit_rows(code)
    angles = _angles(match(target, rows, starts=starts, seed=seed).points, rows)
    reach = max_cosine(target)
    if K <= d + 1 and code is None:
        where: Arrangement = "same"  # no other arrangement is at rest
    elif float(angles.mean()) < _THERE / 3:
        where = "same"
    elif K * d > _RELAXED_UP_TO:
        where = "undecided"
    else:
        where = _end(rows, reach, target)
    return CodeAngle(float(angles.mean()), float(angles.max()), where, False, closest, _degrees_of(reach))


def _target(K: int, d: int) -> Float[Tensor, "K d"]:
    points = best_known(K, d).points
    if points is None:
        raise InputError(f"no coordinates of a code of {K} points in {d} dimensions are known here: pass one as code=")
    return points


def _angles(first: Float[Tensor, "K d"], second: Float[Tensor, "K d"]) -> Float[Tensor, " K"]:
    """Between rows of length 1, in degrees, by chords: exact near 0."""
    return torch.rad2deg(2 * torch.asin(((first - second).norm(dim=1) / 2).clamp(max=1)))


def _degrees_of(cosine: float) -> float:
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def _end(rows: Float[Tensor, "K d"], reach: float, target: Tensor | None) -> Arrangement:
    """Where points end that move apart from where they are: in this code, or as good as the family, or elsewhere."""
    end = _relaxed(rows)
    if max_cosine(end) > reach + _AS_GOOD:
        return "another"
    if target is None or float(_angles(match(target, end).points, end).mean()) < _THERE:
        return "same"
    return "another"


def _relaxed(rows: Float[Tensor, "K d"]) -> Float[Tensor, "K d"]:
    """Downhill on smooth maxima of the cosines, sharper and sharper. Plain numpy: too short to load compiled code for."""
    from scipy.optimize import minimize

    shape, start = rows.shape, rows.numpy().ravel().copy()

    def smooth(flat: np.ndarray, p: float) -> tuple[float, np.ndarray]:
        V = flat.reshape(shape)
        length = np.linalg.norm(V, axis=1, keepdims=True)
        U = V / length
        C = U @ U.T
        np.fill_diagonal(C, -np.inf)
        top = C.max()
        weight = np.exp(p * (C - top))
        total = weight.sum()
        slope = 2 * (weight / total) @ U
        slope -= (slope * U).sum(axis=1, keepdims=True) * U
        return float(top + np.log(total) / p), (slope / length).ravel()

    for p in _SHARPNESS:
        start = minimize(smooth, start, args=(p,), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}).x
    return unit_rows(start.reshape(shape))
