"""``Classifier``: a layer with one weight row a class, and which layers of a model could be one."""

from dataclasses import dataclass

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
        weight: ``(K, d)``, detached, sharing memory with the parameter; of a 1x1 convolution without its unit
            dimensions. Of a reparametrised layer (weight norm, spectral norm) it is the effective weight.
        bias: ``(K,)`` or None.
        num_classes: K, the number of rows of the weight.
        dim: d, the dimension of the features.
        is_affine: whether the layer returns :math:`W h + b` (a cosine head, which normalises inside, does not);
            None if the layer is of an unknown type and was not run.
    """

    name: str
    module: nn.Module
    weight: Tensor
    bias: Tensor | None
    num_classes: int
    dim: int
    is_affine: bool | None = None

    def __repr__(self) -> str:
        return f"Classifier({self})"

    def __str__(self) -> str:
        kind = type(self.module).__name__
        return f"{self.name!r} ({kind}, K={self.num_classes}, d={self.dim}{', bias' if self.bias is not None else ''})"

    def channels_last(self, tensor: Tensor) -> Tensor:
        """An input or output of the layer with its channel dimension last."""
        return tensor.movedim(1, -1) if isinstance(self.module, _CONVOLUTIONS) else tensor


def candidates(model: nn.Module) -> list[Classifier]:
    """Every layer with a ``(K, d)`` weight, in order of registration. Read it inside ``undisturbed``."""
    found = (as_classifier(name, module) for name, module in model.named_modules())
    return [classifier for classifier in found if classifier is not None]


def listing(found: list[Classifier]) -> str:
    """Candidates in words; of a long list the end, where classifiers stand."""
    return ("..., " if len(found) > 8 else "") + (", ".join(map(str, found[-8:])) or "none")


def as_classifier(name: str, module: nn.Module) -> Classifier | None:
    """The layer as a classifier if it has a ``(K, d)`` weight, else None."""
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
    bias = getattr(module, "bias", None)
    bias = bias.detach() if isinstance(bias, Tensor) and bias.shape == (K,) else None
    # A subclass may normalise inside, so only torch's own forward is known to be affine.
    known = any(getattr(type(module), "forward", None) is kind.forward for kind in (nn.Linear, *_CONVOLUTIONS))
    return Classifier(name, module, weight, bias, K, d, is_affine=True if known else None)


def _effective_weight(module: nn.Module) -> Tensor | None:
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm) and hook.name == "weight":  # it refreshes ``weight`` only in a forward pass
            return hook.compute_weight(module).detach()
    weight = getattr(module, "weight", None)
    return weight.detach() if isinstance(weight, Tensor) else None
