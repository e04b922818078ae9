# pyright: standard
# Compiled functions and custom operators have no types to check: numba and torch find them out.
r"""Sums of $e^{z_{ij}}$ over wrong classes in tiles of samples x classes, so that no (B, K) buffer ever exists.

With unit features $x_i$, unit class directions $u_j$ and $z_{ij} = s \langle x_i, u_j \rangle$, one sweep
finds for every sample

$$ \mathrm{LSE}_i = \log \sum_{j \ne y_i} e^{z_{ij}}, \qquad
   a_i = \sum_{j \ne y_i} p_{ij} u_j, \quad p_{ij} = e^{z_{ij} - \mathrm{LSE}_i}. $$

The mean direction $a_i$ of its negatives is all that gradients of features and scale need; weights need a second
sweep. Trained weights cost four products of (B, d) and (d, K), a head that is not trained two.

Both sweeps are custom operations: `torch.compile` and autocast see one node each. They can be differentiated once.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ._row_work import RowWork, row_work

_ELEMENTS = 7 * 2**16  # of a tile: 1.8 MB in float32; smaller products are slower, and rows of a power of two as well
_ROW_ELEMENTS = 2**20  # of gradients that are yielded together, as many tiles of classes as fit; of directions, at most


def tile_shape(B: int, K: int, elements: int = _ELEMENTS) -> tuple[int, int]:
    """Samples and classes of a tile of at most `elements` that moves the fewest bytes.

    A tile reads its features and reads and writes their sums (3 d a sample); its classes are read once and their
    gradients read and written (2 d a class, as directions stay in cache). The sweep moves `B K d (3 / classes +
    2 / samples)`, least near a square tile: all samples and a block of classes when K is large (class-major), all
    classes and a block of samples when it is small (row-major).
    """
    samples = max(1, min(B, math.isqrt(elements * 2 // 3)))
    classes = min(K, max(1, elements // samples))
    return max(1, min(B, elements // classes)), classes


def _blocks(stop: int, size: int, start: int = 0) -> Iterator[tuple[int, int]]:
    return ((low, min(low + size, stop)) for low in range(start, stop, size))


def _first(rows: Tensor, n: int) -> Tensor:
    """The first n rows: the same tensor where these are all, as even a slice takes time between two products."""
    return rows if n == len(rows) else rows[:n]


def needs_maximum(scale: float, K: int, dtype: torch.dtype) -> bool:
    """Whether sums of K terms from e^-s to e^s leave the range of the type, so that a running maximum must be taken out."""
    return scale + math.log(K) > -math.log(torch.finfo(dtype).tiny) - 7  # 7: small components of u_j keep their digits


class _Tiles:
    """Blocks of samples and of classes, and the one buffer of logits that all tiles share.

    Targets are found once, by sorting labels: for each tile, their places in the buffer.
    """

    def __init__(
        self, labels: Tensor, K: int, d: int, tile: tuple[int, int], work: RowWork, like: Tensor, class_major: bool
    ) -> None:
        self.K, self.work, self.class_major = K, work, class_major
        most = max(1, _ROW_ELEMENTS // d)
        self.samples, self.classes = max(1, min(len(labels), tile[0])), min(K, tile[1], most)
        self.rows = min(K, most // self.classes * self.classes)
        self.buffer = like.new_empty(self.samples * self.classes)
        self.shape = (self.classes, self.samples) if class_major else (self.samples, self.classes)
        self.table = self.buffer.view(self.shape)
        self.targets = [self._sorted(some) for some in self.split(labels)]

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """What belongs to samples, by blocks of them; none where there are no samples."""
        return values.split(self.samples) if len(values) else ()

    def _sorted(self, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, list[int]]:
        y, order = labels.sort()
        place = y % self.classes
        flat = place * self.samples + order if self.class_major else order * self.classes + place
        edges = torch.arange(0, self.K + self.classes, self.classes, device=y.device)
        return order, y, flat, torch.searchsorted(y, edges).tolist()

    def logits(self, rows: Tensor, columns: Tensor, part: int, start: int) -> Tensor:
        """Products of features with the columns of classes from `start`, or of classes with those of features when
        class-major; -inf at the targets.
        """
        shape = (rows.shape[0], columns.shape[1])
        z = self.table if shape == self.shape else self.table[: shape[0], : shape[1]]
        torch.mm(rows, columns, out=z)
        _, _, flat, bounds = self.targets[part]
        place = start // self.classes
        low, high = bounds[place], bounds[place + 1]
        if low < high:
            self.work.exclude(self.buffer, flat, low, high)
        return z

    def add_rows(self, G: Tensor, rows: Tensor, start: int, stop: int) -> None:
        """Add to each of the classes from `start` the rows (of all samples) whose target it is."""
        for (order, y, _, bounds), some in zip(self.targets, self.split(rows), strict=True):
            low, high = bounds[start // self.classes], bounds[-(-stop // self.classes)]
            if low < high:
                G.index_add_(0, y[low:high] - start, some[order[low:high]])


@torch.library.custom_op("neucollapse::spherical_negatives", mutates_args=())
def spherical_negatives(
    x: Tensor, weight: Tensor, labels: Tensor, scale: Tensor, samples: int, classes: int, with_mean: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Target rows of the weight (B, d), LSE_neg (B,), mean negatives (B, d), sum of all directions (d,), lengths (K, 1).

    `x` (B, d) has unit rows; `weight` (K, d) rows of any length. Without `with_mean` the means are empty (0, d).
    """
    (B, d), K = x.shape, len(weight)
    running = needs_maximum(float(scale), K, x.dtype)
    maximum = x.new_full((B, 1), -torch.inf) if running else x.new_zeros((B, 1))
    sums, direction_sum = x.new_zeros(B), x.new_zeros(d)
    means, lengths = x.new_zeros(B if with_mean else 0, d), x.new_empty(K, 1)
    work = row_work(weight, lengths)
    tiles = _Tiles(labels, K, d, (samples, classes), work, x, class_major=False)
    directions = x.new_empty(tiles.classes, d)
    every_column = directions.T
    parts = list(zip(*map(tiles.split, (scale * x, sums, maximum, means if with_mean else sums)), strict=True))
    for start, stop in _blocks(K, tiles.classes):
        U = _first(directions, stop - start)
        columns = every_column if U is directions else U.T
        work.begin(start, stop, U, direction_sum)
        for part, (features, total, most, mean) in enumerate(parts):
            z = tiles.logits(features, columns, part, start)
            if running:
                new = torch.maximum(most, z.amax(dim=1, keepdim=True))
                shift = new.where(new > -torch.inf, 0)  # -inf: nothing but the target so far
                shrink = (most - shift).exp_()
                total *= shrink.squeeze(1)
                if with_mean:
                    mean *= shrink
                most.copy_(new)
                z.sub_(shift)
            work.exponentials(z, total)
            if with_mean:
                mean.addmm_(z, U)
    if with_mean:
        means /= sums.where(sums > 0, 1)[:, None]
    return weight[labels], sums.log() + maximum.squeeze(1), means, direction_sum, lengths


@spherical_negatives.register_fake
def _(x, weight, _labels, _scale, _samples, _classes, with_mean):
    (B, d), K = x.shape, len(weight)
    means = x.new_empty(B if with_mean else 0, d)
    return x.new_empty(B, d), x.new_empty(B), means, x.new_empty(d), x.new_empty(K, 1)


def weight_gradient_blocks(
    x: Tensor,
    weight: Tensor,
    labels: Tensor,
    scale: Tensor,
    lse: Tensor,
    lengths: Tensor,
    grads: tuple[Tensor, Tensor, Tensor],
    tile: tuple[int, int],
) -> Iterator[tuple[int, int, Tensor]]:
    """`(start, stop, gradient of weight[start:stop])`, block after block, in a buffer that the next block overwrites.

    `grads` are those of the target rows, LSE_neg and the sum of directions. An update of the weights that consumes the
    blocks in place never holds a (K, d) gradient.
    """
    grad_rows, grad_lse, grad_sum = grads
    K, d = weight.shape
    running = needs_maximum(float(scale), K, x.dtype)
    scaled = scale * x
    # e^z is left unchanged wherever it fits, and its factor goes to the features: no pass over the tile is spent on it.
    factor = grad_lse if running else grad_lse * (-lse).exp().where(lse > -torch.inf, 0)
    weighted = factor[:, None] * scaled
    smoothed, work = bool(grad_sum.any()), row_work(weight, lengths)
    # Classes x samples: products without a transpose are faster.
    tiles = _Tiles(labels, K, d, tile, work, x, class_major=True)
    directions, gradients = x.new_empty(tiles.classes, d), x.new_empty(tiles.rows, d)
    of_tile = gradients.split(tiles.classes)
    features = [some.T for some in tiles.split(scaled)]
    shift = lse.where(lse > -torch.inf, 0)  # -inf: no class but the target
    parts = list(zip(features, tiles.split(weighted), tiles.split(shift), strict=True))
    # Backwards: caches still hold the last rows of the first sweep, and the next step begins with the first.
    for start, stop in reversed(list(_blocks(K, tiles.rows))):
        for low, high in reversed(list(_blocks(stop, tiles.classes, start))):
            U, G = _first(directions, high - low), _first(of_tile[(low - start) // tiles.classes], high - low)
            work.directions(low, high, U)
            for part, (columns, factors, own) in enumerate(parts):
                z = tiles.logits(U, columns, part, low)
                if running:
                    z.sub_(own)
                G.addmm_(work.exponentials(z), factors, beta=part > 0)
            if not parts:
                G.zero_()
            if smoothed:
                G += grad_sum
            work.to_tangent(low, high, G, U)
        block = gradients[: stop - start]
        tiles.add_rows(block, grad_rows, start, stop)
        yield start, stop, block


@torch.library.custom_op("neucollapse::spherical_weight_gradient", mutates_args=())
def spherical_weight_gradient(
    x: Tensor,
    weight: Tensor,
    labels: Tensor,
    scale: Tensor,
    lse: Tensor,
    lengths: Tensor,
    grad_rows: Tensor,
    grad_lse: Tensor,
    grad_sum: Tensor,
    samples: int,
    classes: int,
) -> Tensor:
    """Gradient (K, d) of the weights, from the gradients of what `spherical_negatives` returned."""
    gradient = torch.empty_like(weight)
    grads = grad_rows, grad_lse, grad_sum
    tile = samples, classes
    for start, stop, block in weight_gradient_blocks(x, weight, labels, scale, lse, lengths, grads, tile):
        gradient[start:stop] = block
    return gradient


@spherical_weight_gradient.register_fake
def _(_x, weight, *_):
    return torch.empty_like(weight)


def feature_and_scale_gradients(
    x: Tensor, scale: Tensor, means: Tensor, grad_lse: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """From that of LSE_neg, where the means of the negatives were kept."""
    if len(means) < len(x):
        return None, None
    return (scale * grad_lse)[:, None] * means, (grad_lse * (x * means).sum(dim=1)).sum()


def _setup_context(ctx, inputs, output) -> None:
    x, weight, labels, scale, ctx.samples, ctx.classes, _ = inputs
    _, lse, means, _, lengths = output
    ctx.mark_non_differentiable(means, lengths)
    ctx.save_for_backward(x, weight, labels, scale, lse, means, lengths)


def _backward(ctx, grad_rows, grad_lse, _grad_means, grad_sum, _grad_lengths):
    x, weight, labels, scale, lse, means, lengths = ctx.saved_tensors
    grad_x, grad_scale = feature_and_scale_gradients(x, scale, means, grad_lse)
    grad_weight = None
    if ctx.needs_input_grad[1]:
        grad_weight = spherical_weight_gradient(
            x, weight, labels, scale, lse, lengths, grad_rows, grad_lse, grad_sum, ctx.samples, ctx.classes
        )
    return grad_x, grad_weight, None, grad_scale, None, None, None


spherical_negatives.register_autograd(_backward, setup_context=_setup_context)
for _device in ("cpu", "cuda"):
    spherical_negatives.register_autocast(_device, torch.float32)
    spherical_weight_gradient.register_autocast(_device, torch.float32)
