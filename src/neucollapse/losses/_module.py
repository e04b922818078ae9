"""The bases of all modules of losses, of those of logits, and of those of class directions."""

from typing import TYPE_CHECKING, ClassVar, Protocol, TypedDict, Unpack, cast, runtime_checkable

import torch
from torch import Tensor, nn

from .._errors import InputError
from .._names import NamesOptions
from ._rows import REDUCTIONS, CountedRows, Labels, RowOptions, check_reduction
from ._scale import check_scale


@runtime_checkable
class HeadLike(Protocol):
    """What a loss asks of a head: rows of classes, and logits. A `scale` and a `margin` are used where there are any."""

    def __call__(self, features: Tensor) -> Tensor:
        """Logits `(..., K)` of features `(..., d)`."""
        ...

    if TYPE_CHECKING:  # a check at run time would read it, and a head of known structure would write it out

        @property
        def weight(self) -> Tensor:
            """`(K, d)`, one row a class."""
            ...


class ModuleOptions(TypedDict, total=False):
    """Options that the module of every loss of samples takes by keyword when it is made.

    Attributes:
        reduction: `"mean"`, `"sum"` or `"none"`; some losses know one more.
        ignore_index: label of samples that do not count; -100.
        class_weights: `(K,)`, at least 0, by which the loss of each sample is multiplied; it becomes a buffer.
    """

    reduction: str
    ignore_index: int
    class_weights: Tensor | None


class Loss(NamesOptions, nn.Module):
    """Base of every loss of rows: `loss(features, labels, head=None, *, sample_weights=None, denominator=None)`.

    A subclass gives `_value`, the function of features, labels, head and the options of that call.

    Args:
        **options: see `ModuleOptions`; an `OptionError` for others.

    Attributes:
        class_weights: a buffer, or None.
        reductions: those that the loss knows.
        formula: the loss of one sample, in the table of losses.
        couples: the things that it compares, likewise.
        source: the paper, likewise.
    """

    class_weights: Tensor | None
    reductions: ClassVar[tuple[str, ...]] = REDUCTIONS
    formula: ClassVar[str]
    couples: ClassVar[str]
    source: ClassVar[str]

    def __init__(self, **options: Unpack[ModuleOptions]) -> None:
        super().__init__()
        self.reduction, self.ignore_index = options.get("reduction", "mean"), options.get("ignore_index", -100)
        check_reduction(self.reduction, self.reductions)
        class_weights = options.get("class_weights")
        self.register_buffer("class_weights", None if class_weights is None else class_weights.detach().clone())

    def forward(
        self,
        features: Tensor,
        labels: Labels,
        head: HeadLike | None = None,
        *,
        sample_weights: Tensor | None = None,
        denominator: float | int | Tensor | None = None,
    ) -> Tensor:
        """The loss of `features` `(..., d)` with `labels` `(...)`."""
        return self._value(features, labels, head, self._options(sample_weights, denominator))

    def _options(self, sample_weights: Tensor | None, denominator: float | int | Tensor | None) -> RowOptions:
        return {
            "reduction": self.reduction,
            "ignore_index": self.ignore_index,
            "sample_weights": sample_weights,
            "class_weights": self.class_weights,
            "denominator": denominator,
        }

    def _value(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> Tensor:
        raise NotImplementedError


class LogitLoss(Loss):
    """Base of the losses of a head's logits; a subclass gives `_of_logits`, the function of logits and labels."""

    title: ClassVar[str] = "the loss"

    def _of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        raise NotImplementedError

    def _value(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> Tensor:
        if head is None:
            raise InputError(f"{self.title} expected a head, whose logits it compares with the labels, and got None")
        known = getattr(head, "num_classes", getattr(head, "out_features", None))
        # A NaN in a row that does not count would reach the head's gradient, as 0 times NaN: it becomes zero.
        counted = CountedRows(features, labels, known, options, reductions=self.reductions).used
        logits = getattr(head, "logits", head)(features.where(counted.reshape(*features.shape[:-1], 1), 0))
        return self._of_logits(logits, labels, options)


class DirectionLoss(Loss):
    """Base of the losses of class directions, which are parameters of the loss, or rows of the head of each call.

    Args:
        dim: d, and `num_classes`: K, of a weight that the loss owns, used where no head is given; neither, and a head is
            required.
        num_classes: see `dim`.
        scale: $s$, where the head has none.
        **options: of every loss, see `ModuleOptions`.

    Attributes:
        weight: the parameter `(K, d)`, or None. Only the directions of its rows count.

    Raises:
        InputError: when the scale is not positive, or one of dim and num_classes is given, or one is below 1.
    """

    weight: nn.Parameter | None
    keeps_norms: ClassVar[bool] = False

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float | int | str = 1.0,
        **options: Unpack[ModuleOptions],
    ) -> None:
        super().__init__(**options)
        check_scale(scale, torch.get_default_dtype(), keeps_norms=self.keeps_norms)
        self.scale = scale
        self.weight = None
        if dim is None and num_classes is None:
            return
        if dim is None or num_classes is None or dim < 1 or num_classes < 1:
            raise InputError(
                f"expected dim and num_classes of at least 1, or neither, got dim={dim}, num_classes={num_classes}"
            )
        self.weight = nn.Parameter(torch.randn(num_classes, dim) * dim**-0.5)  # uniform directions, norms about 1

    def scale_of(self, head: HeadLike | None) -> float | int | Tensor:
        """The scale of the head where it has one, else that of the loss."""
        return cast("float | Tensor", getattr(head, "scale", self.scale))

    def directions(self, head: HeadLike | None) -> Tensor:
        """The rows of the head, or those of the loss."""
        weight = self.weight if head is None else head.weight
        if weight is None:
            raise InputError(
                f"{type(self).__name__} expected a head, or dim and num_classes when it was made, and got neither"
            )
        return weight

    def extra_repr(self) -> str:
        """Sizes and scale, for `repr`."""
        size = "" if self.weight is None else f"dim={self.weight.shape[1]}, num_classes={self.weight.shape[0]}, "
        return f"{size}scale={self.scale if isinstance(self.scale, str) else format(self.scale, 'g')}"
