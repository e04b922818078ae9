"""The samples that count: their labels and weights, and how their losses become one number.

Every loss of rows goes through here, so that three promises have one home. Labels are compared in int64. A row that does
not count is taken out before any arithmetic, because 0 times the gradient of a NaN is NaN. Weights, denominators and
reductions mean the same in every loss.
"""

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from .._errors import InputError
from .._labels import counted_labels, flat_labels

Labels = Tensor | np.ndarray | Sequence[object]
"""Class numbers: a tensor or an array of any integer type, or (nested) lists."""

REDUCTIONS = ("mean", "sum", "none")
_ANY = 2**63 - 1


class RowOptions(TypedDict, total=False):
    """Options that every loss of samples takes by keyword; it returns a scalar, or losses, in float32 at least.

    Attributes:
        reduction: `"mean"` over the samples that count (NaN without any, as in torch), `"sum"`, or `"none"`: losses of the
            shape of the labels, 0 at ignored samples. Some losses know one more.
        ignore_index: label of samples that neither count nor receive a gradient, whatever their features; -100.
        sample_weights: `(...)`, at least 0, by which the loss of each sample is multiplied; 0 leaves it out.
        class_weights: `(K,)`, at least 0: likewise, by the label.
        denominator: what a mean divides by; None for the number of samples that count, or the sum of their weights.
    """

    reduction: str
    ignore_index: int
    sample_weights: Tensor | None
    class_weights: Tensor | None
    denominator: float | int | Tensor | None


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision as float32; other types unchanged."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def result_type(*tensors: Tensor) -> torch.dtype:
    """The type in which all of these are computed: at least float32."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def check_reduction(reduction: str, known: tuple[str, ...] = REDUCTIONS) -> None:
    """Raise `InputError` for a reduction that the loss does not know."""
    if reduction not in known:
        names = ", ".join(map(repr, known[:-1]))
        raise InputError(f"expected reduction {names} or {known[-1]!r}, got {reduction!r}")


class CountedRows:
    r"""The rows of a batch that count, with int64 labels and, where given, weights $v_i = u_i \, c_{y_i}$.

    Args:
        x: features or logits `(..., d)`, whose shape and device count here.
        labels: in any form that people bring, one for each row.
        num_classes: K, or None where any label from 0 on is one.
        options: of the loss. A row of weight 0 is left out like an ignored one, unless the weights are trained
            themselves, or rows are `coupled`.
        coupled: rows are contrasted with one another: those that do not count are taken out, and not set to zero.
        reductions: those that the loss knows.

    Attributes:
        labels: `(n,)`; 0 where a row does not count.
        used: `(n,)`, whether a row counts; all true where rows are coupled.
        weights: `(n,)`, or None.
        reduction: how losses become one number.

    Raises:
        InputError: labels that fit neither shape nor classes, weights of another shape, or negative ones, an unknown reduction.
    """

    def __init__(
        self,
        x: Tensor,
        labels: Labels,
        num_classes: int | None,
        options: RowOptions,
        *,
        coupled: bool = False,
        reductions: tuple[str, ...] = REDUCTIONS,
    ) -> None:
        self.reduction, self.denominator = options.get("reduction", "mean"), options.get("denominator")
        check_reduction(self.reduction, reductions)
        self.shape, self.places = x.shape[:-1], None
        y = flat_labels(labels, self.shape)  # pyright: ignore[reportArgumentType]
        if not isinstance(labels, Tensor):
            y = y.to(x.device)
        class_weights = options.get("class_weights")
        if num_classes is None:
            num_classes = _ANY if class_weights is None else len(class_weights)
        used = counted_labels(y, num_classes, options.get("ignore_index", -100))
        y = y.where(used, 0)
        weights = _weights(options.get("sample_weights"), class_weights, y, self.shape, num_classes)
        if coupled:
            self.places = used.nonzero().squeeze(1)
            y, used = y[self.places], used[self.places]
            weights = None if weights is None else weights[self.places]
        elif weights is not None:
            used = used if weights.requires_grad else used & (weights > 0)
            weights = weights.where(used, 0)
        self.labels, self.used, self.weights = y, used, weights

    def take(self, x: Tensor) -> Tensor:
        """Rows (n, d) of `x` `(..., d)`: zero, or left out, where they do not count. At least float32."""
        rows = x.reshape(-1, x.shape[-1])
        rows = rows.where(self.used[:, None], 0) if self.places is None else rows.index_select(0, self.places)
        return at_least_float32(rows)

    def spread(self, losses: Tensor, fill: float = 0.0) -> Tensor:
        """Losses (n,) in the shape of the batch."""
        if self.places is not None:
            every = losses.new_full((math.prod(self.shape),), fill)
            losses = every.index_copy(0, self.places, losses)
        return losses.reshape(self.shape)

    def reduce(self, losses: Tensor, *, among: Tensor | None = None, empty: float = math.nan) -> Tensor:
        """Weighted losses (n,): their mean, sum, or each of them, 0 where a row does not count.

        The mean divides by the number of rows that count, by the sum of their weights, or by the denominator; it is
        `empty` where there is nothing to divide by. `among` (n,) narrows the rows that count further.
        """
        used = self.used if among is None else self.used & among
        losses = losses.where(used, 0)
        if self.weights is not None:
            losses = losses * self.weights.to(losses.dtype)
        if self.reduction != "mean":
            self.check_no_denominator()
            return self.spread(losses) if self.reduction == "none" else losses.sum()
        size = self.size(used).to(losses.dtype)
        return (losses.sum() / size.where(size > 0, 1)).where(size > 0, empty)

    def log_reduce(self, logs: Tensor) -> Tensor:
        """From logarithms of losses (n,): that of their weighted mean or sum, or each; -inf where a row does not count.

        NaN for the mean without any row that counts.
        """
        used = self.used
        if self.weights is not None:
            used = used & (self.weights > 0)
            logs = logs + self.weights.where(used, 1).to(logs.dtype).log()
        logs = logs.where(used, -torch.inf)
        if self.reduction in ("sum", "none"):
            self.check_no_denominator()
            return self.spread(logs, -torch.inf) if self.reduction == "none" else logsumexp(logs)
        return logsumexp(logs) - self.size(used).to(logs.dtype).log()

    def size(self, used: Tensor | None = None) -> Tensor:
        """What a mean over the rows `used` (None: all that count) divides by."""
        used = self.used if used is None else used
        if self.denominator is not None:
            return _denominator(self.denominator, used)
        return used.sum() if self.weights is None else self.weights.where(used, 0).sum()

    def check_no_denominator(self) -> None:
        """Raise `InputError` for a denominator where nothing is divided."""
        if self.denominator is not None:
            raise InputError(
                f"expected a denominator with reduction 'mean' alone, which divides by it, got {self.reduction!r}"
            )


def check_fit(features: Tensor, weight: Tensor) -> None:
    """Raise `InputError` unless these are floating features `(..., d)` and a weight `(K, d)`."""
    fit = weight.dim() == 2 and features.dim() >= 1 and features.shape[-1] == weight.shape[1]
    if not fit or not features.is_floating_point() or not weight.is_floating_point():
        raise InputError(
            f"expected floating features (..., d), labels, then weight (K, d) with one d, "
            f"got {features.dtype} of {tuple(features.shape)} and {weight.dtype} of {tuple(weight.shape)}"
        )


def rows_of(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    options: RowOptions,
    *,
    coupled: bool = False,
    reductions: tuple[str, ...] = REDUCTIONS,
) -> CountedRows:
    """The rows of `features` that count, of a loss that compares them with the rows of `weight`."""
    check_fit(features, weight)
    return CountedRows(features, labels, len(weight), options, coupled=coupled, reductions=reductions)


def logsumexp(x: Tensor) -> Tensor:
    """Over the last axis; where all are -inf, or there are none, -inf without a gradient, where torch's gradient is NaN."""
    if x.shape[-1] == 0:
        return x.sum(dim=-1) - torch.inf
    largest = x.detach().amax(dim=-1, keepdim=True)
    some = largest > -torch.inf
    # Logarithms of -1e4 are rounded to 1e-3; the differences to the largest, which are summed, are not.
    shift = largest.where(largest.isfinite(), 0)
    sums = (x - shift).where(some, 0).logsumexp(dim=-1)
    return (sums + shift.squeeze(-1)).where(some.squeeze(-1), -torch.inf)


def _denominator(value: float | int | Tensor, used: Tensor) -> Tensor:
    size = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64, device=used.device)
    known = torch.compiler.is_compiling() or size.numel() != 1 or 0 < float(size.detach()) < math.inf
    if size.numel() != 1 or not known:
        got = f"{float(size.detach())}" if size.numel() == 1 else f"shape {tuple(size.shape)}"
        raise InputError(
            f"expected a denominator above 0, one finite number that the sum of losses is divided by, got {got}"
        )
    return size.reshape(())


def _weights(
    sample_weights: Tensor | None, class_weights: Tensor | None, y: Tensor, shape: torch.Size, num_classes: int
) -> Tensor | None:
    found = []
    if sample_weights is not None:
        if sample_weights.shape not in (shape, torch.Size((*shape, 1))):
            raise InputError(
                f"expected sample_weights of shape {tuple(shape)}, one a sample, got {tuple(sample_weights.shape)}"
            )
        found.append(_checked(sample_weights, "sample_weights").reshape(-1))
    if class_weights is not None:
        if class_weights.shape != (num_classes,):
            raise InputError(
                f"expected class_weights of shape ({num_classes},), one a class, got {tuple(class_weights.shape)}"
            )
        found.append(_checked(class_weights, "class_weights")[y])
    return found[0] * found[1] if len(found) == 2 else found[0] if found else None


def _checked(weights: Tensor, name: str) -> Tensor:
    if not torch.compiler.is_compiling():
        bad = weights.detach()[~((weights >= 0) & (weights < torch.inf))]
        if bad.numel():
            raise InputError(
                f"expected {name} from 0 up and finite, got {float(bad[0])} among {bad.numel()} that are not"
            )
    return at_least_float32(weights) if weights.is_floating_point() else weights.to(torch.get_default_dtype())
