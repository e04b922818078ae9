"""A plain deep network as a state of named tensors: for models that train one."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from .._types import Float
from ._model import State


def initial_network(widths: Sequence[int], generator: torch.Generator, gain: float = 2.0) -> State:
    """Weights `weight0` (out, in), `weight1`, ... of variance gain / in, and zero biases `bias0`, ...

    Examples:
        >>> {name: tuple(tensor.shape) for name, tensor in initial_network((4, 3), torch.Generator()).items()}
        {'weight0': (3, 4), 'bias0': (3,)}
    """
    state = {}
    for layer, (before, after) in enumerate(itertools.pairwise(widths)):
        draw = torch.randn(after, before, generator=generator, dtype=torch.float64)
        state[f"weight{layer}"] = draw * (gain / before) ** 0.5
        state[f"bias{layer}"] = torch.zeros(after, dtype=torch.float64)
    return state


def layer_outputs(state: State, inputs: Float[Tensor, "N d"], *, linear: bool = False) -> list[Tensor]:
    """The inputs, the output of each hidden layer after its ReLU (or as it is), and the logits last."""
    outputs = [inputs]
    layers = sum(name.startswith("weight") for name in state)
    for layer in range(layers):
        z = outputs[-1] @ state[f"weight{layer}"].T + state[f"bias{layer}"]
        outputs.append(z if linear or layer == layers - 1 else z.relu())
    return outputs
