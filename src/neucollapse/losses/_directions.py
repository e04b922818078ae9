"""The module of losses whose class directions are a head's or their own."""

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from .._errors import InputError
from ._module import Loss
from ._scale import FEATURE_NORM, check_scale

if TYPE_CHECKING:
    from ..heads import Head


class DirectionLoss(Loss):
    """Class directions of its own, or of the head of each call.

    Args:
        dim: d, and ``num_classes``: K, of a weight of its own, used where no head is given; neither, and a head is required.
        num_classes: see ``dim``.
        scale: :math:`s`, where no head brings its own.
        reduction: as the loss knows it.
        ignore_index: label of samples that do not count.
        class_weights: ``(K,)``, or None.

    Attributes:
        weight: the parameter ``(K, d)``, or None. Only the directions of its rows count.

    Raises:
        InputError: when the scale is not positive, or one of dim and num_classes is given, or one is below 1.
    """

    weight: nn.Parameter | None
    keeps_norms = False

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        scale: float | int | str = 1.0,
        *,
        reduction: str = "mean",
        ignore_index: int = -100,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(reduction=reduction, ignore_index=ignore_index, class_weights=class_weights)
        if isinstance(scale, str):
            if not self.keeps_norms or scale != FEATURE_NORM:
                also = f" or {FEATURE_NORM!r}" if self.keeps_norms else ""
                raise InputError(f"expected a scale above 0{also}, got {scale!r}")
        else:
            check_scale(scale, torch.get_default_dtype())
        self.scale = scale
        self.weight = None
        if dim is None and num_classes is None:
            return
        if dim is None or num_classes is None or dim < 1 or num_classes < 1:
            raise InputError(
                f"expected dim and num_classes of at least 1, or neither, got dim={dim}, num_classes={num_classes}"
            )
        self.weight = nn.Parameter(torch.randn(num_classes, dim) * dim**-0.5)  # uniform directions, norms about 1

    def scale_of(self, head: "Head | None") -> float | int | Tensor:
        """``head.scale``, where it has one, else its own."""
        return cast("float | Tensor", getattr(head, "scale", self.scale))

    def directions(self, head: "Head | None") -> Tensor:
        """``head.weight``, or its own."""
        weight = self.weight if head is None else head.weight
        if weight is None:
            raise InputError(
                f"{type(self).__name__} expected a head, or dim and num_classes when it was made, and got neither"
            )
        return weight

    def extra_repr(self) -> str:
        """Sizes and scale, for ``repr``."""
        size = "" if self.weight is None else f"dim={self.weight.shape[1]}, num_classes={self.weight.shape[0]}, "
        return f"{size}scale={self.scale if isinstance(self.scale, str) else format(self.scale, 'g')}"
