"""The classifier by running the model: the layer whose output is the model's output."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from .._errors import InputError
from .._types import Float
from ._batches import describe
from ._classifier import Classifier, candidates, listing

_ROWS = 8  # that many rows of each layer's output are kept to compare: enough to tell layers apart, and small


@dataclass(frozen=True, eq=False)
class _Run:
    """One execution of a candidate: its first rows, and the shape of its output."""

    classifier: Classifier
    inputs: Float[Tensor, "n d"]
    outputs: Float[Tensor, "n K"]
    shape: torch.Size
    precision: float


def by_running(model: nn.Module, run: Callable[[], Any]) -> Classifier:
    """Run the model once and return the layer whose output it returned; softmax or a temperature may follow it."""
    found = candidates(model)
    runs: list[_Run] = []
    with ExitStack() as hooks:
        for candidate in found:
            handle = candidate.module.register_forward_hook(_recorder(candidate, runs), with_kwargs=True)
            hooks.callback(handle.remove)
        output = run()
    tensors = output_tensors(output)
    for relation in (_is_same, _has_same_order):
        matches = [item for item in runs if any(_matches(item, tensor, relation) for tensor in tensors)]
        if matches := _distinct(matches):
            return _single(matches)
    raise InputError(_no_match(output, tensors, runs, found))


def with_affinity(classifier: Classifier, run: Callable[[], Any]) -> Classifier:
    """The classifier with ``is_affine`` settled by running the model, where its type does not tell."""
    if classifier.is_affine is not None:
        return classifier
    runs: list[_Run] = []
    handle = classifier.module.register_forward_hook(_recorder(classifier, runs), with_kwargs=True)
    try:
        run()
    finally:
        handle.remove()
    return replace(classifier, is_affine=_is_affine(runs[-1])) if runs else classifier


def _recorder(candidate: Classifier, runs: list[_Run]) -> Callable[..., None]:
    def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:  # noqa: ARG001
        features, scores = first_tensor((*args, *kwargs.values())), first_tensor(output)
        if features is None or scores is None:
            return
        inputs, outputs = candidate.channels_last(features), candidate.channels_last(scores)
        if inputs.shape[-1:] == (candidate.dim,) and outputs.shape == (*inputs.shape[:-1], candidate.num_classes):
            precision = torch.finfo(scores.dtype).eps
            runs.append(_Run(candidate, _first_rows(inputs), _first_rows(outputs), scores.shape, precision))

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
    """The tensors of a model's output that may be its logits; ``.logits`` alone where there is one."""
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if logits is not None:
        output = logits
    if isinstance(output, Mapping):
        output = tuple(output.values())
    values = output if isinstance(output, tuple | list) else (output,)
    return [value for value in values if isinstance(value, Tensor) and first_tensor(value) is not None]


def _first_rows(tensor: Tensor) -> Tensor:
    # Through a slice of the leading dimension, so that no large activation is copied.
    rows = tensor.detach()[:_ROWS].reshape(-1, tensor.shape[-1])
    return rows[:_ROWS].to("cpu", torch.float64, copy=True)


def _matches(run: _Run, output: Tensor, relation: Callable[[Tensor, Tensor, float], bool]) -> bool:
    output_rows = run.classifier.channels_last(output) if output.shape == run.shape else output
    if output_rows.shape[-1] != run.classifier.num_classes or output_rows.numel() != run.shape.numel():
        return False
    precision = 8 * max(run.precision, torch.finfo(output.dtype).eps)
    return relation(run.outputs, _first_rows(output_rows), precision)


def _is_same(scores: Tensor, output: Tensor, precision: float) -> bool:
    if not torch.isfinite(output).all():
        return torch.equal(scores, output)
    return torch.allclose(scores, output, rtol=precision, atol=precision * float(output.abs().max()))


def _has_same_order(scores: Tensor, output: Tensor, precision: float) -> bool:
    """Whether the output is softmax, log-softmax or a positive multiple of the scores: the decisions are the same."""
    multiple = (scores * output).sum() / (scores * scores).sum()
    views = [scores.log_softmax(-1), scores.softmax(-1)] + ([multiple * scores] if multiple > 0 else [])
    return any(_is_same(view, output, precision) for view in views)


def _distinct(matches: list[_Run]) -> list[_Run]:
    """Matches without those that feed another match, and one of those that share input and weight (a thin wrapper)."""
    kept: list[_Run] = []
    for item in matches:
        feeds = any(torch.equal(item.outputs, other.inputs) for other in matches if other is not item)
        repeats = any(
            torch.equal(item.inputs, other.inputs) and torch.equal(item.classifier.weight, other.classifier.weight)
            for other in kept
        )
        if not feeds and not repeats and all(item.classifier.module is not other.classifier.module for other in kept):
            kept.append(item)
    return kept


def _single(matches: list[_Run]) -> Classifier:
    if len(matches) > 1:
        names = listing([item.classifier for item in matches])
        raise InputError(f"the model has several classifiers: {names}. {_how_to_choose(matches[0].classifier)}")
    run, classifier = matches[0], matches[0].classifier
    return replace(classifier, is_affine=_is_affine(run)) if classifier.is_affine is None else classifier


def _is_affine(run: _Run) -> bool:
    W = run.classifier.weight.to("cpu", torch.float64)
    b = 0 if run.classifier.bias is None else run.classifier.bias.to("cpu", torch.float64)
    rounding = 4 * run.precision * (run.inputs.abs() @ W.abs().T).max()
    return bool(((run.inputs @ W.T + b - run.outputs).abs() <= rounding).all())


def _no_match(output: Any, tensors: list[Tensor], runs: list[_Run], found: list[Classifier]) -> str:
    ran = _unique([run.classifier for run in runs])
    got = f"the model returned {describe(output)}"
    if any(not torch.isfinite(tensor).all() for tensor in tensors):
        got += ", which holds NaN or infinity"
    advice = (
        _how_to_choose(ran[-1])
        if ran
        else (
            "Logits formed without a layer (a product with a tied embedding, say) cannot be tapped: form them in an "
            "nn.Linear that shares the weight"
        )
    )
    layers = f"Layers that ran: {listing(ran)}" if ran else f"Linear layers, none of which ran: {listing(found)}"
    return f"no layer with a (K, d) weight gives the model's output: {got}. {layers}. {advice}"


def _unique(found: list[Classifier]) -> list[Classifier]:
    return list({id(item.module): item for item in found}.values())


def _how_to_choose(classifier: Classifier) -> str:
    return f'Choose one by its name, for instance classifier="{classifier.name}"'
