"""`one_vs_rest`: how far each class lies from the convex hull of all the others."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ..._environment import numba_available
from ..._errors import InputError, MissingExtraError
from ..._names import names_options, unknown_name
from ..._types import Float, Int
from .._rows import as_rows
from ._active_set import Batch, begin, nearest
from ._compiled import MOST_POINTS, compiled, pays
from ._warm_start import affine_weights, simplex_weights

_CHUNK = 4_000_000  # numbers in the largest temporaries of one batch: about 32 MB
Method = Literal["auto", "plain", "compiled", "mixed"]
_STEPS = 40  # of the warm start: together about one round of the active set at K = 2000, d = 512


class Support(NamedTuple):
    """The classes whose hull holds a nearest point, and their weights (positive, of sum 1): "which classes confuse this one"."""

    classes: Int[Tensor, " n"]
    weights: Float[Tensor, " n"]


@dataclass(frozen=True)
class OneVsRest:
    """Distances of classes to the convex hull of the others, all in the units of W.

    Attributes:
        classes: the classes asked for (n,).
        distance: their distances (n,); exactly 0 where the class lies inside the hull to within the tolerance.
        gap: distance minus a certified lower bound on it (n,), up to rounding: what the distance may be too large by.
        nearest: the nearest point of the hull (n, d).
        support: for each class, the classes that span the nearest point, with their weights.
    """

    classes: Int[Tensor, " n"]
    distance: Float[Tensor, " n"]
    gap: Float[Tensor, " n"]
    nearest: Float[Tensor, "n d"]
    support: tuple[Support, ...]

    @property
    def margin(self) -> float:
        """The smallest of the distances: for unit rows and all classes, rho of Jiang et al. (arXiv 2310.05351)."""
        return float(self.distance.min())


@names_options
def one_vs_rest(W: Any, *, classes: Any = None, tolerance: float | int = 1e-12, method: Method = "auto") -> OneVsRest:
    r"""Exact distance from each row of W to the convex hull of the other rows, with a certificate.

    $$
    d_k = \min_{\lambda \ge 0,\ \sum_j \lambda_j = 1} \Big\| w_k - \sum_{j \ne k} \lambda_j w_j \Big\|
    $$

    The rows are taken as they are: nothing is normalised or centred. A distance of 0 says that the class cannot be
    told from a mixture of others by any linear classifier. On unit rows the smallest distance is the margin
    $\rho$ that a softmax code maximises: at most K/(K-1), reached by the simplex, and at most 1 if K >= d + 2;
    always $\rho \ge 1 - \max_{i \ne j} \langle w_i, w_j \rangle$.

    Args:
        W: rows (K, d), K >= 2: array-like of any float type, also a parameter.
        classes: the classes to compute (n,), whole numbers in [0, K); all by default.
        tolerance: the duality gap to reach, and the distance below which a class counts as inside the hull, both in
            units of the largest distance of a row from the mean of the rows.
        method: `"plain"` PyTorch, `"compiled"` code (extra `fast`), or compiled code in `"mixed"` precision; by
            default the fastest for the size. All reach the same distances to the tolerance.

    Returns:
        Distances, gaps, nearest points and supports, on the CPU in float64. A gap above the tolerance (rounding in
        nearly degenerate data) is reported as it is, never hidden.

    `NonFiniteError` is raised if W holds NaN or infinity.

    Raises:
        InputError: if W is not a matrix of at least two rows, or a class, the tolerance or the method is out of range.
        MissingExtraError: if compiled code is asked for and numba is not installed.

    References:
        Jiang et al., "Generalized Neural Collapse for a Large Number of Classes", arXiv 2310.05351 (one-vs-rest
        distance); Lawson and Hanson, "Solving Least Squares Problems", 1974, chapter 23 (the active-set method).

    Examples:
        >>> from neucollapse.geometry import one_vs_rest, simplex
        >>> result = one_vs_rest(simplex(5))
        >>> round(result.margin, 12), bool((result.gap < 1e-12).all())
        (1.25, True)
    """
    rows = as_rows(W, minimum=2)
    if not 0 < tolerance < 1:
        raise InputError(f"expected a tolerance between 0 and 1, got {tolerance!r}")
    if method not in get_args(Method):
        raise unknown_name("method", method, get_args(Method))
    if method in ("compiled", "mixed") and not numba_available():
        raise MissingExtraError("numba", "fast", f"one_vs_rest(method={method!r})")
    if method == "mixed" and len(rows) > MOST_POINTS:
        raise InputError(f"method='mixed' keeps all inner products, of up to {MOST_POINTS:,} rows; got {len(rows):,}")
    k = _classes(classes, len(rows))
    points, scale = own_units(rows)
    batches = list(_batches(points, k, tolerance, method))
    return _collect(rows, k, batches, scale, tolerance)


def own_units(rows: Float[Tensor, "K d"]) -> tuple[Float[Tensor, "K D"], float]:
    """The rows about their mean, the longest of length 1, in at most K dimensions; and what 1 stands for."""
    exponent = math.frexp(float(rows.abs().max()))[1]
    scale = 2.0 ** max(-1000, min(1000, exponent))  # a power of two: exact, and no sum or square overflows after it
    points = rows / scale
    points -= points.mean(dim=0)
    longest = float(points.norm(dim=1).max()) or 1.0
    points /= longest
    scale *= longest
    if points.shape[1] > len(points):
        points = torch.linalg.qr(points.T, mode="r").R.T.contiguous()
    return points, scale


def _batches(W: Float[Tensor, "K d"], k: Int[Tensor, " n"], tolerance: float, method: Method) -> Iterator[Batch]:
    """All classes, solved: what the chosen way leaves open is taken up by the plain active set."""
    K, d = W.shape
    step = max(1, _CHUNK // (2 * (d + 1) * (2 * d + 1) + 4 * K))
    for batch in _first(W, k, tolerance, method):
        unsolved = (batch.gap > tolerance).nonzero()[:, 0]
        width = min(d + 1, batch.index.shape[1])
        for some in unsolved.split(step) if len(unsolved) else ():
            batch.put(some, nearest(W, batch[some].narrow(width), tolerance, block=max(1, d // 16)))
        yield batch


def _first(W: Float[Tensor, "K d"], k: Int[Tensor, " n"], tolerance: float, method: Method) -> Iterator[Batch]:
    """Batches that are solved, or close to it: by compiled code, from affine hulls, or from a few projected gradients."""
    K, d = W.shape
    full = affine_weights(W) if d >= K - 1 and method in ("auto", "plain") else None
    known = full is not None and bool((full[k] >= 0).all())
    if method in ("compiled", "mixed") or (method == "auto" and not known and pays(K, len(k))):
        yield from compiled(W, k, tolerance, mixed=None if method == "auto" else method == "mixed")
        return
    lipschitz = float(torch.linalg.eigvalsh(W.T @ W if d < K else W @ W.T)[-1]) or 1.0
    for part in k.split(max(1, _CHUNK // (16 * K))):
        if full is None:
            weights = simplex_weights(W, part, lipschitz, _STEPS)
        else:
            weights = full[part]
            guess = ~(weights >= 0).all(dim=1)
            weights[guess] = simplex_weights(W, part[guess], lipschitz, _STEPS)
        yield begin(W, part, weights)


def _classes(classes: Any, K: int) -> Int[Tensor, " n"]:
    if classes is None:
        return torch.arange(K)
    k = torch.as_tensor(classes).cpu()
    if k.ndim != 1 or k.is_floating_point() or k.dtype == torch.bool or len(k) == 0 or k.min() < 0 or k.max() >= K:
        raise InputError(f"expected classes as a non-empty list of whole numbers in [0, {K}), got {classes!r}")
    return k.to(torch.int64)


def _collect(rows: Tensor, k: Tensor, batches: list[Batch], scale: float, tolerance: float) -> OneVsRest:
    supports, points = [], []
    for batch in batches:
        share = batch.weight / batch.weight.sum(dim=1, keepdim=True)
        in_full = batch.offset.shape[1] == rows.shape[1]  # else turned into fewer dimensions
        points.append(rows[batch.k] + batch.offset * scale if in_full else _mixtures(rows, batch.index, share))
        counts = batch.live.sum(dim=1).tolist()
        pieces = zip(batch.index[batch.live].split(counts), share[batch.live].split(counts), strict=True)
        supports.extend(Support(classes, weights) for classes, weights in pieces)
    distance = torch.cat([batch.upper for batch in batches]) * scale
    gap = torch.cat([batch.gap for batch in batches]) * scale
    inside = distance <= tolerance * scale
    distance, gap = torch.where(inside, 0.0, distance), torch.where(inside, distance, gap)
    return OneVsRest(k, distance, gap, torch.cat(points), tuple(supports))


def _mixtures(
    rows: Float[Tensor, "K d"], index: Int[Tensor, "n m"], share: Float[Tensor, "n m"]
) -> Float[Tensor, "n d"]:
    """Weighted sums of rows."""
    return rows.new_zeros(len(index), len(rows)).scatter_add_(1, index, share) @ rows
