"""The modules of losses: what all have in common, and those that compare the logits of a head with labels."""

from abc import abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor, nn

from .._errors import InputError
from ._rows import REDUCTIONS, Labels, RowOptions, Rows, check_reduction

if TYPE_CHECKING:
    from ..heads import Head


class Loss(nn.Module):
    """Base of every loss of rows: ``loss(features, labels, head=None, *, sample_weights=None, denominator=None)``.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``; each loss says what else it knows.
        ignore_index: label of samples that do not count.
        class_weights: ``(K,)``, at least 0, or None: they multiply the loss of a sample, and the mean divides by their sum.

    Attributes:
        class_weights: a buffer, or None.
    """

    class_weights: Tensor | None
    reductions: tuple[str, ...] = REDUCTIONS

    def __init__(
        self, *, reduction: str = "mean", ignore_index: int = -100, class_weights: Tensor | None = None
    ) -> None:
        super().__init__()
        check_reduction(reduction, self.reductions)
        self.reduction, self.ignore_index = reduction, ignore_index
        self.register_buffer("class_weights", None if class_weights is None else class_weights.detach().clone())

    def row_options(self, sample_weights: Tensor | None, denominator: float | int | Tensor | None) -> RowOptions:
        """The options of the function of this loss."""
        return {
            "reduction": self.reduction,
            "ignore_index": self.ignore_index,
            "sample_weights": sample_weights,
            "class_weights": self.class_weights,
            "denominator": denominator,
        }


class LogitLoss(Loss):
    """Base of the losses of a head's logits; a subclass gives the function of logits and labels."""

    title: str = "the loss"

    @abstractmethod
    def of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        """The loss of logits ``(..., K)``."""

    def forward(
        self,
        features: Tensor,
        labels: Labels,
        head: "Head | nn.Linear | None" = None,
        *,
        sample_weights: Tensor | None = None,
        denominator: float | int | Tensor | None = None,
    ) -> Tensor:
        """The loss of the logits of ``features`` ``(..., d)`` against ``labels`` ``(...)``."""
        if head is None:
            raise InputError(f"{self.title} expected a head, whose logits it compares with the labels, and got None")
        known = getattr(head, "num_classes", getattr(head, "out_features", None))
        logits = getattr(head, "logits", head)(self.counted(features, labels, known, sample_weights))
        return self.of_logits(logits, labels, self.row_options(sample_weights, denominator))

    def counted(
        self, features: Tensor, labels: Labels, num_classes: int | None, sample_weights: Tensor | None
    ) -> Tensor:
        """Features with zeros in rows that do not count: a NaN there would reach the head's gradient, as 0 times NaN."""
        weights = sample_weights, self.class_weights
        rows = Rows(labels, features.shape[:-1], num_classes, self.ignore_index, *weights, device=features.device)
        return features.where(rows.used.reshape(*features.shape[:-1], 1), 0)
