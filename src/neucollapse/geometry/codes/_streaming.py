"""Large codes, 10,000 points and more: the maximal cosine lowered in tiles, with nothing of size K x K."""

import math
from collections.abc import Iterator
from itertools import count
from time import monotonic
from typing import NamedTuple

import torch
from scipy.spatial import KDTree
from torch import Tensor

from ..._progress import track
from ..._types import Float
from .._clock import late
from ..constructions import candidates, pad
from ..frames import max_cosine, unit_rows
from ._problems import Problem, SoftmaxCode
from ._solution import Outcome, Solution

_SECONDS = 60.0  # where no budget is given
_TILE = 1 << 22  # entries of a block of cosines: 16 MB
_SHARPNESS = 8.0  # of the smooth maximum, in units of 1 / (gap between the largest cosine and a typical one)
_CROWDED = 2.0  # and of 1 / (gap between nearest neighbours at the start)
_SHARPER = 1.5
_STALLED = 1e-4  # share of the largest cosine that ten steps must gain
_MOMENTUM = 0.9
_REACH = 40.0  # a pair this far below the maximum, in units of 1 / p, weighs nothing even K^2 times
_SKIN = 0.5  # how much further lists reach, so that they serve while points move
_LISTED = 5  # dimensions up to which a k-d tree finds neighbours quickly
_SPARSE = 0.02  # share of the pairs up to which a list is quicker than tiles


def solve_in_tiles(problem: Problem, *, seed: int, budget: float | int | None, progress: bool) -> Solution:
    """From a construction where there is one, else from random points, downhill in tiles until the budget ends."""
    begin, (K, d) = monotonic(), (problem.K, problem.d)
    construction = next(iter(candidates(K, d)), None)
    if construction is not None:
        points, source = pad(construction.build(K), d), f"part of {construction.name}"
    else:
        points = torch.randn(K, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        points, source = points / points.norm(dim=1, keepdim=True), f"random points with seed {seed}"
    best, first, outcome = points, None, Outcome.FOUND
    try:
        steps = spread(points, deadline=begin + (_SECONDS if budget is None else budget))
        for s, found in track(steps, None, "spreading", show=progress):
            first = s if first is None else first
            best = points if s >= first else found
    except KeyboardInterrupt:
        outcome = Outcome.INTERRUPTED
    W = unit_rows(best)
    s = max_cosine(W)
    value = 1 - s if isinstance(problem, SoftmaxCode) else s
    stats = {"seed": seed, "seconds": monotonic() - begin, "first": first}
    return Solution(problem, W, value, outcome, f"Found by search from {source}.", stats)


class _Neighbours(NamedTuple):
    """Pairs near the maximum, and a cosine that no other pair exceeds."""

    i: Tensor  # (m,)
    j: Tensor
    others: float


class _Pass(NamedTuple):
    top: float  # the largest cosine
    value: float  # the smooth maximum
    slope: Tensor  # (K, d), along the sphere


def spread(
    points: Float[Tensor, "K d"], *, deadline: float | None = None, steps: int | None = None
) -> Iterator[tuple[float, Float[Tensor, "K d"]]]:
    r"""Lower the smooth maximum of the cosines by so many gradient steps, or until the deadline; yields (max cosine, points).

    What is yielded is the best so far, at the start and whenever it is better than before.

    The gradient of $\frac1p \log \sum_{i \ne j} e^{p \langle w_i, w_j \rangle}$ takes two products of K x K x d, in
    float32, one block of rows at a time; the hard maximum falls out of the same pass. In low dimensions few pairs come near
    the maximum: a k-d tree lists them, in float64, and again when points have moved so far that others may have come near.
    Steps have a given length, longer while the smooth maximum falls and shorter where it rises; p grows where progress
    stalls. On the device of the points.
    """
    W = points.double() if points.shape[1] <= _LISTED else points.float()
    nearest = _nearest(W)
    best = float(nearest.max())
    yield best, W
    p = max(_SHARPNESS * W.shape[1] ** 0.5, _CROWDED / max(1 - float(nearest.median()), 1e-6))
    speed, length = torch.zeros_like(W), min(0.02, 2 / p)
    previous, since, mark = torch.inf, 0, torch.inf
    neighbours = None
    for _ in count() if steps is None else range(steps):
        (top, value, slope), neighbours = _pass(W, p, neighbours)
        if top < best:
            best = top
            yield best, W
        if late(deadline):
            return
        if value > previous:
            speed, length = torch.zeros_like(W), length / 2
        else:
            length = min(0.05, 1.05 * length)
        previous, since = value, since + 1
        if since == 10:
            if value > mark - _STALLED * abs(mark) or length < 1e-6:
                p, previous, length = p * _SHARPER, torch.inf, max(length, 1e-3)
                speed, value, neighbours = torch.zeros_like(W), torch.inf, None
            mark, since = value, 0
        step = slope / slope.norm(dim=1).max().clamp(min=1e-30)
        speed = _MOMENTUM * speed - length * step
        W = torch.nn.functional.normalize(W + speed, dim=1)
        if neighbours is not None:
            neighbours = neighbours._replace(others=neighbours.others + 2 * float(speed.norm(dim=1).max()))


def _blocks(W: Tensor, tile: int = _TILE) -> Iterator[tuple[int, Tensor]]:
    """Blocks of rows of the cosines of all pairs, -inf on the diagonal, each with its first row."""
    rows = max(1, tile // len(W))
    for begin in range(0, len(W), rows):
        G = W[begin : begin + rows] @ W.T
        G[torch.arange(len(G)), torch.arange(begin, begin + len(G))] = -torch.inf
        yield begin, G


def _pass(W: Tensor, p: float, neighbours: _Neighbours | None) -> tuple[_Pass, _Neighbours | None]:
    """One pass over the pairs that matter, by the list while it serves, else by a new one, else over all."""
    if neighbours is not None:
        found = _listed(W, p, neighbours)
        if neighbours.others <= found.top - _REACH / p:
            return found, neighbours
    neighbours = _neighbours(W, p)
    return _tiled(W, p) if neighbours is None else _listed(W, p, neighbours), neighbours


def _nearest(W: Tensor) -> Tensor:
    """The largest cosine of each point, (K,)."""
    if W.shape[1] > _LISTED:
        return torch.cat([G.max(dim=1).values for _, G in _blocks(W)])
    distances, _ = KDTree(W.numpy(force=True)).query(W.numpy(force=True), k=2)
    return 1 - torch.from_numpy(distances[:, 1]) ** 2 / 2


def _neighbours(W: Tensor, p: float) -> _Neighbours | None:
    """The pairs that come near the maximum, if they are few."""
    if W.shape[1] > _LISTED:
        return None
    level = float(_nearest(W).max()) - (1 + _SKIN) * _REACH / p
    if level < 0:
        return None
    tree, radius = KDTree(W.numpy(force=True)), (2 - 2 * level) ** 0.5
    if tree.count_neighbors(tree, radius) > _SPARSE * len(W) ** 2:
        return None
    i, j = torch.from_numpy(tree.query_pairs(radius, output_type="ndarray")).to(W.device).T
    return _Neighbours(i, j, level)


def _tiled(W: Tensor, p: float, tile: int = _TILE) -> _Pass:
    """One pass over all pairs, in blocks of rows."""
    slope, total, shift = torch.zeros_like(W), W.new_zeros((), dtype=torch.float64), -torch.inf
    for begin, G in _blocks(W, tile):
        highest = float(G.max())
        if highest > shift:  # keep the exponentials below 1: rescale what is there
            factor = math.exp(p * (shift - highest))  # 0 at first
            slope, total, shift = slope * factor, total * factor, highest
        weights = G.sub_(shift).mul_(p).exp_()
        total = total + weights.sum(dtype=torch.float64)
        slope[begin : begin + len(G)] = weights @ W
    return _Pass(shift, *_finished(W, p, slope, total, shift))


def _listed(W: Tensor, p: float, neighbours: _Neighbours) -> _Pass:
    """The same pass over listed pairs alone."""
    i, j, _ = neighbours
    below = (W[i] - W[j]).square().sum(dim=1) / 2  # 1 - cosine, exact for close points
    least = float(below.min())
    weights = ((least - below) * p).exp_()
    slope = torch.zeros_like(W).index_add_(0, i, weights[:, None] * W[j]).index_add_(0, j, weights[:, None] * W[i])
    total = 2 * weights.sum(dtype=torch.float64)
    return _Pass(1 - least, *_finished(W, p, slope, total, 1 - least))


def _finished(W: Tensor, p: float, slope: Tensor, total: Tensor, shift: float) -> tuple[float, Tensor]:
    slope = slope * (2 / float(total))
    return shift + float(total.log()) / p, slope - (slope * W).sum(dim=1, keepdim=True) * W
