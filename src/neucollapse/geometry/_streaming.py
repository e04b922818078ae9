"""Large codes, 10,000 points and more: the maximal cosine lowered in tiles, with nothing of size K x K."""

import math
from collections.abc import Iterator
from time import monotonic

import torch
from torch import Tensor

from .._types import Float

_TILE = 1 << 22  # entries of a block of cosines: 16 MB
_SHARPNESS = 8.0  # of the smooth maximum, in units of 1 / (gap between the largest cosine and a typical one)
_SHARPER = 1.5
_STALLED = 1e-4  # share of the largest cosine that ten steps must gain
_MOMENTUM = 0.9


def spread(points: Float[Tensor, "K d"], *, deadline: float) -> Iterator[tuple[float, Float[Tensor, "K d"]]]:
    r"""Lower the smooth maximum of the cosines by gradient steps until the deadline; yields (max cosine, points), the best.

    The gradient of :math:`\frac1p \log \sum_{i \ne j} e^{p \langle w_i, w_j \rangle}` takes two products of K x K x d, in
    float32, one block of rows at a time; the hard maximum falls out of the same pass. Steps have a given length, longer
    while the smooth maximum falls and shorter where it rises; p grows where progress stalls. On the device of the points.
    """
    W = points.float()
    best, kept = torch.inf, W
    speed, length = torch.zeros_like(W), 0.02
    p, previous, since = 0.0, torch.inf, 0
    mark = torch.inf
    while True:
        top, value, slope = _pass(W, p)
        if p == 0.0:  # the first pass only looks
            p = _SHARPNESS * W.shape[1] ** 0.5
            best, kept = top, W
            yield best, kept
            continue
        if top < best:
            best, kept = top, W
            yield best, kept
        if monotonic() > deadline:
            return
        if value > previous:
            speed, length = torch.zeros_like(W), length / 2
        else:
            length = min(0.05, 1.05 * length)
        previous, since = value, since + 1
        if since == 10:
            if value > mark - _STALLED * abs(mark) or length < 1e-6:
                p, previous, length = p * _SHARPER, torch.inf, max(length, 1e-3)
                speed, value = torch.zeros_like(W), torch.inf
            mark, since = value, 0
        step = slope / slope.norm(dim=1).max().clamp(min=1e-30)
        speed = _MOMENTUM * speed - length * step
        W = torch.nn.functional.normalize(W + speed, dim=1)


def _pass(W: Tensor, p: float) -> tuple[float, float, Tensor]:
    """The largest cosine, the smooth maximum and its slope along the sphere, in one pass over blocks of rows."""
    K = len(W)
    slope, total, shift = torch.zeros_like(W), W.new_zeros((), dtype=torch.float64), -torch.inf
    rows = max(1, _TILE // K)
    top = -torch.inf
    for begin in range(0, K, rows):
        G = W[begin : begin + rows] @ W.T
        G[torch.arange(len(G)), torch.arange(begin, begin + len(G))] = -torch.inf
        highest = float(G.max())
        top = max(top, highest)
        if p:
            if highest > shift:  # keep the exponentials below 1: rescale what is there
                factor = math.exp(p * (shift - highest))  # 0 at first
                slope, total, shift = slope * factor, total * factor, highest
            weights = G.sub_(shift).mul_(p).exp_()
            total = total + weights.sum(dtype=torch.float64)
            slope[begin : begin + rows] = weights @ W
    if not p:
        return top, top, slope
    slope = slope * (2 / float(total))
    slope = slope - (slope * W).sum(dim=1, keepdim=True) * W
    return top, shift + float(total.log()) / p, slope
