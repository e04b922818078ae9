# pyright: standard
# Compiled functions and custom operators have no types to check: numba and torch find them out.
r"""Codes of signed Hadamard bases: all their inner products, and sums over them, by fast transforms.

A basis is the Sylvester-Hadamard matrix with its columns times signs, $H D_t / \sqrt d$, or the axes. Its d rows and
their d opposites are 2d classes. The transform $H x$ of d numbers, laid out as a (p, q) matrix with p q = d, is
$H_p X H_q$: two products with small matrices, p + q operations a class instead of d. Signs cost nothing, since
$H_p D_t$ is one matrix for each column of X.

Classes are in the order of `geometry.kerdock` and `geometry.dual_bch`: basis by basis, d rows and then their opposites.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .._types import Float, Int
from ..losses._tiles import needs_maximum

_ELEMENTS = 2**19  # of a tile: 2 MB in float32; two of them are worked on at a time
_SAMPLES = 256  # of a tile


def sylvester(n: int, like: Tensor) -> Float[Tensor, "n n"]:
    """The Sylvester-Hadamard matrix of order n, a power of two: entries ±1, symmetric."""
    H = like.new_ones(1, 1)
    while len(H) < n:
        H = torch.cat([torch.cat([H, H], dim=1), torch.cat([H, -H], dim=1)])
    return H


def factors(d: int, like: Tensor) -> tuple[Float[Tensor, "p p"], Float[Tensor, "q q"]]:
    """Two Hadamard matrices of orders p <= q, as near as can be, whose Kronecker product is the one of order d."""
    p = 2 ** ((d.bit_length() - 1) // 2)
    return sylvester(p, like), sylvester(d // p, like)


def code_rows(
    labels: Int[Tensor, " n"], signs: Float[Tensor, "bases d"], axes: bool, dtype: torch.dtype
) -> Float[Tensor, "n d"]:
    """Unit vectors of the classes `labels`; `axes` says whether the first basis is that of the axes."""
    d = signs.shape[1]
    Hp, Hq = factors(d, signs.new_empty(0, dtype=dtype))
    row, basis = labels % d, labels // (2 * d) - int(axes)
    sign = (1 - 2 * (labels // d % 2)).to(dtype)[:, None]
    kronecker = (Hp[row // len(Hq)][:, :, None] * Hq[row % len(Hq)][:, None, :]).flatten(1)
    if len(signs):
        kronecker = kronecker * signs.to(dtype)[basis.clamp(min=0)]
    on_axes = torch.zeros_like(kronecker).scatter_(1, row[:, None], 1)
    return sign * torch.where(basis[:, None] < 0, on_axes, kronecker * d**-0.5)


def code_cosines(x: Float[Tensor, "n d"], signs: Float[Tensor, "bases d"], axes: bool) -> Float[Tensor, "n K"]:
    """Inner products of x with all classes of all bases; any number of derivatives."""
    d = x.shape[1]
    Hp, Hq = factors(d, x)
    D = signs.to(x.dtype) * d**-0.5
    parts = []
    few = max(1, _ELEMENTS // max(D.numel(), 1))  # samples, so that all but the result stays in cache
    for part in x.split(few):
        X = (part[:, None, :] * D).reshape(-1, len(Hp), len(Hq))
        z = (Hp @ (X @ Hq)).reshape(len(part), len(D), d)
        if axes:
            z = torch.cat([part[:, None, :], z], dim=1)
        parts.append(torch.stack([z, -z], dim=2).flatten(1))
    return torch.cat(parts)


def _columns(x: Tensor, Hp: Tensor, Hq: Tensor) -> Float[Tensor, "q p n"]:
    """The matrix X of each sample, transposed, with samples last: all products are wide then."""
    return x.mT.reshape(len(Hp), len(Hq), len(x)).transpose(0, 1).contiguous()


def _signed(Hp: Tensor, Hq: Tensor, signs: Tensor) -> Float[Tensor, "q rows p"]:
    """For each column of X the matrices $H_p D_t$ of all bases, one below the other."""
    p, q = len(Hp), len(Hq)
    return (Hp * signs.view(-1, p, q).permute(2, 0, 1)[:, :, None, :]).reshape(q, -1, p)


class _Group(NamedTuple):
    """Bases whose classes are worked on at once."""

    bases: int
    matrices: Tensor | None  # of _signed; None for the axes

    def logits(self, X: Tensor, Hq: Tensor, tiles: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """z as (q bases p, n) and a spare tile of that shape; z holds each class once, without its opposite."""
        q, p, n = X.shape
        z, spare = (tile[: q * self.bases * p * n].view(-1, n) for tile in tiles)
        if self.matrices is None:
            torch.mul(X, (q * p) ** 0.5, out=z.view(q, p, n))
        else:
            torch.bmm(self.matrices, X, out=spare.view(q, -1, n))
            torch.mm(Hq, spare.view(q, -1), out=z.view(q, -1))
        return z, spare

    def add_directions(self, means: Tensor, coefficients: Tensor, spare: Tensor, Hq: Tensor) -> None:
        """Add the sums of class directions (times sqrt d), each times its coefficient, to `means` (q, p, n)."""
        q, p, n = means.shape
        if self.matrices is None:
            means.add_(coefficients.view(q, p, n), alpha=(q * p) ** 0.5)
        else:
            torch.mm(Hq, coefficients.view(q, -1), out=spare.view(q, -1))
            means.baddbmm_(self.matrices.mT, spare.view(q, -1, n))


def _group_sizes(bases: int, axes: bool, size: int) -> list[tuple[int, int]]:
    """First basis and number of bases of each group, the axes first and alone."""
    ordinary = [(start + int(axes), min(size, bases - start)) for start in range(0, bases, size)]
    return [(0, 1), *ordinary] if axes else ordinary


class _Sums:
    r"""Running $\sum e^z$ and, times $\sqrt d$, $\sum e^z u$, with a maximum taken out where it must be."""

    def __init__(self, X: Tensor, running: bool) -> None:
        self.running = running
        self.maximum = X.new_full(X.shape[2:], -torch.inf if running else 0.0)
        self.sums = X.new_zeros(X.shape[2:])
        self.means = torch.zeros_like(X)

    def add(self, z: Tensor, spare: Tensor, absent: "_Absent", samples: slice) -> Tensor:
        """Add e^z and e^-z of a tile; return their difference, in place of z."""
        if self.running:
            opposite = torch.neg(z, out=spare)
            absent.fill(z, opposite, -torch.inf)
            shift = self._raise_maximum(torch.maximum(z.amax(dim=0), opposite.amax(dim=0)), samples)
            z.sub_(shift).exp_()
            opposite.sub_(shift).exp_()
        else:
            opposite = torch.reciprocal(z.exp_(), out=spare)  # half the exponentials
            absent.fill(z, opposite, 0.0)
        self.sums[samples] += z.sum(dim=0) + opposite.sum(dim=0)
        return z.sub_(opposite)

    def _raise_maximum(self, found: Tensor, samples: slice) -> Tensor:
        new = torch.maximum(self.maximum[samples], found)
        shift = new.where(new > -torch.inf, 0)  # -inf: nothing but the target so far
        shrink = (self.maximum[samples] - shift).exp_()
        self.sums[samples] *= shrink
        self.means[:, :, samples] *= shrink
        self.maximum[samples] = new
        return shift


class _Absent(NamedTuple):
    """What does not count in a tile: the targets, and the classes past the last one."""

    targets: tuple[Tensor, Tensor]  # places of targets in the flat tile, among the rows and among their opposites
    past: tuple[Tensor, Tensor] | None  # (q, p) masks of the last basis, likewise

    def fill(self, z: Tensor, opposite: Tensor, value: float) -> None:
        for i, tile in enumerate((z, opposite)):
            if len(self.targets[i]):
                tile.view(-1)[self.targets[i]] = value
            if self.past is not None:
                q, p = self.past[i].shape
                tile.view(q, -1, p, tile.shape[1])[:, -1].masked_fill_(self.past[i][:, :, None], value)


def _target_places(labels: Tensor, first: int, count: int, d: int, q: int) -> tuple[Tensor, Tensor]:
    """Where the targets of a tile are: of its samples' `labels` those in `count` bases from `first`."""
    basis, row = labels // (2 * d) - first, labels % d
    line = (row % q * count + basis) * (d // q) + row // q
    place = line * len(labels) + torch.arange(len(labels), device=labels.device)
    inside, opposite = (basis >= 0) & (basis < count), labels // d % 2 == 1
    return place[inside & ~opposite], place[inside & opposite]


def _past(num_classes: int, d: int, q: int, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Masks (q, p) of the last basis: rows, and opposites, past the last class; None where there are none."""
    left = num_classes % (2 * d)
    row = torch.arange(d, device=device).view(d // q, q).mT
    return (row >= left, row + d >= left) if left else None


@torch.library.custom_op("neucollapse::signed_bases_negatives", mutates_args=())
def signed_bases_negatives(
    x: Tensor,
    signs: Tensor,
    labels: Tensor,
    scale: Tensor,
    num_classes: int,
    axes: bool,
    samples: int,
    bases: int,
    with_mean: bool,
) -> tuple[Tensor, Tensor]:
    """LSE_neg (B,) and mean negatives (B, d), as `losses/_tiles.py` defines them, in tiles of samples x bases.

    `x` (B, d) has unit rows; `signs` (bases, d) are those of all bases but the axes. Without `with_mean` the means are
    empty (0, d).
    """
    B, d = x.shape
    Hp, Hq = factors(d, x)
    signs = signs.to(x.dtype)
    X = _columns((scale * d**-0.5) * x, Hp, Hq)
    sizes, past = _group_sizes(len(signs), axes, bases), _past(num_classes, d, len(Hq), x.device)
    chunks = [slice(first, min(first + samples, B)) for first in range(0, B, samples)]
    sums = _Sums(X, needs_maximum(float(scale), num_classes, x.dtype))
    z_tile, spare_tile = x.new_empty(2, max(count for _, count in sizes) * d * min(samples, B))
    for i, (first, count) in enumerate(sizes):
        start = first - int(axes)
        group = _Group(count, _signed(Hp, Hq, signs[start : start + count]) if start >= 0 else None)
        for chunk in chunks:
            z, spare = group.logits(X[:, :, chunk], Hq, (z_tile, spare_tile))
            targets = _target_places(labels[chunk], first, count, d, len(Hq))
            absent = _Absent(targets, past if i == len(sizes) - 1 else None)
            difference = sums.add(z, spare, absent, chunk)
            if with_mean:
                group.add_directions(sums.means[:, :, chunk], difference, spare, Hq)
    lse = sums.sums.log() + sums.maximum
    if not with_mean:
        return lse, x.new_empty(0, d)
    means = sums.means.mul_(d**-0.5 / sums.sums.where(sums.sums > 0, 1))
    return lse, means.transpose(0, 1).reshape(d, B).mT.contiguous()


@signed_bases_negatives.register_fake
def _(x, _signs, _labels, _scale, _num_classes, _axes, _samples, _bases, with_mean):
    return x.new_empty(len(x)), x.new_empty(len(x) if with_mean else 0, x.shape[1])


def _setup_context(ctx, inputs, output) -> None:
    x, _, _, scale, *_, ctx.with_mean = inputs
    _, means = output
    ctx.mark_non_differentiable(means)
    ctx.save_for_backward(x, scale, means)


def _backward(ctx, grad_lse, _grad_means):
    x, scale, means = ctx.saved_tensors
    grad_x = grad_scale = None
    if ctx.with_mean:
        grad_x = (scale * grad_lse)[:, None] * means
        grad_scale = (grad_lse * (x * means).sum(dim=1)).sum()
    return grad_x, None, None, grad_scale, None, None, None, None, None


signed_bases_negatives.register_autograd(_backward, setup_context=_setup_context)
for _device in ("cpu", "cuda"):
    signed_bases_negatives.register_autocast(_device, torch.float32)


def code_lse(
    x: Float[Tensor, "n d"],
    signs: Float[Tensor, "bases d"],
    labels: Int[Tensor, " n"],
    scale: Float[Tensor, ""],
    num_classes: int,
    axes: bool,
    tile: tuple[int, int] | None = None,
) -> Float[Tensor, " n"]:
    """LSE_neg over the first `num_classes` classes, in memory O(tile + n d); one derivative."""
    samples = min(len(x), _SAMPLES)
    samples, bases = tile or (max(samples, 1), max(1, _ELEMENTS // (max(samples, 1) * x.shape[1])))
    with_mean = torch.is_grad_enabled() and (x.requires_grad or scale.requires_grad)
    return signed_bases_negatives(x, signs, labels, scale, num_classes, axes, samples, bases, with_mean)[0]
