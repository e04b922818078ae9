"""Inner layers: which ones `layers="auto"` means, and how their outputs become one vector a label."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .._errors import InputError

Pool = str | Callable[[Tensor], Tensor]  # "mean", "flatten" or a function
_ENOUGH = 4  # blocks; with fewer, the largest chain of blocks is opened


def main_layers(model: nn.Module, classifier: str = "") -> list[str]:
    """Names of the main blocks of a model, in order of registration, without its classifier.

    Wrappers, module lists and whatever holds the classifier are opened. Of their children those that have children
    themselves are blocks (residual stages, transformer layers); a plain chain of single layers gives one block for
    each layer with weights, named by the last layer before the next one (the activation). While there are fewer than
    4 blocks, the largest chain among them is opened as well.

    Examples:
        >>> main_layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)), "4")
        ['1', '3']
    """
    blocks = _children(model, "", classifier)
    while len(blocks) < _ENOUGH:
        chains = [name for name in blocks if _chain_length(model.get_submodule(name)) > 1]
        if not chains:
            break
        largest = max(chains, key=lambda name: _size(model.get_submodule(name)))
        at = blocks.index(largest)
        blocks[at : at + 1] = _children(model.get_submodule(largest), f"{largest}.", classifier)
    return blocks


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _chain_length(module: nn.Module) -> int:
    """How many blocks a chain has: a Sequential, a module list, or a module that holds nothing else with weights."""
    inner = [child for child in module.children() if _starts_block(child)]
    if isinstance(module, nn.Sequential | nn.ModuleList):
        return len(inner)
    return _chain_length(inner[0]) if len(inner) == 1 else 0


def _has_children(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _children(module: nn.Module, prefix: str, classifier: str) -> list[str]:
    """The blocks inside a module, as dotted names."""
    if isinstance(module, nn.Sequential) and not any(_has_children(child) for child in module):
        return [name for name in _chain_ends(module, prefix, classifier) if name != classifier]
    weighted = [(f"{prefix}{name}", child) for name, child in module.named_children() if _size(child)]
    weighted = [(name, child) for name, child in weighted if name != classifier]
    nested = [(name, child) for name, child in weighted if _has_children(child)]
    blocks = []
    for name, child in nested or [(name, child) for name, child in weighted if _starts_block(child)]:
        is_list = isinstance(child, nn.ModuleList | nn.ModuleDict)
        opened = is_list or classifier.startswith(f"{name}.") or (len(weighted) == 1 and _has_children(child))
        blocks += _children(child, f"{name}.", classifier) if opened else [name]
    return blocks


def _chain_ends(chain: nn.Sequential, prefix: str, classifier: str) -> list[str]:
    """For each layer with weights, the last layer before the next one; dropout changes nothing in eval mode."""
    ends: list[str] = []
    for name, child in chain.named_children():
        full = f"{prefix}{name}"
        if full == classifier:
            break
        if _starts_block(child):
            ends.append(full)
        elif ends and not isinstance(child, nn.Dropout | nn.Flatten):
            ends[-1] = full
    return ends


def _starts_block(module: nn.Module) -> bool:
    normalisation = "Norm" in type(module).__name__
    return _size(module) > 0 and not normalisation and not isinstance(module, nn.PReLU)


def features_of(output: Tensor, module: nn.Module, label_dims: int, pool: Pool) -> Tensor:
    """One feature a label from a layer's output, `(rows, d)`, in memory of its own.

    With one label a sample (`label_dims` 1), `pool="mean"` averages over every dimension but the sample's and the
    channels' (a global average pool, or a mean over tokens) and `"flatten"` keeps all numbers. With a label for each
    position (tokens, pixels) channels are last and positions are rows. A function of the output replaces both rules.

    Raises:
        InputError: if the output has no such dimensions.
    """
    if callable(pool):
        return _two_dimensional(pool(output)).clone()
    if label_dims > 1:
        if output.ndim != label_dims + 1:
            raise InputError(
                f"expected {label_dims + 1} dimensions, one vector for each of the labels' {label_dims}, got an output "
                f"of shape {tuple(output.shape)}; pass pool=, a function that gives (rows, d)"
            )
        return output.reshape(-1, output.shape[-1]).clone()
    if pool == "flatten" or output.ndim == 2:
        return output.flatten(1).clone()
    channels = channel_axis(module, output.shape)
    others = [axis for axis in range(1, output.ndim) if axis != channels]
    half = output.dtype in (torch.float16, torch.bfloat16)  # a mean rounded to half precision would floor NC1
    return output.mean(dim=others, dtype=torch.float32 if half else None)


def _two_dimensional(features: object) -> Tensor:
    if not (isinstance(features, Tensor) and features.ndim == 2):
        got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise InputError(f"expected pool to return a tensor of shape (rows, d), got {got}")
    return features


def channel_axis(module: nn.Module, shape: torch.Size) -> int:
    """The dimension of an output that holds channels.

    It is the one as large as what the module's last layer with weights gives; where that does not decide, 1 for four
    dimensions and more (images) and the last for three (tokens).
    """
    usual = 1 if len(shape) > 3 else len(shape) - 1
    weights = [weight for layer in module.modules() if isinstance(weight := getattr(layer, "weight", None), Tensor)]
    width = weights[-1].shape[0] if weights and weights[-1].ndim else None
    fitting = [axis for axis in (1, len(shape) - 1) if shape[axis] == width]
    return fitting[0] if len(fitting) == 1 else usual
