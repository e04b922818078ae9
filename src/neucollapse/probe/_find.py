"""`find_classifier`: the last linear map of any model, found by running it or, without data, by its structure."""

from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from .._errors import InputError
from .._names import did_you_mean, names_options
from ._batches import Forward, call, copied_to, device_of
from ._classifier import Classifier, as_classifier, candidates, listing
from ._identify import by_name, by_running
from ._state import RandomState, undisturbed, unwrap

_COMMON_NAMES = ("fc", "classifier", "head", "heads", "lm_head", "score", "logits", "output", "out")


@names_options
def find_classifier(
    model: nn.Module,
    example: Any = None,
    *,
    name: str | nn.Module | None = None,
    forward: Forward | None = None,
    labels: Tensor | None = None,
) -> Classifier:
    """Find the classifier of a model: the layer whose output is the model's output.

    With an example the model is run once (eval mode, no gradients, state restored) and the classifier is the layer with
    a `(K, d)` weight, taking d numbers, whose output is the model's output; softmax, log-softmax or a temperature after
    it are seen through. Without an example it is what the model declares (`get_classifier`, `get_output_embeddings`),
    else the layer under a common name (fc, classifier, head, ...), else the last linear layer.

    Args:
        model: any module; parallel wrappers and `torch.compile` are looked through.
        example: the inputs of a batch: a tensor, a tuple of arguments or a dict of keyword arguments.
        name: the layer's dotted name, or the layer itself, where you know it; then nothing is searched for, but with
            an example its output is compared with the model's (`Classifier.disagreement`).
        forward: called as `forward(model, example)` in place of `model(example)`.
        labels: of the example. They only serve the advice where no layer gives the output: one that is hardly ever
            right is not advised.

    Returns:
        The classifier. Where there is none, or several layers could be it, an `InputError` names them; an error of the
        model's own code is a `ForwardError`.

    Examples:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3))
        >>> find_classifier(model, torch.zeros(2, 8))
        Classifier('2' (Linear, K=3, d=4, bias))
    """
    model = unwrap(model)
    _refuse_uninitialised(model)
    with RandomState().active(), undisturbed(model):
        known = None if name is None else _usable(_named(model, name))
        if example is None:
            return (known or _usable(_by_structure(model))).gathered()
        inputs = copied_to(example, device_of(model))

        def run() -> Any:
            return call(model, inputs, forward)

        return _usable(by_running(model, run, labels) if known is None else by_name(known, run))


def _named(model: nn.Module, name: str | nn.Module) -> Classifier:
    modules = dict(model.named_modules())
    if isinstance(name, nn.Module):
        matches = [known for known, module in modules.items() if module is name]
    else:
        # A name read off a wrapped model starts with the wrapper's attribute.
        names = (name, name.removeprefix("module."), name.removeprefix("_orig_mod."))
        matches = [known for known in names if known in modules]
    if not matches:
        asked = repr(name) if isinstance(name, str) else f"the given {type(name).__name__}"
        linear = [item.name for item in candidates(model)]
        end = (
            did_you_mean(name, linear, kind="linear layer")
            if isinstance(name, str)
            else f"it has {listing(candidates(model))}"
        )
        raise InputError(f"the model has no layer {asked}; {end}")
    if (classifier := as_classifier(matches[0], modules[matches[0]])) is None:
        kind = type(modules[matches[0]]).__name__
        raise InputError(
            f"expected classifier={matches[0]!r} to have a weight of shape (K, d); {kind} has none. "
            f"The model's linear layers are {listing(candidates(model))}"
        )
    return classifier


def _refuse_uninitialised(model: nn.Module) -> None:
    lazy = [name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if is_lazy(tensor)]
    if lazy:
        raise InputError(
            f"the model has parameters without a shape yet ({lazy[0]}, ...): run one batch through it first"
        )


def _usable(classifier: Classifier) -> Classifier:
    if classifier.num_classes < 2:
        raise InputError(
            f"expected a classifier of at least 2 classes, got {classifier}. For a model with one sigmoid output give "
            "it the two-class head of rows 0 and w with biases 0 and b, which has the same decisions"
        )
    return classifier


# ---- by structure alone ----------------------------------------------------------------------------------------------


def _by_structure(model: nn.Module) -> Classifier:
    """The classifier a model declares, else the one under a common name, else its last linear layer."""
    found = candidates(model)
    if not found:
        raise InputError(
            f"{type(model).__name__} has no layer with a weight of shape (K, d), so it has no classifier to measure: "
            "measure features and labels instead, or add the head it is used with"
        )
    ends = [item for item in found if not _feeds_another(item, found)] or found[-1:]
    for choices in (_declared(model, found), _commonly_named(ends)):
        if choices:
            return _single(choices)
    return _single([*_rivals(model, ends[-1], ends), ends[-1]])


def _single(choices: list[Classifier]) -> Classifier:
    if len(choices) > 1:
        raise InputError(
            f"several layers could be the classifier: {listing(choices)}. Give a loader or an example batch to see "
            "which one gives the output, or choose one by its name with classifier="
        )
    return choices[0]


def _declared(model: nn.Module, found: list[Classifier]) -> list[Classifier]:
    """What `get_classifier` (timm) or `get_output_embeddings` (transformers) return."""
    for method in ("get_classifier", "get_output_embeddings"):
        declared = getattr(model, method, None)
        heads = declared() if callable(declared) else None
        heads = [
            head for head in (heads if isinstance(heads, tuple | list) else (heads,)) if isinstance(head, nn.Module)
        ]
        inside = [last for head in heads if (last := _last_of(head, found)) is not None]
        if heads and not inside:
            kinds = ", ".join(type(head).__name__ for head in heads)
            raise InputError(f"the model declares no classifier: its {method}() is {kinds}. Give it one to measure")
        if inside:
            return inside
    return []


def _last_of(head: nn.Module, found: list[Classifier]) -> Classifier | None:
    members = set(head.modules())
    return next((item for item in reversed(found) if item.module in members), None)


def _feeds_another(item: Classifier, found: list[Classifier]) -> bool:
    """Whether a later layer takes as many numbers as this one gives: then this one is hidden."""
    later = found[found.index(item) + 1 :]
    return any(other.dim == item.num_classes for other in later)


def _commonly_named(ends: list[Classifier]) -> list[Classifier]:
    """The ends under a common name, at the least depth where there is one."""
    depths = {}
    for item in ends:
        parts = item.name.split(".")
        named = [depth for depth, part in enumerate(parts) if part in _COMMON_NAMES]
        if named:
            depths.setdefault(named[0], []).append(item)
    return depths[min(depths)] if depths else []


def rivals(model: nn.Module, head: Classifier) -> list[Classifier]:
    """Other heads: last layers that stand beside this one on features of the same dimension."""
    found = candidates(model)
    return _rivals(model, head, [item for item in found if not _feeds_another(item, found)])


def _rivals(model: nn.Module, head: Classifier, ends: list[Classifier]) -> list[Classifier]:
    parent = head.name.rpartition(".")[0]
    if isinstance(model.get_submodule(parent), nn.Sequential):
        return []
    beside = [item for item in ends if item.name.rpartition(".")[0] == parent and item.dim == head.dim]
    return [item for item in beside if item.module is not head.module]
