"""The classifier without data, from the structure of a model: declared, commonly named, or last."""

from torch import nn

from .._errors import InputError
from ._classifier import Classifier, candidates, listing

COMMON_NAMES = ("fc", "classifier", "head", "heads", "lm_head", "score", "logits", "output", "out")


def by_structure(model: nn.Module) -> Classifier:
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
    """What ``get_classifier`` (timm) or ``get_output_embeddings`` (transformers) return."""
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
        named = [depth for depth, part in enumerate(parts) if part in COMMON_NAMES]
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
