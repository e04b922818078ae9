"""What to say where no layer's output is the model's: only a layer that may be the classifier is named as one to choose."""

from typing import Any

import torch
from torch import Tensor, nn

from ._batches import describe
from ._classifier import Classifier, listing
from ._runs import Run, output_tensors

_INSTEAD = (
    "Form the logits in an nn.Linear that shares the weight, or measure features and labels: "
    "measure((features, labels), weight=W)"
)


def no_match(model: nn.Module, output: Any, runs: list[Run], labels: Tensor | None) -> str:
    """The sentences of the error.

    A layer is named as the one to choose only where it decides as the model's output does, and, with labels, is right
    more often than by chance.
    """
    start = f"no layer with a (K, d) weight gives the model's output: the model returned {describe(output)}"
    tensors = output_tensors(output)
    if not tensors:
        return f"{start}, which holds no scores. Return the logits too, or choose the layer with classifier="
    if any(not torch.isfinite(tensor).all() for tensor in tensors):
        return f"{start}, which holds NaN or infinity, so no layer can be compared with it"
    if all(_of_unit_norm(tensor) for tensor in tensors):
        return f"{start} with rows of unit norm, as embeddings have: the head that decides lies in the loss. {_INSTEAD}"
    sized = [item for item in runs if any(item.decides(tensor) is not None for tensor in tensors)]
    alike = [item for item in sized if any(item.decides(tensor) == len(item.outputs) for tensor in tensors)]
    if heads := _layers([item for item in alike if not item.guesses(labels)]):
        K, name = heads[-1].num_classes, heads[-1].name
        return (
            f"{start}. An operation after {listing(heads)} changes its numbers, not its decisions. If they are scores of "
            f'{K} classes, choose it with classifier="{name}"; if they are an embedding, the head lies in the loss. '
            f"{_INSTEAD}"
        )
    if sized:
        return (
            f"{start}. Layers of this size ran ({listing(_layers(sized))}), but none gives these numbers: a sum of "
            "heads, an adapter beside a layer, an activation or a shift comes after, or the head lies in the loss. "
            f"Merge what comes after into one layer. {_INSTEAD}"
        )
    return (
        f"{start}. No layer that ran gives as many numbers a row{_packed(model)}: the head is a function, or lies in "
        f"the loss. {_INSTEAD}"
    )


def _layers(runs: list[Run]) -> list[Classifier]:
    return list({id(item.classifier.module): item.classifier for item in runs}.values())


def _of_unit_norm(tensor: Tensor) -> bool:
    norms = torch.linalg.vector_norm(tensor.detach()[:64].double(), dim=-1)
    return bool(((norms - 1).abs() < 1e-2).all())


def _packed(model: nn.Module) -> str:
    """Layers whose weights are no floating-point numbers, in words."""
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(weight := getattr(module, "weight", None), Tensor) and not weight.is_floating_point()
    ]
    return f" ({names[-1]!r} holds a quantised weight: measure the model before it is quantised)" if names else ""
