"""NTCE: each class direction is contrasted with all samples of the batch."""

from typing import Unpack

import torch
from torch import Tensor

from .._names import names_options
from ._anchors import contrasts, spread
from ._log_odds import softplus
from ._module import DirectionLoss, HeadLike, ModuleOptions
from ._rows import Labels, RowOptions, result_type, rows_of
from ._scale import check_scale


@names_options
def ntce(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | int | Tensor = 10.0,
    **options: Unpack[RowOptions],
) -> Tensor:
    r"""Cross-entropy in which the class direction is the anchor, and the M samples of the batch are the choices.

    $$ \ell_i = -\log \frac{\exp(s \cos(w_{y_i}, x_i))}{\sum_{j=1}^{M} \exp(s \cos(w_{y_i}, x_j))} $$

    NormFace contrasts a sample with K class directions; here a direction is contrasted with M samples. The samples of its
    class are among the choices, so that the loss is not 0 at collapse. It is computed as two parts, each of which vanishes
    as its goal is reached: with $t_j = s \cos(w_{y_i}, x_j)$ and $P_i$ the samples of the label,

    $$ \ell_i = \Big[\log \sum_{j \in P_i} e^{t_j} - t_i \Big]
       + \log\Big(1 + \sum_{j \notin P_i} e^{t_j} \Big/ \sum_{j \in P_i} e^{t_j}\Big) $$

    the first, the spread of a class, in float64. Its gradient is then exact near collapse, where it is made of differences
    of nearly equal shares.

    Range: from 0 up; $\log(n + (K-1)\, n\, e^{-sK/(K-1)})$ at exact collapse of K classes of n samples on the simplex. It
    depends on the batch: the more samples, the larger.

    Args:
        features: `(..., d)`, of any length; all samples that count are choices.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        weight: `(K, d)`, one row a class, of any length. Rows of classes that are not in the batch get no gradient.
        scale: $s$, the inverse temperature; a number or a scalar tensor, which may be trained. The authors' README trains
            at 10.
        **options: of every loss of samples, see `RowOptions`. Ignored samples are not contrasted with; those of weight 0 are.

    References:
        Koromilas et al., "Neural Collapse by Design: Learning Class Prototypes on the Hypersphere", arXiv 2605.20302; the
        formula as in the authors' code.

    Examples:
        >>> import torch
        >>> x = torch.eye(2)
        >>> round(ntce(x, torch.tensor([0, 1]), x).item(), 7)  # log(1 + e^-10)
        4.54e-05
    """
    rows = rows_of(features, labels, weight, options, coupled=True)
    check_scale(scale, torch.promote_types(features.dtype, weight.dtype))
    targets, negatives, y = contrasts(rows.take(features), weight, rows.labels, scale)
    # Found twice, since a gradient of 1 - p, with p the share of the negatives, would lose a small p; of one sample exactly 0.
    own, again = spread(targets, y, len(negatives)), spread(targets, y, len(negatives))
    several = torch.bincount(y, minlength=len(negatives)).index_select(0, y) > 1
    gaps = (own.index_select(0, y) - targets).where(several, 0)
    losses = gaps + softplus(negatives - again).index_select(0, y)
    return rows.reduce(losses).to(result_type(features))


class NTCE(DirectionLoss):
    """NTCE: `loss(features, labels, head=None)`. See `ntce`.

    `dim` and `num_classes` make class directions that the loss owns; without them each call needs a head.
    """

    formula = "−s ⟨w_y, x_i⟩ + log Σ_j exp(s ⟨w_y, x_j⟩), j over the batch"
    couples, source = "a class direction with all samples", "arXiv 2605.20302"

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float | int = 10.0,
        **options: Unpack[ModuleOptions],
    ) -> None:
        super().__init__(dim, num_classes, scale=scale, **options)

    def _value(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> Tensor:
        return ntce(features, labels, self.directions(head), scale=self.scale_of(head), **options)
