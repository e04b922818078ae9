r"""Sums of :math:`e^{z_{ij}}` over wrong classes in tiles of samples x classes, so that no (B, K) buffer ever exists.

With unit features :math:`x_i`, unit class directions :math:`u_j` and :math:`z_{ij} = s \langle x_i, u_j \rangle`, one sweep
finds for every sample

.. math:: \mathrm{LSE}_i = \log \sum_{j \ne y_i} e^{z_{ij}}, \qquad
          a_i = \sum_{j \ne y_i} p_{ij} u_j, \quad p_{ij} = e^{z_{ij} - \mathrm{LSE}_i}.

The mean direction :math:`a_i` of its negatives is all that gradients of features and scale need; weights need a second
sweep. Trained weights cost four products of (B, d) and (d, K), a head that is not trained two.

Both sweeps are custom operations: ``torch.compile`` and autocast see one node each. They can be differentiated once.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

_ELEMENTS = 2**20  # of a tile: 4 MB in float32, which caches still hold; smaller products are slower


def tile_shape(B: int, K: int, elements: int = _ELEMENTS) -> tuple[int, int]:
    """Samples and classes of a tile of at most ``elements`` that moves the fewest bytes.

    A tile reads its features and reads and writes their sums (3 d a sample); its classes are read once and their
    gradients read and written (2 d a class, as directions stay in cache). The sweep moves ``B K d (3 / classes +
    2 / samples)``, least near a square tile: all samples and a block of classes when K is large (class-major), all
    classes and a block of samples when it is small (row-major).
    """
    samples = max(1, min(B, math.isqrt(elements * 2 // 3)))
    classes = min(K, max(1, elements // samples))
    return max(1, min(B, elements // classes)), classes


def _blocks(n: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, n)) for start in range(0, n, size))


def directions_and_lengths(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Unit rows, and the lengths (n, 1) they had; a zero row stays zero. As ``unit_rows``, outside autograd."""
    norm = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
    low, high = norm.aminmax()
    least = torch.finfo(weight.dtype).tiny ** 0.5
    if 1e4 * least < low and high < 1e-4 / least:  # no square leaves the range of the type: one pass is enough
        return weight / norm, norm
    largest = weight.abs().amax(dim=1, keepdim=True)
    scaled = weight / largest.where(largest > 0, 1)
    norm = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    return scaled.div_(norm.where(norm > 0, 1)), largest * norm


def needs_maximum(scale: float, K: int, dtype: torch.dtype) -> bool:
    """Whether sums of K terms from e^-s to e^s leave the range of the type, so that a running maximum must be taken out."""
    return scale + math.log(K) > -math.log(torch.finfo(dtype).tiny) - 7  # 7: small components of u_j keep their digits


def _logits(a: Tensor, b: Tensor, buffer: Tensor) -> Tensor:
    """``a @ b.T`` in the buffer."""
    return torch.mm(a, b.mT, out=buffer[: len(a) * len(b)].view(len(a), len(b)))


def _targets(labels: Tensor, start: int, classes: int) -> tuple[Tensor, Tensor]:
    """The samples whose target is among the classes from ``start``, and its place there."""
    samples = ((labels >= start) & (labels < start + classes)).nonzero().squeeze(1)
    return samples, labels[samples] - start


@torch.library.custom_op("neucollapse::spherical_negatives", mutates_args=())
def spherical_negatives(
    x: Tensor, weight: Tensor, labels: Tensor, scale: Tensor, samples: int, classes: int, with_mean: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Target rows of the weight (B, d), LSE_neg (B,), mean negatives (B, d), the sum of all directions (d,).

    ``x`` (B, d) has unit rows; ``weight`` (K, d) rows of any length. Without ``with_mean`` the means are empty (0, d).
    """
    (B, d), K = x.shape, len(weight)
    running = needs_maximum(float(scale), K, x.dtype)
    maximum = x.new_full((B, 1), -torch.inf) if running else x.new_zeros((B, 1))
    sums, direction_sum = x.new_zeros(B), x.new_zeros(d)
    means = x.new_zeros(B if with_mean else 0, d)
    buffer = x.new_empty(min(B, samples) * min(K, classes))
    scaled = scale * x
    for start, stop in _blocks(K, classes):
        U, _ = directions_and_lengths(weight[start:stop])
        direction_sum += U.sum(dim=0)
        for first, last in _blocks(B, samples):
            z = _logits(scaled[first:last], U, buffer)
            z[_targets(labels[first:last], start, stop - start)] = -torch.inf
            if running:
                new = torch.maximum(maximum[first:last], z.amax(dim=1, keepdim=True))
                shift = new.where(new > -torch.inf, 0)  # -inf: nothing but the target so far
                shrink = (maximum[first:last] - shift).exp_()
                sums[first:last] *= shrink.squeeze(1)
                if with_mean:
                    means[first:last] *= shrink
                maximum[first:last] = new
                z.sub_(shift)
            z.exp_()
            sums[first:last] += z.sum(dim=1)
            if with_mean:
                means[first:last].addmm_(z, U)
    if with_mean:
        means /= sums.where(sums > 0, 1)[:, None]
    return weight[labels], sums.log() + maximum.squeeze(1), means, direction_sum


@spherical_negatives.register_fake
def _(x, _weight, _labels, _scale, _samples, _classes, with_mean):
    B, d = x.shape
    return x.new_empty(B, d), x.new_empty(B), x.new_empty(B if with_mean else 0, d), x.new_empty(d)


def weight_gradient_blocks(
    x: Tensor,
    weight: Tensor,
    labels: Tensor,
    scale: Tensor,
    lse: Tensor,
    grads: tuple[Tensor, Tensor, Tensor],
    tile: tuple[int, int],
) -> Iterator[tuple[int, int, Tensor]]:
    """``(start, stop, gradient of weight[start:stop])``, block after block; the last word on a block when it is yielded.

    ``grads`` are those of the target rows, LSE_neg and the sum of directions. An update of the weights that consumes the
    blocks in place never holds a (K, d) gradient.
    """
    grad_rows, grad_lse, grad_sum = grads
    B, K, (samples, classes) = len(x), len(weight), tile
    running = needs_maximum(float(scale), K, x.dtype)
    scaled = scale * x
    # e^z is left as it is wherever it fits, and its factor goes to the features: no pass over the tile is spent on it.
    factor = grad_lse if running else grad_lse * (-lse).exp().where(lse > -torch.inf, 0)
    weighted = factor[:, None] * scaled
    buffer = x.new_empty(min(B, samples) * min(K, classes))
    order = labels.argsort()
    bounds = torch.searchsorted(labels[order], torch.arange(0, K + classes, classes, device=x.device)).tolist()
    for (start, stop), low, high in zip(_blocks(K, classes), bounds, bounds[1:], strict=False):
        U, length = directions_and_lengths(weight[start:stop])
        G = grad_sum if B else grad_sum.repeat(stop - start, 1)  # broadcast by the first product, where there is one
        for first, last in _blocks(B, samples):
            z = _logits(U, scaled[first:last], buffer)  # classes x samples: products without a transpose are faster
            place, target = _targets(labels[first:last], start, stop - start)
            z[target, place] = -torch.inf
            if running:
                z.sub_(lse[first:last])
            G = torch.addmm(G, z.exp_(), weighted[first:last])
        # Through the normalisation: the tangential part, over the length; a zero row has no direction to turn.
        G.addcmul_(U, torch.linalg.vecdot(G, U)[:, None], value=-1)
        G.div_(length.where(length > 0, torch.inf))
        mine = order[low:high]
        yield start, stop, G.index_add_(0, labels[mine] - start, grad_rows[mine])


@torch.library.custom_op("neucollapse::spherical_weight_gradient", mutates_args=())
def spherical_weight_gradient(
    x: Tensor,
    weight: Tensor,
    labels: Tensor,
    scale: Tensor,
    lse: Tensor,
    grad_rows: Tensor,
    grad_lse: Tensor,
    grad_sum: Tensor,
    samples: int,
    classes: int,
) -> Tensor:
    """Gradient (K, d) of the weights, from the gradients of what ``spherical_negatives`` returned."""
    gradient = torch.empty_like(weight)
    grads = grad_rows, grad_lse, grad_sum
    for start, stop, block in weight_gradient_blocks(x, weight, labels, scale, lse, grads, (samples, classes)):
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
    _, lse, means, _ = output
    ctx.mark_non_differentiable(means)
    ctx.save_for_backward(x, weight, labels, scale, lse, means)


def _backward(ctx, grad_rows, grad_lse, _grad_means, grad_sum):
    x, weight, labels, scale, lse, means = ctx.saved_tensors
    grad_x, grad_scale = feature_and_scale_gradients(x, scale, means, grad_lse)
    grad_weight = None
    if ctx.needs_input_grad[1]:
        grad_weight = spherical_weight_gradient(
            x, weight, labels, scale, lse, grad_rows, grad_lse, grad_sum, ctx.samples, ctx.classes
        )
    return grad_x, grad_weight, None, grad_scale, None, None, None


spherical_negatives.register_autograd(_backward, setup_context=_setup_context)
for _device in ("cpu", "cuda"):
    spherical_negatives.register_autocast(_device, torch.float32)
    spherical_weight_gradient.register_autocast(_device, torch.float32)
