"""Gradient descent: plain, with momentum, or with a step relative to the gradient, as flows of vanishing losses need."""

from collections.abc import Callable

import torch
from torch import Tensor

from ._flat import State


def descend(
    objective: Callable[[State], Tensor],
    state: State,
    steps: int,
    lr: float,
    *,
    momentum: float = 0.0,
    normalise: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> State:
    """Some steps of full-batch gradient descent.

    Args:
        objective: of the state, a scalar.
        state: tensors by name. With momentum, velocities are kept in it as ``velocity/NAME``.
        steps: how many.
        lr: step size.
        momentum: of the heavy ball.
        normalise: of the loss and the norm of the gradient, what the step is divided by: ``lambda loss, norm: loss`` follows
            the flow of log loss, whose path is the same and whose speed does not vanish.

    Example:
        >>> state = {"x": torch.ones(2).double()}
        >>> descend(lambda state: (state["x"] ** 2).sum() / 2, state, steps=2, lr=0.5)["x"].tolist()
        [0.25, 0.25]
    """
    names = [name for name in state if not name.startswith("velocity/")]
    state = {name: tensor.detach().clone() for name, tensor in state.items()}
    for _ in range(steps):
        variables = {name: state[name].requires_grad_() for name in names}
        value = objective(variables)
        gradients = torch.autograd.grad(value, list(variables.values()))
        scale = 1.0
        if normalise is not None:
            norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
            scale = 1 / float(normalise(value.detach(), norm))
        for name, gradient in zip(names, gradients, strict=True):
            step = gradient * scale
            if momentum:
                step = step + momentum * state.get(f"velocity/{name}", torch.zeros_like(step))
                state[f"velocity/{name}"] = step
            state[name] = state[name].detach() - lr * step
    return state
