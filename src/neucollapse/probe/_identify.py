"""The classifier by running the model: the layer whose output is the model's output."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .._errors import InputError
from ._advice import no_match
from ._affine import settled
from ._batches import describe
from ._classifier import Classifier, candidates, listing, whole
from ._runs import Run, has_same_order, is_same, output_tensors, run_watched


def by_running(model: nn.Module, run: Callable[[], Any], labels: Tensor | None = None) -> Classifier:
    """Run the model once and return the layer whose output it returned; softmax or a temperature may follow it.

    Raises:
        InputError: if there is none or several; of ``labels`` depends which layer the sentence advises to choose.
    """
    runs, output = run_watched(candidates(model), run)
    tensors = output_tensors(output)
    for relation in (is_same, has_same_order):
        matches = [item for item in runs if any(item.gives(tensor, relation) for tensor in tensors)]
        if matches := _distinct(matches):
            return _single(matches)
    raise InputError(no_match(model, output, runs, labels))


def by_name(classifier: Classifier, run: Callable[[], Any]) -> Classifier:
    """The classifier that was named, with what running the model tells: is it affine, is its output the model's.

    Raises:
        InputError: if it does not run.
    """
    runs, output = run_watched([classifier], run)
    if not runs:
        raise InputError(
            f"the classifier {classifier} did not run on floating-point features of its size in a forward pass of the "
            "model, so it decides nothing: choose another one, or run the model in parts with forward="
        )
    return replace(settled(runs[-1]), disagreement=_disagreement(runs, output))


def _disagreement(runs: list[Run], output: Any) -> str | None:
    """How a layer's output differs from the model's, in words; None if it is the model's, or decides as it does."""
    tensors = output_tensors(output)
    for relation in (is_same, has_same_order):
        if any(item.gives(tensor, relation) for item in runs for tensor in tensors):
            return None
    run = runs[-1]
    alike = [count for tensor in tensors if (count := run.decides(tensor)) is not None]
    if not alike:
        return f"the model returned {describe(output)}, this layer {run.classifier.num_classes} numbers a row"
    rows = len(run.outputs)
    if max(alike) < rows:
        return f"on {rows - max(alike)} of the first {rows} rows the model decides otherwise than this layer"
    return f"the model's numbers are others than this layer's, though on the first {rows} rows both decide alike"


def _distinct(matches: list[Run]) -> list[Run]:
    """Matches without those that feed another match, and one of those that share input and weight (a thin wrapper)."""
    kept: list[Run] = []
    for item in matches:
        feeds = any(torch.equal(item.outputs, other.inputs) for other in matches if other is not item)
        repeats = any(_repeats(item, other) for other in kept)
        if not feeds and not repeats and all(item.classifier.module is not other.classifier.module for other in kept):
            kept.append(item)
    return kept


def _repeats(run: Run, other: Run) -> bool:
    def same(one: Tensor, two: Tensor) -> bool:
        return one.shape == two.shape and torch.equal(whole(one), whole(two))

    return same(run.inputs, other.inputs) and same(run.classifier.weight, other.classifier.weight)


def _single(matches: list[Run]) -> Classifier:
    if len(matches) > 1:
        names = listing([item.classifier for item in matches])
        example = matches[0].classifier.name
        raise InputError(
            f'the model has several classifiers: {names}. Choose one by its name, for instance classifier="{example}"'
        )
    return settled(matches[0])
