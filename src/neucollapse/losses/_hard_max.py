"""HardMax: the largest lead that a wrong class has over the right one."""

from typing import Unpack

import torch
from torch import Tensor

from .._errors import InputError
from .._names import names_options
from .._types import Float, Int
from ._module import DirectionLoss, HeadLike, ModuleOptions
from ._normalised import normalised
from ._rows import Labels, RowOptions, result_type, rows_of

_TILE = 2**19  # cosines of all samples with a block of classes: 2 MB in float32
REDUCTIONS = ("max", "mean", "sum", "none")


@names_options
def hard_max(features: Tensor, labels: Labels, weight: Tensor, **options: Unpack[RowOptions]) -> Tensor:
    r"""The HardMax problem's loss: the largest gap of cosines by which a wrong class leads.

    $$ L = \max_i \max_{j \ne y_i} \langle \hat w_j - \hat w_{y_i}, \hat x_i \rangle $$

    It is what cross-entropy of cosines is about at a small temperature $\tau = 1/s$: where all samples are on their
    side,

    $$ L - \tau \log 2n \le \tau \log \frac1n \sum_i \ell_i \le L + \tau \log (K - 1) \qquad (L < 0) $$

    with $\ell_i$ the loss of `norm_face`; as $\tau \to 0$ the two agree. (Where a sample is on the wrong side,
    the middle tends to 0, not to L.)

    Range: from minus the best one-vs-rest margin of K classes in d dimensions, reached by softmax codes, to 2. That margin is
    $K/(K-1)$ at the simplex (K <= d + 1) and 1 up to K = 2d; see `neucollapse.geometry.best_code`.

    The gradient is a subgradient: that of one closest wrong class a sample and, with `"max"`, of one sample. It does not
    fade near the optimum, where the pair changes from step to step: let the step size decay. Memory is O(B d) and a tile.

    Args:
        features: `(..., d)`, of any length.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        weight: `(K, d)`, K >= 2, one row a class, of any length.
        **options: of every loss of samples, see `RowOptions`. `reduction` is `"max"` over the samples, the problem itself
            (of no sample: 0), or `"mean"` of each sample's largest gap (NaN without any sample), `"sum"` or `"none"`.
            Weights do not go with `"max"`, which is the gap of one sample.

    Returns:
        A scalar, or gaps `(...)` with 0 at ignored samples for `"none"`; at least float32.

    Raises:
        InputError: shapes that do not fit, a single class, labels out of range, an unknown reduction.

    References:
        Jiang et al., "Generalized Neural Collapse for a Large Number of Classes", arXiv 2310.05351; their code multiplies the
        maximum over the batch with 100.

    Examples:
        >>> import torch
        >>> code = torch.tensor([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]])
        >>> round(hard_max(code, torch.arange(3), code).item(), 4)  # -K/(K-1)
        -1.5
    """
    options.setdefault("reduction", "max")
    rows = rows_of(features, labels, weight, options, coupled=True, reductions=REDUCTIONS)
    if len(weight) < 2:
        raise InputError(f"expected a weight of at least two classes, got {tuple(weight.shape)}")
    if rows.reduction == "max" and rows.weights is not None:
        raise InputError(
            "expected weights with reduction 'mean', 'sum' or 'none': the largest gap is that of one sample"
        )
    result = result_type(features, weight)
    x, W, y = normalised(rows.take(features).to(result)), weight.to(result), rows.labels
    rival = _closest_wrong_class(x.detach(), W.detach(), y)
    # The two rows are subtracted first: near classes keep their digits.
    gaps = ((normalised(W.index_select(0, rival)) - normalised(W.index_select(0, y))) * x).sum(dim=1)
    if rows.reduction == "max":
        rows.check_no_denominator()
        return gaps.max() if len(gaps) else gaps.sum()
    return rows.reduce(gaps)


def _closest_wrong_class(
    x: Float[Tensor, "n d"], weight: Float[Tensor, "K d"], labels: Int[Tensor, " n"]
) -> Int[Tensor, " n"]:
    """The wrong class of largest cosine for each sample; the first of several."""
    best, rival = x.new_full((len(x),), -torch.inf), torch.zeros_like(labels)
    block = max(1, _TILE // max(1, len(x)))
    with torch.autocast(x.device.type, enabled=False):
        for start in range(0, len(weight), block):
            U = normalised(weight[start : start + block])
            own = labels[:, None] == torch.arange(start, start + len(U), device=x.device)
            largest, place = (x @ U.mT).masked_fill(own, -torch.inf).max(dim=1)
            rival = torch.where(largest > best, start + place, rival)
            best = torch.maximum(best, largest)
    return rival


class HardMax(DirectionLoss):
    """HardMax: `loss(features, labels, head=None)`. See `hard_max`.

    `dim` and `num_classes` make class directions that the loss owns; without them each call needs a head.

    A head's scale is not read. The reduction is `"max"` where none is given.
    """

    reductions = REDUCTIONS
    formula = "max over samples and j ≠ y of ⟨w_j − w_y, x⟩"
    couples, source = "the worst sample with its closest wrong class", "arXiv 2310.05351"

    def __init__(
        self, dim: int | None = None, num_classes: int | None = None, **options: Unpack[ModuleOptions]
    ) -> None:
        super().__init__(dim, num_classes, **{"reduction": "max", **options})

    def _value(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> Tensor:
        return hard_max(features, labels, self.directions(head), **options)

    def extra_repr(self) -> str:
        """Sizes and reduction, for `repr`."""
        return f"{super().extra_repr().removesuffix('scale=1')}reduction={self.reduction}"
