"""The module that the losses of the sphere share."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from .._errors import InputError
from ._directions import DirectionLoss
from ._margins import Margin
from ._rows import Labels
from ._spherical import REDUCTIONS, spherical_ce
from ._statistics import ImplicitWeight
from ._stepped_weight import StepsInBackward

if TYPE_CHECKING:
    from ..heads import Head


class SphericalLoss(StepsInBackward, DirectionLoss):
    """``loss(features, labels, head=None)``: :func:`spherical_ce` with a margin, and class directions from a head or of its own.

    Args:
        dim: d, and ``num_classes``: K, of a weight of its own, used where no head is given; neither, and a head is required.
        num_classes: see ``dim``.
        scale: :math:`s`, where no head brings its own; or ``"feature_norm"``, the length of each feature, for any head.
        margin: what is subtracted from the target; None is NormFace, or the margin of the head.
        margin_grad: ``"exact"`` or ``"detached"``.
        reduction: as in :func:`spherical_ce`; ``"log_mean"`` keeps the gradient of order one.
        ignore_index: label of samples that do not count.
        class_weights: ``(K,)``, or None; weights of samples and a denominator are given at each call.

    Attributes:
        weight: the parameter ``(K, d)``, or None. Only the directions of its rows count.

    Raises:
        InputError: when the scale is not positive, or one of dim and num_classes is given, or one is below 1.
    """

    keeps_norms = True
    reductions = REDUCTIONS

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float | str = 64.0,
        margin: Margin | None = None,
        margin_grad: str = "exact",
        reduction: str = "mean",
        ignore_index: int = -100,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(
            dim, num_classes, scale, reduction=reduction, ignore_index=ignore_index, class_weights=class_weights
        )
        self.margin = margin
        self.margin_grad = margin_grad

    def forward(
        self,
        features: Tensor,
        labels: Labels,
        head: "Head | None" = None,
        *,
        sample_weights: Tensor | None = None,
        denominator: float | int | Tensor | None = None,
    ) -> Tensor:
        """The loss of features ``(..., d)``: with ``head.weight``, and ``head.scale`` where it has one, else with its own.

        A loss without a margin takes that of the head, where it has one.
        """
        margin = self.margin_of(head)
        weight = _implicit(self if head is None else head)
        return spherical_ce(
            features,
            labels,
            self.directions(head) if weight is None else weight,
            scale=self.scale if isinstance(self.scale, str) else self.scale_of(head),
            margin=margin,
            margin_grad=self.margin_grad,
            **self.row_options(sample_weights, denominator),
        )

    def margin_of(self, head: "Head | None") -> Margin | None:
        """The margin of the loss, or that of the head."""
        given = getattr(head, "margin", None)
        if self.margin is not None and given is not None:
            raise InputError(f"expected a margin of the loss or of the head, got both: {self.margin} and {given}")
        return given if self.margin is None else self.margin

    def extra_repr(self) -> str:
        """Sizes, scale and margin, for ``repr``."""
        return f"{super().extra_repr()}, margin={self.margin}"


def _implicit(source: nn.Module) -> ImplicitWeight | None:
    """What stands for the weight where it is never written out, or moved in backward."""
    return source if isinstance(source, ImplicitWeight) else getattr(source, "stepped_weight", None)
