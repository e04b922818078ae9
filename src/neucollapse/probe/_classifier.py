"""`Classifier`: a layer with one weight row a class, and which layers of a model could be one."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.weight_norm import WeightNorm

# Have a two-dimensional weight, but are no map from features to classes.
_NOT_HEADS = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, eq=False, repr=False)
class Classifier:
    r"""The layer of a model that maps a feature to one number a class.

    Attributes:
        name: its dotted name inside the (unwrapped) model; empty if the model itself is the layer.
        module: the layer.
        weight: `(K, d)`, detached, sharing memory with the parameter; of a 1x1 convolution without its unit
            dimensions. Of a reparametrised layer (weight norm, spectral norm) it is the effective weight.
        bias: `(K,)` or None.
        num_classes: K, the number of rows of the weight.
        dim: d, the dimension of the features.
        is_affine: whether the layer returns $W h + b$ (a cosine head, which normalises inside, does not);
            None if the layer is of an unknown type and was not run.
        disagreement: where it was named by hand and its output is not the model's: how they differ, in words.
    """

    name: str
    module: nn.Module
    weight: Tensor
    bias: Tensor | None
    num_classes: int
    dim: int
    is_affine: bool | None = None
    disagreement: str | None = None

    def __repr__(self) -> str:
        return f"Classifier({self})"

    def __str__(self) -> str:
        kind = type(self.module).__name__
        return f"{self.name!r} ({kind}, K={self.num_classes}, d={self.dim}{', bias' if self.bias is not None else ''})"

    def channels_last(self, tensor: Tensor) -> Tensor:
        """An input or output of the layer with its channel dimension last."""
        return tensor.movedim(1, -1) if isinstance(self.module, _CONVOLUTIONS) else tensor

    def transposed(self) -> "Classifier | None":
        """The same layer with its weight read as (d, K); None where its type says that it is stored as (K, d)."""
        if self.is_affine:
            return None
        bias = _bias(self.module, self.dim)
        return replace(self, weight=self.weight.T, bias=bias, num_classes=self.dim, dim=self.num_classes)

    def gathered(self) -> "Classifier":
        """The same with weight and bias in one piece, where ranks hold parts of them (FSDP, tensor parallelism).

        Every rank must ask: they exchange their parts.
        """
        return replace(self, weight=whole(self.weight), bias=None if self.bias is None else whole(self.bias))


def whole(tensor: Tensor) -> Tensor:
    """The tensor in one piece: of a `DTensor`, of which each rank holds a part, the parts of all."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # type: ignore[attr-defined]


def disagreement_sentence(head: Classifier) -> str:
    """What a reader must know of a classifier that was named by hand, and whose output is not the model's."""
    return (
        f"The classifier {head.name!r} was named, and its output is not the model's: {head.disagreement}. What is "
        "measured of the classifier and of its decisions describes this layer, not the model"
    )


def candidates(model: nn.Module) -> list[Classifier]:
    """Every layer with a `(K, d)` weight, in order of registration. Read it inside `undisturbed`."""
    found = (as_classifier(name, module) for name, module in model.named_modules())
    return [classifier for classifier in found if classifier is not None]


def listing(found: list[Classifier]) -> str:
    """Candidates in words; of a long list the end, where classifiers stand."""
    return ("..., " if len(found) > 8 else "") + (", ".join(map(str, found[-8:])) or "none")


def as_classifier(name: str, module: nn.Module) -> Classifier | None:
    """The layer as a classifier if it has a `(K, d)` weight, else None."""
    weight = None if isinstance(module, _NOT_HEADS) else _effective_weight(module)
    if weight is None or not weight.is_floating_point():
        return None
    if isinstance(module, _CONVOLUTIONS):
        if {*module.kernel_size, *module.stride, module.groups} != {1}:
            return None
        weight = weight.flatten(1)
    if weight.ndim != 2:
        return None
    K, d = weight.shape
    # A subclass may normalise inside, so only torch's own forward is known to be affine.
    known = any(getattr(type(module), "forward", None) is kind.forward for kind in (nn.Linear, *_CONVOLUTIONS))
    return Classifier(name, module, weight, _bias(module, K), K, d, is_affine=True if known else None)


def _bias(module: nn.Module, K: int) -> Tensor | None:
    bias = getattr(module, "bias", None)
    bias = bias() if _is_packed(module) and callable(bias) else bias
    return bias.detach() if isinstance(bias, Tensor) and bias.shape == (K,) else None


def _is_packed(module: nn.Module) -> bool:
    """Whether it is one of torch's quantised layers, whose `weight` and `bias` are methods."""
    return type(module).__module__.startswith("torch.ao.nn.")


def _effective_weight(module: nn.Module) -> Tensor | None:
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm) and hook.name == "weight":  # it refreshes `weight` only in a forward pass
            return hook.compute_weight(module).detach()
    weight = getattr(module, "weight", None)
    if _is_packed(module) and callable(weight):
        packed: Any = weight()
        return packed.dequantize()
    return weight.detach() if isinstance(weight, Tensor) else None
