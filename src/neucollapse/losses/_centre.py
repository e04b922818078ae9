"""Centre loss: features are drawn to a centre of their class."""

from typing import Unpack, cast

import torch
from torch import Tensor, nn

from .._errors import InputError
from .._names import names_options
from ._cross_entropy import CrossEntropy
from ._module import HeadLike, Loss, ModuleOptions
from ._rows import CountedRows, Labels, RowOptions, result_type, rows_of


@names_options
def centre_loss(
    features: Tensor,
    labels: Labels,
    centres: Tensor,
    *,
    centre_gradient: str = "averaged",
    **options: Unpack[RowOptions],
) -> Tensor:
    r"""Half the squared distance of each feature to the centre of its class.

    $$ \ell_i = \tfrac12 |x_i - c_{y_i}|^2 $$

    Range: from 0, reached when every feature is its centre, up. Lengths count: neither is normalised. Alone it is
    least when all features and centres are one point, so it is used beside a loss that separates classes.

    The paper does not move a centre by the gradient: class j moves by
    $\Delta c_j = \sum_{i : y_i = j} (c_j - x_i) / (1 + n_j)$, whatever the size of the batch, at a separate rate,
    0.5. `"averaged"` gives that as the gradient of the centres, so that SGD with this rate is the paper's rule; with
    weights, of the weighted samples and $n_j$ the sum of their weights.

    Args:
        features: `(..., d)`, floating.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        centres: `(K, d)`.
        centre_gradient: `"averaged"`, the paper's rule, or `"exact"`, the derivative of the value returned.
        **options: of every loss of samples, see `RowOptions`; the mean of no sample is 0.

    Raises:
        InputError: shapes that do not fit, labels out of range, an unknown reduction or rule.

    References:
        Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016, equations 2 and 4.

    Examples:
        >>> import torch
        >>> centres = torch.zeros(2, 2, requires_grad=True)
        >>> loss = centre_loss(torch.tensor([[3.0, 4.0]]), torch.tensor([1]), centres)
        >>> loss.backward()
        >>> loss.item(), centres.grad[1].tolist()
        (12.5, [-1.5, -2.0])
    """
    if centre_gradient not in ("averaged", "exact"):
        raise InputError(f"expected centre_gradient 'averaged' or 'exact', got {centre_gradient!r}")
    rows = rows_of(features, labels, centres, options)
    result = result_type(features, centres)
    x, c = rows.take(features).to(result), centres.to(result)[rows.labels]
    if centre_gradient == "averaged":
        factor = _averaged(rows, len(centres)).to(result)[:, None]
        c = c.detach() + factor * (c - c.detach())
    return rows.reduce(0.5 * (x - c).square().sum(dim=1), empty=0.0)


def _averaged(rows: CountedRows, num_classes: int) -> Tensor:
    """What the gradient of the centre of each sample is multiplied with, so that class j gets 1 / (1 + n_j)."""
    ones = rows.used.double() if rows.weights is None else rows.weights.detach().double()
    counts = ones.new_zeros(num_classes).index_add(0, rows.labels, ones)
    divided = rows.size().detach() if rows.reduction == "mean" else 1
    return divided / (1 + counts[rows.labels])


class Centre(Loss):
    r"""Centre loss: `loss(features, labels)` with centres that the loss owns. See `centre_loss`.

    `Centre()` without sizes takes a head at each call, whose weight rows are the centres; a head given to a loss that
    has centres takes their place for that call.

    Args:
        dim: d, for centres that the loss owns.
        num_classes: K, likewise.
        centre_gradient: `"averaged"` or `"exact"`.
        **options: of every loss, see `ModuleOptions`.

    Attributes:
        weight: the centres `(K, d)`, a parameter that starts at zero, or None.

    Examples:
        >>> import torch
        >>> loss = Centre(num_classes=2, dim=2)
        >>> loss(torch.tensor([[3.0, 4.0]]), torch.tensor([1])).item()
        12.5
    """

    formula, couples = "‖x − c_y‖² / 2, lengths counted", "a sample with its centre alone"
    source = "ECCV 2016 (Wen et al.), equation 2"

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        centre_gradient: str = "averaged",
        **options: Unpack[ModuleOptions],
    ) -> None:
        super().__init__(**options)
        if (num_classes is None) != (dim is None):
            raise InputError(f"expected both num_classes and dim, or neither, got {num_classes} and {dim}")
        self.weight = None if num_classes is None or dim is None else nn.Parameter(torch.zeros(num_classes, dim))
        self.centre_gradient = centre_gradient

    def _value(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> Tensor:
        centres = self.weight if head is None else head.weight
        if centres is None:
            raise InputError(
                "the centre loss without num_classes and dim expected a head, whose weight are its centres"
            )
        return centre_loss(features, labels, centres, centre_gradient=self.centre_gradient, **options)


class CrossEntropyAndCentre(nn.Module):
    """Cross-entropy plus a small multiple of the centre loss, as its paper trains it."""

    def __init__(self, dim: int, num_classes: int, *, beta: float | int) -> None:
        super().__init__()
        self.cross_entropy, self.centre, self.beta = CrossEntropy(), Centre(dim, num_classes), beta

    def forward(self, features: Tensor, labels: Labels, head: HeadLike) -> Tensor:
        """The loss of `features` `(..., d)` with `labels` `(...)`."""
        centres = cast(Tensor, self.centre.weight).detach()
        drawn = self.cross_entropy(features, labels, head) + self.beta * centre_loss(features, labels, centres)
        # Centres follow at a separate rate, whatever the weight: a term of value zero moves them alone.
        following = self.centre(features.detach(), labels)
        return drawn + (following - following.detach())
