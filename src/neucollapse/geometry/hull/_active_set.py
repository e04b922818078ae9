"""Many nearest-point problems at once: the point of conv{w_j, j != k} nearest to w_k, for a batch of classes k.

With ``p_j = w_j - w_k`` the problem is ``min |sum_j lam_j p_j|`` over the simplex. Writing ``lam = u / sum(u)`` turns it
into non-negative least squares, ``min |sum_j u_j p_j|^2 + (sum_j u_j - 1)^2`` over ``u >= 0``, whose solution on a
support T is one positive definite system ``(P_T P_T^T + 1 1^T) u = 1``. An active-set method solves it exactly:

* *price*: with ``y = sum_j u_j p_j``, ``min_j <p_j, y> / |y|`` bounds the distance from below (it is the margin of the
  hyperplane with normal y) and ``|y| / sum(u)`` from above; the worst violators of optimality join the support;
* *settle*: solve on the support and drop negative weights until all are positive.

Blocks of classes join and leave together, which takes a few rounds where one at a time takes hundreds. That may cycle,
so a class whose distance did not fall returns to its best point and goes on one level more carefully (``_BOLD``,
``_CAREFUL``, ``_EXACT``). All classes of a batch take each step together.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..._types import Bool, Float, Int

# Relative to the Gram matrix: lets affinely dependent supports through the Cholesky factor. It moves the optimality
# conditions by itself times the change of u in one refinement step, which two steps bring below rounding.
_RIDGE = 1e-11
_BOLD = 0  # all negative weights leave at once; fast, may cycle
_CAREFUL = 1  # Lawson and Hanson's step to the first boundary: every round strictly improves
# As careful, by orthogonal factorisation in d dimensions, for supports whose Gram matrix is too ill-conditioned
_EXACT = 2
_STALLS = 3  # rounds without progress before a class goes one level up, or is left as it is with the gap it has


@dataclass
class Batch:
    """Nearest points under way: for each class k a support (padded) with its weights, where the nearest point lies from
    w_k, and the bounds reached.
    """

    k: Int[Tensor, " B"]
    index: Int[Tensor, "B m"]
    live: Bool[Tensor, "B m"]
    weight: Float[Tensor, "B m"]
    offset: Float[Tensor, "B d"]
    upper: Float[Tensor, " B"]
    gap: Float[Tensor, " B"]

    def __getitem__(self, rows: Tensor) -> "Batch":
        return Batch(*(value[rows] for value in vars(self).values()))

    def put(self, rows: Tensor, other: "Batch") -> None:
        """Overwrite some classes; the narrower of the two is padded."""
        width = max(self.index.shape[1], other.index.shape[1])
        for name in ("index", "live", "weight"):
            setattr(self, name, _widen(getattr(self, name), width))
            getattr(self, name)[rows] = _widen(getattr(other, name), width)
        for name in ("k", "offset", "upper", "gap"):
            getattr(self, name)[rows] = getattr(other, name)

    def narrow(self, width: int) -> "Batch":
        """The batch with the first ``width`` columns of its supports alone."""
        index, live, weight = (values[:, :width] for values in (self.index, self.live, self.weight))
        return Batch(self.k, index, live, weight, self.offset, self.upper, self.gap)

    def pack(self) -> None:
        """Bring the live entries of each row to the left and cut what no row needs."""
        columns = _packing(self.live)
        self.index, self.live, self.weight = (v.gather(1, columns) for v in (self.index, self.live, self.weight))


def _widen(values: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(values, (0, width - values.shape[1]))


def _packing(live: Bool[Tensor, "B m"]) -> Int[Tensor, "B n"]:
    width = max(1, int(live.sum(dim=1).max()))
    return live.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :width]


def _solve(P: Float[Tensor, "B m d"], live: Bool[Tensor, "B m"]) -> tuple[Float[Tensor, "B m"], Float[Tensor, "B d"]]:
    """Minimise over the span of each support: weights u of any sign, refined twice against residuals formed in d
    dimensions, and the direction ``y = P^T u``.
    """
    one = live.to(P.dtype)
    H = torch.baddbmm(one[:, :, None] * one[:, None, :], P, P.mT)
    H.diagonal(dim1=1, dim2=2).add_(torch.where(live, _RIDGE, 1.0).to(P.dtype))
    L = torch.linalg.cholesky(H)

    def inverse(r: Tensor) -> Tensor:
        return torch.cholesky_solve(r[..., None], L)[..., 0]

    u = inverse(one)
    for _ in range(2):
        residual = 1 - u.sum(dim=1, keepdim=True) - _levels(P, _combine(u, P))
        u = u + inverse(one * residual)
    return u, _combine(u, P)


def _solve_orthogonal(
    P: Float[Tensor, "B m d"], live: Bool[Tensor, "B m"]
) -> tuple[Float[Tensor, "B m"], Float[Tensor, "B d"]]:
    """The same minimum by singular values of P itself: slower, without squaring its condition number.

    y is made orthogonal to the differences of the support relative to its own length, however small that is: points
    almost inside the hull keep their certificate.
    """
    one = live.to(P.dtype)
    system = torch.cat([P, one[..., None]], dim=2).mT
    target = torch.zeros_like(system[..., :1])
    target[:, -1] = 1
    u = torch.linalg.lstsq(system, target, driver="gelsd").solution[..., 0]
    y = _combine(u, P)
    differences = (P - _combine(one, P)[:, None] / one.sum(dim=1)[:, None, None]) * one[..., None]
    for _ in range(2):
        along = torch.linalg.lstsq(differences.mT, y[..., None], driver="gelsd").solution[..., 0]
        y = y - _combine(along, differences)
    return u, y


def _combine(u: Tensor, P: Tensor) -> Tensor:
    return torch.bmm(u[:, None], P)[:, 0]


def _levels(P: Tensor, y: Tensor) -> Tensor:
    return torch.bmm(P, y[..., None])[..., 0]


def settle(W: Float[Tensor, "K d"], batch: Batch, level: Int[Tensor, " B"]) -> Float[Tensor, "B d"]:
    """Bring every class to the minimum over its support with positive weights (in place); return the directions."""
    direction = W.new_zeros(len(batch.k), W.shape[1])
    for solver, chosen in ((_solve, level < _EXACT), (_solve_orthogonal, level == _EXACT)):
        pending = chosen.nonzero()[:, 0]
        while len(pending):
            part = batch[pending]
            columns = _packing(part.live)
            index, live, old = (values.gather(1, columns) for values in (part.index, part.live, part.weight))
            P = W[index].sub_(W[part.k][:, None])
            size = (
                torch.linalg.vector_norm(P, dim=2).mul_(live).amax(dim=1)
            )  # own units: a hull may be far smaller than W
            P.mul_((live / torch.where(size > 0, size, 1.0)[:, None])[..., None])
            new, direction[pending] = solver(P, live)
            negative = live & (new <= 0)
            fall = old - new
            ratio = torch.where(negative, torch.where(fall > 0, old / fall.clamp(min=1e-300), 0.0), torch.inf)
            step = torch.where(level[pending] == _BOLD, torch.inf, ratio.amin(dim=1))[:, None]
            walk = torch.where(step < 1, old + step * (new - old), new).clamp(min=0)
            live = live & ~(negative & (ratio <= step))
            batch.live[pending] = torch.zeros_like(part.live).scatter_(1, columns, live)
            batch.weight[pending] = torch.zeros_like(part.weight).scatter_(1, columns, walk * live)
            pending = pending[negative.any(dim=1)]
    return direction


def separations(W: Float[Tensor, "K d"], k: Int[Tensor, " B"], direction: Float[Tensor, "B d"]) -> Float[Tensor, "B K"]:
    """How far beyond w_k each other class lies along a direction; the smallest is a lower bound on the distance."""
    length = direction.norm(dim=1, keepdim=True)
    normal = direction / torch.where(length > 0, length, 1.0)
    separation = (normal @ W.T).sub_((normal * W[k]).sum(dim=1, keepdim=True))
    separation[torch.arange(len(k)), k] = torch.inf
    return separation


def gap_above(upper: Float[Tensor, " B"], separation: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """How far upper bounds lie above the lower bounds that separations give."""
    return (upper - separation.amin(dim=1).clamp(min=0)).clamp(min=0)


def begin(W: Float[Tensor, "K d"], k: Int[Tensor, " B"], weights: Float[Tensor, "B K"]) -> Batch:
    """A batch at the points with the given weights, the largest first: where its bounds are tight nothing is left to do."""
    weight, index = weights.topk(max(1, int((weights > 0).sum(dim=1).max())), dim=1)
    direction = weights @ W / weights.sum(dim=1, keepdim=True) - W[k]
    upper = direction.norm(dim=1)
    return Batch(
        k, index, weight > 0, weight.clamp(min=0), direction, upper, gap_above(upper, separations(W, k, direction))
    )


def price(W: Float[Tensor, "K d"], batch: Batch, direction: Float[Tensor, "B d"]) -> Float[Tensor, "B K"]:
    """Set the bounds (in place) and return how far above the lower bound each class would allow it (negative: violated)."""
    batch.pack()
    share = batch.weight / batch.weight.sum(dim=1, keepdim=True)
    batch.offset = _combine(share, W[batch.index].sub_(W[batch.k][:, None]))
    batch.upper = batch.offset.norm(dim=1)
    separation = separations(W, batch.k, direction)
    batch.gap = gap_above(batch.upper, separation)
    return separation - batch.upper[:, None]


def _join(batch: Batch, violation: Float[Tensor, "B K"], count: int, allowed: Bool[Tensor, " B"], least: float) -> None:
    """Let the ``count`` worst violators join each support (in place), with weight 0."""
    worst, index = violation.topk(count, dim=1, largest=False)
    batch.index = torch.cat([batch.index, index], dim=1)
    batch.live = torch.cat([batch.live, (worst < -least) & allowed[:, None]], dim=1)
    batch.weight = torch.cat([batch.weight, torch.zeros_like(worst)], dim=1)


def nearest(W: Float[Tensor, "K d"], now: Batch, tolerance: float, *, block: int) -> Batch:
    """Solve the problems of a batch from the supports it has; W is centred, its longest row 1.

    ``gap`` of the result says how far each class got.
    """
    best = now[torch.arange(len(now.k))]
    best.upper.fill_(torch.inf)
    active = torch.arange(len(now.k))
    level = torch.full_like(active, _BOLD)
    stalls = torch.zeros_like(active)
    for _ in range(200 + 4 * W.shape[1]):  # every level is finite; this bounds what rounding might do to that
        violation = price(W, now, settle(W, now, level))
        finished = now.gap <= tolerance
        better = (now.upper < best.upper[active]) | ((level > _BOLD) & (now.gap < best.gap[active]))
        keep = better | finished
        best.put(active[keep], now[keep])
        held = violation.gather(1, now.index).masked_fill(~now.live, 0.0).amin(dim=1)
        blurred = (held < -tolerance) & (level < _EXACT)  # not optimal on its own support: ill-conditioned
        stalls = torch.where(better, 0, stalls + 1)
        climb = blurred | ~better & ((level == _BOLD) | (stalls > _STALLS))
        go_on = ~finished & ~(climb & (level == _EXACT))
        if not go_on.any():
            break
        level = torch.where(blurred, _EXACT, level + climb.to(level.dtype))[go_on]
        active, climb, stalls, now = active[go_on], climb[go_on], torch.where(climb, 0, stalls)[go_on], now[go_on]
        now.put(climb.nonzero()[:, 0], best[active[climb]])
        _join(now, violation[go_on], min(block, len(W) - 1), ~climb, 0.5 * tolerance)
    return best
