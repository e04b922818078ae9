"""The classifier by running the model: the layer whose output is the model's output."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .._errors import InputError
from ._advice import no_match
from ._batches import describe
from ._classifier import Classifier, candidates, listing, whole
from ._runs import Run, has_same_order, is_same, output_tensors, run_watched

_LARGEST = 1 << 26  # numbers that finding W by unit vectors may take
_SLACK = 16  # roundings of the largest sum; 4 suffice for a matrix product, W by unit vectors adds its own


def by_running(model: nn.Module, run: Callable[[], Any], labels: Tensor | None = None) -> Classifier:
    """Run the model once and return the layer whose output it returned; softmax or a temperature may follow it.

    Raises:
        InputError: if there is none or several; of `labels` depends which layer the sentence advises to choose.
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
    return replace(_settled(runs[-1]), disagreement=_disagreement(runs, output))


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
    return _settled(matches[0])


# ---- which W and b it applies ----------------------------------------------------------------------------------------


def _settled(run: Run) -> Classifier:
    """The classifier with the weight and the bias it applied, and `is_affine` known.

    A subclass of Linear, a wrapper or a layer of one's own may hold `weight` and apply something else: its transpose,
    its sum with an adapter's product (LoRA), its unit rows (a cosine head). What it holds is tried first, then the
    transpose, then what it returns for zero and the unit vectors. None of these being W h + b, it is not affine.
    """
    classifier = run.classifier.gathered()
    if classifier.is_affine:
        return classifier
    for candidate in _readings(classifier, run):
        if _applies(candidate, run.inputs, run.outputs, run.precision):
            return replace(candidate, is_affine=True)
    return replace(classifier, is_affine=False)


def _readings(classifier: Classifier, run: Run) -> Iterator[Classifier]:
    yield classifier
    if classifier.num_classes == classifier.dim and (other := classifier.transposed()) is not None:
        yield other
    found = _by_unit_vectors(run)
    if found is not None:
        yield found


def _by_unit_vectors(run: Run) -> Classifier | None:
    """W and b from f(0) = b and f(e_i) = w_i + b; None unless f(2h) follows from them as well as f(h)."""
    head = run.classifier
    if head.dim * (head.num_classes + head.dim) > _LARGEST:
        return None
    size = float(run.inputs.abs().max()) or 1.0  # unit vectors as long as features, so that b does not drown W
    ends = torch.zeros(1, head.dim, dtype=torch.float64), size * torch.eye(head.dim, dtype=torch.float64)
    probes = torch.cat([*ends, 2 * run.inputs])
    try:
        outputs = head.module(probes.to(run.device, run.dtype))
        rows = outputs.detach().to("cpu", torch.float64)
    except Exception:  # the layer's own code, on an input of another shape than it was made for
        return None
    if rows.shape != (len(probes), head.num_classes):
        return None
    b, W, doubled = rows[0], (rows[1 : 1 + head.dim] - rows[0]).T / size, rows[1 + head.dim :]
    bias = b if bool(b.any()) else None
    found = replace(head, weight=W.contiguous(), bias=bias)
    return found if _applies(found, 2 * run.inputs, doubled, run.precision) else None


def _applies(classifier: Classifier, inputs: Tensor, outputs: Tensor, precision: float) -> bool:
    """Whether the outputs are W h + b, up to rounding."""
    W = classifier.weight.to("cpu", torch.float64)
    b = (
        torch.zeros(len(W), dtype=torch.float64)
        if classifier.bias is None
        else classifier.bias.to("cpu", torch.float64)
    )
    rounding = _SLACK * precision * ((inputs.abs() @ W.abs().T).max() + b.abs().max())
    return bool(((inputs @ W.T + b - outputs).abs() <= rounding).all())
