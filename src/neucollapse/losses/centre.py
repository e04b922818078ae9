"""Centre loss: features are drawn to a centre of their class."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .._errors import InputError
from ._labels import check_labels, reduce

if TYPE_CHECKING:
    from ..heads import Head


def centre_loss(
    features: Tensor,
    labels: Tensor,
    centres: Tensor,
    reduction: str = "mean",
    centre_gradient: str = "averaged",
    ignore_index: int = -100,
) -> Tensor:
    r"""Half the squared distance of each feature to the centre of its class.

    .. math:: \ell_i = \tfrac12 |x_i - c_{y_i}|^2

    Range: from 0, reached when every feature is its centre, up. Lengths count: neither is normalised. Alone it is
    least when all features and centres are one point, so it is used beside a loss that separates classes.

    The paper does not move a centre by the gradient: class j moves by
    :math:`\Delta c_j = \sum_{i : y_i = j} (c_j - x_i) / (1 + n_j)`, whatever the size of the batch, at a rate of its own,
    0.5. ``"averaged"`` gives that as the gradient of the centres, so that SGD with this rate is the paper's rule.

    Args:
        features: ``(..., d)``, floating.
        labels: ``(...)``, integers in ``[0, K)`` or ``ignore_index``.
        centres: ``(K, d)``.
        reduction: ``"mean"`` over the samples not ignored (0 without any), ``"sum"`` or ``"none"``.
        centre_gradient: ``"averaged"``, the paper's rule, or ``"exact"``, the derivative of the value returned.
        ignore_index: label of samples that do not count.

    Returns:
        A scalar, or losses ``(...)`` with 0 at ignored samples for ``"none"``; at least float32.

    Raises:
        InputError: shapes that do not fit, labels out of range, an unknown reduction or rule.

    References:
        Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016, equations 2 and 4.

    Example:
        >>> import torch
        >>> centres = torch.zeros(2, 2, requires_grad=True)
        >>> loss = centre_loss(torch.tensor([[3.0, 4.0]]), torch.tensor([1]), centres)
        >>> loss.backward()
        >>> loss.item(), centres.grad[1].tolist()
        (12.5, [-1.5, -2.0])
    """
    if centres.dim() != 2 or features.dim() < 1 or features.shape[-1] != centres.shape[1]:
        raise InputError(
            f"expected features (..., d) and centres (K, d) with one d, "
            f"got {tuple(features.shape)} and {tuple(centres.shape)}"
        )
    if not features.is_floating_point() or not centres.is_floating_point():
        raise InputError(f"expected floating features and centres, got {features.dtype} and {centres.dtype}")
    if centre_gradient not in ("averaged", "exact"):
        raise InputError(f"expected centre_gradient 'averaged' or 'exact', got {centre_gradient!r}")
    counted = check_labels(labels, features.shape[:-1], len(centres), ignore_index)
    result = torch.promote_types(torch.promote_types(features.dtype, centres.dtype), torch.float32)
    x, y = features[counted].to(result), labels[counted].long()
    c = centres.to(result)[y]
    if centre_gradient == "averaged":
        c = c.detach() + _averaged(y, len(centres), reduction).to(result)[:, None] * (c - c.detach())
    losses = 0.5 * (x - c).square().sum(dim=1)
    if reduction == "mean":
        return losses.sum() / counted.sum().clamp(min=1)
    return reduce(losses.new_zeros(labels.shape).masked_scatter(counted, losses), counted, reduction)


def _averaged(labels: Tensor, num_classes: int, reduction: str) -> Tensor:
    """What the gradient of the centre of each sample is multiplied with, so that class j gets 1 / (1 + n_j)."""
    counts = torch.bincount(labels, minlength=num_classes)[labels]
    return (len(labels) if reduction == "mean" else 1) / (1 + counts.double())


class Centre(nn.Module):
    r"""Centre loss: ``loss(features, labels)`` with centres of its own. See :func:`centre_loss`.

    ``Centre()`` without sizes takes a head at each call, whose weight rows are the centres; a head given to a loss that
    has its own takes their place for that call.

    Args:
        num_classes: K, for centres of its own.
        dim: d, likewise.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        centre_gradient: ``"averaged"`` or ``"exact"``.
        ignore_index: label of samples that do not count.

    Attributes:
        weight: the centres ``(K, d)``, a parameter that starts at zero, or None.

    Example:
        >>> import torch
        >>> loss = Centre(num_classes=2, dim=2)
        >>> loss(torch.tensor([[3.0, 4.0]]), torch.tensor([1])).item()
        12.5
    """

    def __init__(
        self,
        num_classes: int | None = None,
        dim: int | None = None,
        reduction: str = "mean",
        centre_gradient: str = "averaged",
        ignore_index: int = -100,
    ) -> None:
        super().__init__()
        if (num_classes is None) != (dim is None):
            raise InputError(f"expected both num_classes and dim, or neither, got {num_classes} and {dim}")
        self.weight = None if num_classes is None or dim is None else nn.Parameter(torch.zeros(num_classes, dim))
        self.reduction, self.centre_gradient, self.ignore_index = reduction, centre_gradient, ignore_index

    def forward(self, features: Tensor, labels: Tensor, head: "Head | None" = None) -> Tensor:
        """The loss of ``features`` ``(..., d)`` with ``labels`` ``(...)``."""
        centres = self.weight if head is None else head.weight
        if centres is None:
            raise InputError(
                "the centre loss without num_classes and dim expected a head, whose weight are its centres"
            )
        return centre_loss(features, labels, centres, self.reduction, self.centre_gradient, self.ignore_index)
