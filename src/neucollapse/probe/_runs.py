"""What candidates for the classifier did while a model ran, and how their outputs relate to the model's."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._types import Float
from ._classifier import Classifier, whole

_NUMBERS = 1 << 16  # of each layer's output kept to compare: up to 64 rows, and of a vocabulary's logits 8
Relation = Callable[[Tensor, Tensor, float], bool]


@dataclass(frozen=True, eq=False)
class Run:
    """One execution of a candidate: its first rows, the shape of its output, and the dtype and device of its input."""

    classifier: Classifier
    inputs: Float[Tensor, "n d"]
    outputs: Float[Tensor, "n K"]
    shape: torch.Size
    precision: float
    dtype: torch.dtype
    device: torch.device

    def rows_of(self, output: Tensor) -> Float[Tensor, "n K"] | None:
        """The first rows of a model's output, if it has one row of K numbers for each of this layer's."""
        rows = self.classifier.channels_last(output) if output.shape == self.shape else output
        if rows.shape[-1] != self.classifier.num_classes or rows.numel() != self.shape.numel():
            return None
        return _first_rows(rows, len(self.outputs))

    def gives(self, output: Tensor, relation: Relation) -> bool:
        """Whether its output and the model's stand in a relation."""
        rows = self.rows_of(output)
        precision = 8 * max(self.precision, torch.finfo(output.dtype).eps)
        return rows is not None and relation(self.outputs, rows, precision)

    def decides(self, output: Tensor) -> int | None:
        """On how many of the first rows it decides as the model's output does; None where they cannot be compared."""
        rows = self.rows_of(output)
        return None if rows is None else int((rows.argmax(-1) == self.outputs.argmax(-1)).sum())

    def guesses(self, labels: Tensor | None) -> bool:
        """Whether its decisions on the first rows are the labels hardly more often than by chance."""
        if labels is None or labels.numel() * self.classifier.num_classes != self.shape.numel():
            return False
        known = labels.reshape(-1)[: len(self.outputs)].cpu()
        right = int((self.outputs.argmax(-1) == known).sum())
        return right < min(len(known) / 2, 3 * len(known) / self.classifier.num_classes)


def run_watched(candidates: list[Classifier], run: Callable[[], Any]) -> tuple[list[Run], Any]:
    """Run the model; what the candidates did, in order, and what the model returned."""
    runs: list[Run] = []
    with ExitStack() as hooks:
        for candidate in candidates:
            hooks.callback(candidate.module.register_forward_hook(_recorder(candidate, runs), with_kwargs=True).remove)
        return runs, run()


def _recorder(candidate: Classifier, runs: list[Run]) -> Callable[..., None]:
    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:  # noqa: ARG001
        features, scores = first_tensor((*args, *kwargs.values())), first_tensor(output)
        if features is None or scores is None:
            return
        inputs, outputs = candidate.channels_last(whole(features)), candidate.channels_last(whole(scores))
        for one in (candidate, candidate.transposed()):
            if (
                one is not None
                and inputs.shape[-1:] == (one.dim,)
                and outputs.shape == (*inputs.shape[:-1], one.num_classes)
            ):
                precision = torch.finfo(scores.dtype).eps
                count = max(8, min(64, _NUMBERS // max(one.dim, one.num_classes)))
                rows = _first_rows(inputs, count), _first_rows(outputs, count)
                runs.append(Run(one, *rows, whole(scores).shape, precision, features.dtype, features.device))
                return

    return record


def first_tensor(values: Any) -> Tensor | None:
    """The first floating-point tensor with at least two dimensions in a layer's arguments or output."""
    if isinstance(values, Tensor):
        return values if values.is_floating_point() and values.ndim >= 2 and not values.is_nested else None
    if isinstance(values, Mapping):
        values = tuple(values.values())
    if not isinstance(values, tuple | list):
        return None
    return next((tensor for value in values if (tensor := first_tensor(value)) is not None), None)


def output_tensors(output: Any) -> list[Tensor]:
    """The tensors of a model's output that may be its logits; `.logits` alone where there is one."""
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if logits is not None:
        output = logits
    if isinstance(output, Mapping):
        output = tuple(output.values())
    values = output if isinstance(output, tuple | list) else (output,)
    return [whole(value) for value in values if isinstance(value, Tensor) and first_tensor(value) is not None]


def _first_rows(tensor: Tensor, count: int) -> Tensor:
    # Through a slice of the leading dimension, so that no large activation is copied.
    rows = tensor.detach()[:count].reshape(-1, tensor.shape[-1])
    return rows[:count].to("cpu", torch.float64, copy=True)


def is_same(scores: Tensor, output: Tensor, precision: float) -> bool:
    """Whether two outputs are equal up to rounding."""
    if not torch.isfinite(output).all():
        return torch.equal(scores, output)
    return torch.allclose(scores, output, rtol=precision, atol=precision * float(output.abs().max()))


def has_same_order(scores: Tensor, output: Tensor, precision: float) -> bool:
    """Whether the output is softmax, log-softmax or a positive multiple of the scores: the decisions are the same."""
    multiple = (scores * output).sum() / (scores * scores).sum()
    views = [scores.log_softmax(-1), scores.softmax(-1)] + ([multiple * scores] if multiple > 0 else [])
    return any(is_same(view, output, precision) for view in views)
