"""NTCE: each class direction is contrasted with all samples of the batch."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ._anchors import anchored_rows, contrasts, spread
from ._directions import DirectionLoss
from ._log_odds import softplus
from ._rows import Labels

if TYPE_CHECKING:
    from ..heads import Head


def ntce(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | int | Tensor = 10.0,
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy in which the class direction is the anchor, and the M samples of the batch are the choices.

    .. math:: \ell_i = -\log \frac{\exp(s \cos(w_{y_i}, x_i))}{\sum_{j=1}^{M} \exp(s \cos(w_{y_i}, x_j))}

    NormFace contrasts a sample with K class directions; here a direction is contrasted with M samples. The samples of its
    own class are among the choices, so that the loss is not 0 at collapse. It is computed as two parts, each of which
    vanishes as its own goal is reached: with :math:`t_j = s \cos(w_{y_i}, x_j)` and :math:`P_i` the samples of the label,

    .. math:: \ell_i = \Big[\log \sum_{j \in P_i} e^{t_j} - t_i \Big]
              + \log\Big(1 + \sum_{j \notin P_i} e^{t_j} \Big/ \sum_{j \in P_i} e^{t_j}\Big)

    the first, the spread of a class, in float64. Its gradient is then exact near collapse, where it is made of differences
    of nearly equal shares.

    Range: from 0 up; :math:`\log(n + (K-1)\, n\, e^{-sK/(K-1)})` at exact collapse of K classes of n samples on the simplex.
    It depends on the batch: the more samples, the larger.

    Args:
        features: ``(..., d)``, of any length; all samples that count are choices.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        weight: ``(K, d)``, one row a class, of any length. Rows of classes that are not in the batch get no gradient.
        scale: :math:`s`, the inverse temperature; a number or a scalar tensor, which may be trained. The authors' README
            trains at 10.
        reduction: ``"mean"`` over the samples not ignored (NaN when there are none), ``"sum"`` or ``"none"``.
        ignore_index: label of samples that neither count nor are contrasted with, whatever their features.
        sample_weights: ``(...)``, at least 0, by which the loss of each sample is multiplied; a sample of weight 0 is still
            contrasted with.
        class_weights: ``(K,)``, at least 0: likewise, by the label.
        denominator: what ``"mean"`` divides by; None for the number of samples that count, or the sum of their weights.

    Returns:
        A scalar, or losses ``(...)`` with 0 at ignored samples for ``"none"``; at least float32.

    Raises:
        InputError: shapes that do not fit, labels out of range, a scale that is not positive, an unknown reduction.

    References:
        Koromilas et al., "Neural Collapse by Design: Learning Class Prototypes on the Hypersphere", arXiv 2605.20302; the
        formula as in the authors' code.

    Example:
        >>> import torch
        >>> x = torch.eye(2)
        >>> round(ntce(x, torch.tensor([0, 1]), x).item(), 7)  # log(1 + e^-10)
        4.54e-05
    """
    rows = anchored_rows(features, weight, labels, ignore_index, sample_weights, class_weights, scale=scale)
    targets, negatives, y = contrasts(rows.take(features), weight, rows.labels, scale)
    # Found twice, since a gradient of 1 - p, with p the share of the negatives, would lose a small p; of one sample exactly 0.
    own, again = spread(targets, y, len(negatives)), spread(targets, y, len(negatives))
    several = torch.bincount(y, minlength=len(negatives)).index_select(0, y) > 1
    gaps = (own.index_select(0, y) - targets).where(several, 0)
    losses = gaps + softplus(negatives - again).index_select(0, y)
    return rows.reduce(losses, reduction, denominator).to(torch.promote_types(features.dtype, torch.float32))


class NTCE(DirectionLoss):
    """NTCE: ``loss(features, labels, head=None)``. See :func:`ntce`.

    Without a head it owns class directions, ``.weight`` ``(num_classes, dim)``, a parameter to be optimised; with one it uses
    ``head.weight``, and ``head.scale`` where the head has one.

    Args:
        dim: d, and ``num_classes``: K, of a weight of its own; neither, and a head is required.
        num_classes: see ``dim``.
        scale: :math:`s`, where no head brings its own.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        ignore_index: label of samples that do not count.
        class_weights: ``(K,)``, or None; weights of samples and a denominator are given at each call.

    Example:
        >>> import torch
        >>> loss = NTCE(dim=3, num_classes=10)
        >>> loss.weight.shape, loss(torch.randn(4, 3), torch.tensor([0, 1, 2, 9])).shape
        (torch.Size([10, 3]), torch.Size([]))
    """

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float | int = 10.0,
        reduction: str = "mean",
        ignore_index: int = -100,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(
            dim, num_classes, scale, reduction=reduction, ignore_index=ignore_index, class_weights=class_weights
        )

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
        return ntce(features, labels, weight, scale=scale, **self.row_options(sample_weights, denominator))
