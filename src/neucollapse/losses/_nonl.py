"""NONL: the pull to the class direction, and its contrast with the samples of other classes alone."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .._errors import InputError
from ._anchors import anchored_rows, contrasts
from ._directions import DirectionLoss
from ._rows import Labels
from ._statistics import spherical_statistics
from ._unit_rows import unit_rows

if TYPE_CHECKING:
    from ..heads import Head

ANCHORS = ("class", "sample")


def nonl(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | int | Tensor = 10.0,
    anchor: str = "class",
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""The contrast of a class direction with the batch, normalised over negatives only.

    .. math:: \ell_i = -s \cos(w_{y_i}, x_i) + \log \sum_{j : y_j \ne y_i} e^{s \cos(w_{y_i}, x_j)}

    This is NTCE with the samples of the own class taken out of the sum: attraction and repulsion no longer share a
    denominator. The pull on a sample does not fade as it arrives, so that the loss has no terminal phase.

    With ``anchor="sample"`` the sum is over the wrong classes of a sample instead, :math:`\sum_{j \ne y_i}
    e^{s \cos(w_j, x_i)}`: the loss is then the log-odds m of NormFace, whose cross-entropy is :math:`\log(1 + e^m)`, and
    needs no other sample. The authors' code has it as an option; their results are those of ``"class"``.

    Range: all reals, below 0 where samples are far on the right side; at exact collapse of K classes of n samples on the
    simplex :math:`\log((K-1) n) - sK/(K-1)`, for ``"sample"`` without the n.

    Args:
        features: ``(..., d)``, of any length.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        weight: ``(K, d)``, one row a class, of any length.
        scale: :math:`s`, the inverse temperature; a number or a scalar tensor, which may be trained. The authors' README
            trains at 10.
        anchor: ``"class"`` or ``"sample"``.
        reduction: ``"mean"`` over the samples not ignored (NaN when there are none), ``"sum"`` or ``"none"``.
        ignore_index: label of samples that neither count nor are contrasted with, whatever their features.
        sample_weights: ``(...)``, at least 0, by which the loss of each sample is multiplied; a sample of weight 0 is still
            contrasted with.
        class_weights: ``(K,)``, at least 0: likewise, by the label.
        denominator: what ``"mean"`` divides by; None for the number of samples that count, or the sum of their weights.

    Returns:
        A scalar, or losses ``(...)`` with 0 at ignored samples for ``"none"``; at least float32. In a batch of one class
        (with K = 1, for ``"sample"``) nothing is to be repelled, and the second term is 0 instead of minus infinity.

    Raises:
        InputError: shapes that do not fit, labels out of range, a scale that is not positive, an unknown anchor or reduction.

    References:
        Koromilas et al., "Neural Collapse by Design: Learning Class Prototypes on the Hypersphere", arXiv 2605.20302; the
        formula as in the authors' code with its options for this loss, ``--normalize --symmetric``. A batch of one class is
        our definition: there the authors' loss is minus infinity.

    Example:
        >>> import torch
        >>> x = torch.eye(2)
        >>> nonl(x, torch.tensor([0, 1]), x).item()
        -10.0
    """
    if anchor not in ANCHORS:
        raise InputError(f"expected anchor {' or '.join(map(repr, ANCHORS))}, got {anchor!r}")
    rows = anchored_rows(features, weight, labels, ignore_index, sample_weights, class_weights, scale=scale)
    x, y = rows.take(features), rows.labels
    if anchor == "class":
        targets, negatives, place = contrasts(x, weight, y, scale)
        negatives = negatives.index_select(0, place)
    else:
        result = torch.promote_types(torch.promote_types(x.dtype, weight.dtype), torch.float32)
        cosines, negatives = spherical_statistics(unit_rows(x.to(result)), y, weight.to(result), scale=scale)
        targets = scale * cosines
    losses = negatives.where(negatives > -torch.inf, 0) - targets
    return rows.reduce(losses, reduction, denominator).to(torch.promote_types(features.dtype, torch.float32))


class NONL(DirectionLoss):
    """NONL: ``loss(features, labels, head=None)``. See :func:`nonl`.

    Without a head it owns class directions, ``.weight`` ``(num_classes, dim)``, a parameter to be optimised; with one it uses
    ``head.weight``, and ``head.scale`` where the head has one.

    Args:
        dim: d, and ``num_classes``: K, of a weight of its own; neither, and a head is required.
        num_classes: see ``dim``.
        scale: :math:`s`, where no head brings its own.
        anchor: ``"class"`` or ``"sample"``.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        ignore_index: label of samples that do not count.
        class_weights: ``(K,)``, or None; weights of samples and a denominator are given at each call.

    Example:
        >>> import torch
        >>> loss = NONL(dim=3, num_classes=10)
        >>> loss.weight.shape, loss(torch.randn(4, 3), torch.tensor([0, 1, 2, 9])).shape
        (torch.Size([10, 3]), torch.Size([]))
    """

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float | int = 10.0,
        anchor: str = "class",
        reduction: str = "mean",
        ignore_index: int = -100,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(
            dim, num_classes, scale, reduction=reduction, ignore_index=ignore_index, class_weights=class_weights
        )
        if anchor not in ANCHORS:
            raise InputError(f"expected anchor {' or '.join(map(repr, ANCHORS))}, got {anchor!r}")
        self.anchor = anchor

    def forward(
        self,
        features: Tensor,
        labels: Labels,
        head: "Head | None" = None,
        *,
        sample_weights: Tensor | None = None,
        denominator: float | int | Tensor | None = None,
    ) -> Tensor:
        """The loss of features ``(..., d)`` with labels ``(...)``."""
        weight, scale = self.directions(head), self.scale_of(head)
        options = self.row_options(sample_weights, denominator)
        return nonl(features, labels, weight, scale=scale, anchor=self.anchor, **options)
