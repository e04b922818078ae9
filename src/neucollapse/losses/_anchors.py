"""Class directions as anchors of a contrast with the samples of a batch: what NTCE and NONL share."""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .._types import Float, Int
from ._normalised import normalised
from ._rows import logsumexp, result_type

_TILE = 2**19  # cosines of a block of classes with all samples: 2 MB in float32


def contrasts(
    features: Float[Tensor, "n d"], weight: Float[Tensor, "K d"], labels: Int[Tensor, " n"], scale: float | int | Tensor
) -> tuple[Float[Tensor, " n"], Float[Tensor, " C"], Int[Tensor, " n"]]:
    r"""For samples of C classes: target logits, the LSE of the negatives of each class, the class of each sample.

    $$ t_i = s \langle u_{y_i}, x_i \rangle, \qquad
       \mathrm{LSE}_c = \log \sum_{j : y_j \ne c} e^{s \langle u_c, x_j \rangle} $$

    with all rows brought to the unit sphere; -inf where there is no other class. Both float64: the targets, O(n d), are
    computed in it, because a class is learned from their differences; the cosines with negatives are in
    the type of features and weight, and held a block of classes at a time.
    """
    present, y = labels.unique(return_inverse=True)
    x, u = normalised(features.double()), normalised(weight.index_select(0, present).double())
    targets = scale * (x * u.index_select(0, y)).sum(dim=1)
    result = result_type(features, weight)
    with torch.autocast(x.device.type, enabled=False):
        narrow, anchors = x.to(result), scale * u.to(result)
        block = max(1, _TILE // max(1, len(x)))
        lse = [
            checkpoint(_negatives, anchors[start : start + block], narrow, y, start, use_reentrant=False)
            for start in range(0, len(present), block)
        ]
    return targets, torch.cat(lse).double() if lse else targets.new_zeros(0), y


def _negatives(
    anchors: Float[Tensor, "c d"], x: Float[Tensor, "n d"], y: Int[Tensor, " n"], start: int
) -> Float[Tensor, " c"]:
    own = torch.arange(start, start + len(anchors), device=y.device)[:, None] == y
    return logsumexp((anchors @ x.mT).masked_fill(own, -torch.inf))


def spread(targets: Float[Tensor, " n"], y: Int[Tensor, " n"], num_classes: int) -> Float[Tensor, " C"]:
    """Logarithm of the sum over each class of the exponentials of its targets."""
    largest = targets.new_full((num_classes,), -torch.inf).scatter_reduce(0, y, targets.detach(), "amax")
    sums = targets.new_zeros(num_classes).index_add(0, y, (targets - largest[y]).exp())
    return sums.log() + largest
