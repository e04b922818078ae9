"""Adam, with everything it remembers in the state, so that a resumed run is bit-equal."""

from collections.abc import Callable

import torch
from torch import Tensor

from ._flat import State


def adam(
    objective: Callable[[State], Tensor],
    state: State,
    steps: int,
    lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
) -> State:
    """Some full-batch steps of Adam (Kingma, Ba, arXiv 1412.6980).

    Args:
        objective: of the variables, a scalar.
        state: tensors by name. Moments are kept in it as ``first/NAME`` and ``second/NAME``, the number of steps as ``steps/``.
        steps: how many.
        lr: step size.
        betas: of the moments; ``epsilon``: beside the root of the second.

    Example:
        >>> round(float(adam(lambda state: state["x"] ** 2, {"x": torch.tensor(1.0).double()}, steps=3, lr=0.1)["x"]), 3)
        0.702
    """
    names = [name for name in state if "/" not in name]
    state = {name: tensor.detach().clone() for name, tensor in state.items()}
    done = int(state.get("steps/", 0))
    for step in range(done + 1, done + steps + 1):
        variables = {name: state[name].requires_grad_() for name in names}
        gradients = torch.autograd.grad(objective(variables), list(variables.values()))
        for name, gradient in zip(names, gradients, strict=True):
            first = torch.lerp(gradient, state.get(f"first/{name}", torch.zeros_like(gradient)), betas[0])
            second = torch.lerp(gradient**2, state.get(f"second/{name}", torch.zeros_like(gradient)), betas[1])
            mean, square = first / (1 - betas[0] ** step), second / (1 - betas[1] ** step)
            state[name] = state[name].detach() - lr * mean / (square.sqrt() + epsilon)
            state |= {f"first/{name}": first, f"second/{name}": second}
    return state | {"steps/": torch.tensor(done + steps)}
