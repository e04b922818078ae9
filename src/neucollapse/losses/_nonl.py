"""NONL: the pull to the class direction, and its contrast with the samples of other classes alone."""

from typing import Unpack

import torch
from torch import Tensor

from .._errors import InputError
from .._names import names_options
from ._anchors import contrasts
from ._module import DirectionLoss, HeadLike, ModuleOptions
from ._normalised import normalised
from ._rows import Labels, RowOptions, result_type, rows_of
from ._scale import check_scale
from ._statistics import spherical_statistics


@names_options
def nonl(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | int | Tensor = 10.0,
    anchor: str = "class",
    **options: Unpack[RowOptions],
) -> Tensor:
    r"""The contrast of a class direction with the batch, normalised over negatives only.

    $$ \ell_i = -s \cos(w_{y_i}, x_i) + \log \sum_{j : y_j \ne y_i} e^{s \cos(w_{y_i}, x_j)} $$

    This is NTCE without the samples of the label in the sum: attraction and repulsion no longer share a denominator. The
    pull on a sample does not fade as it arrives, so that the loss has no terminal phase.

    With `anchor="sample"` the sum is over the wrong classes of a sample instead, $\sum_{j \ne y_i} e^{s \cos(w_j, x_i)}$: the
    loss is then the log-odds m of NormFace, whose cross-entropy is $\log(1 + e^m)$, and needs no other sample. The authors'
    code has it as an option; their results are those of `"class"`.

    Range: all reals, below 0 where samples are far on the right side; at exact collapse of K classes of n samples on the
    simplex $\log((K-1) n) - sK/(K-1)$, for `"sample"` without the n.

    Args:
        features: `(..., d)`, of any length.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        weight: `(K, d)`, one row a class, of any length.
        scale: $s$, the inverse temperature; a number or a scalar tensor, which may be trained. The authors' README trains
            at 10.
        anchor: `"class"` or `"sample"`.
        **options: of every loss of samples, see `RowOptions`. Ignored samples are not contrasted with; those of weight 0 are.

    Returns:
        A scalar, or losses `(...)` for the reduction `"none"`; at least float32. In a batch of one class (with K = 1, for
        `"sample"`) nothing is to be repelled, and the second term is 0 instead of minus infinity.

    References:
        Koromilas et al., "Neural Collapse by Design: Learning Class Prototypes on the Hypersphere", arXiv 2605.20302; the
        formula as in the authors' code with its options for this loss, `--normalize --symmetric`. A batch of one class is
        our definition: there the authors' loss is minus infinity.

    Examples:
        >>> import torch
        >>> x = torch.eye(2)
        >>> nonl(x, torch.tensor([0, 1]), x).item()
        -10.0
    """
    _check_anchor(anchor)
    rows = rows_of(features, labels, weight, options, coupled=True)
    check_scale(scale, torch.promote_types(features.dtype, weight.dtype))
    x, y = rows.take(features), rows.labels
    if anchor == "class":
        targets, negatives, place = contrasts(x, weight, y, scale)
        negatives = negatives.index_select(0, place)
    else:
        result = result_type(x, weight)
        cosines, negatives = spherical_statistics(normalised(x.to(result)), y, weight.to(result), scale=scale)
        targets = scale * cosines
    return rows.reduce(negatives.where(negatives > -torch.inf, 0) - targets).to(result_type(features))


def _check_anchor(anchor: str) -> None:
    if anchor not in ("class", "sample"):
        raise InputError(f"expected anchor 'class' or 'sample', got {anchor!r}")


class NONL(DirectionLoss):
    """NONL: `loss(features, labels, head=None)`. See `nonl`.

    `dim` and `num_classes` make class directions that the loss owns; without them each call needs a head.
    """

    formula = "−s ⟨w_y, x_i⟩ + log Σ_{j: y_j ≠ y} exp(s ⟨w_y, x_j⟩)"
    couples, source = "a class direction with the samples of other classes", "arXiv 2605.20302"

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float | int = 10.0,
        anchor: str = "class",
        **options: Unpack[ModuleOptions],
    ) -> None:
        super().__init__(dim, num_classes, scale=scale, **options)
        _check_anchor(anchor)
        self.anchor = anchor

    def _value(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> Tensor:
        weight, scale = self.directions(head), self.scale_of(head)
        return nonl(features, labels, weight, scale=scale, anchor=self.anchor, **options)
