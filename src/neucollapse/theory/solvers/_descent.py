"""Gradient descent: plain, with momentum, or Adam; the steps are torch's."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from ._flat import State


def descent(
    objective: Callable[[State], Tensor],
    start: State,
    stops: Iterable[int],
    lr: float,
    *,
    momentum: float = 0.0,
    adam: bool = False,
) -> Iterator[tuple[int, State]]:
    """Full-batch descent: yields the number of steps done and the state, at every stop.

    Args:
        objective: of the state, a scalar.
        start: tensors by name; they are left alone.
        stops: after how many steps it is yielded, in order; 0 is the start.
        lr: step size.
        momentum: of the heavy ball.
        adam: steps of Adam (Kingma, Ba, arXiv 1412.6980) in place of gradient descent.

    Examples:
        >>> path = descent(lambda state: (state["x"] ** 2).sum() / 2, {"x": torch.ones(2).double()}, (0, 2), lr=0.5)
        >>> [(step, state["x"].tolist()) for step, state in path]
        [(0, [1.0, 1.0]), (2, [0.25, 0.25])]
    """
    now = {name: tensor.detach().clone().requires_grad_() for name, tensor in start.items()}
    variables = list(now.values())
    optimiser = torch.optim.Adam(variables, lr) if adam else torch.optim.SGD(variables, lr, momentum=momentum)
    done = 0
    for stop in stops:
        for _ in range(stop - done):
            optimiser.zero_grad()
            objective(now).backward()
            optimiser.step()
        done = stop
        yield stop, {name: tensor.detach().clone() for name, tensor in now.items()}


def descend(
    objective: Callable[[State], Tensor], start: State, steps: int, lr: float, *, momentum: float = 0.0
) -> State:
    """The state after some steps of full-batch gradient descent; see `descent`.

    Examples:
        >>> descend(lambda state: (state["x"] ** 2).sum() / 2, {"x": torch.ones(2).double()}, steps=2, lr=0.5)["x"].tolist()
        [0.25, 0.25]
    """
    return next(descent(objective, start, (steps,), lr, momentum=momentum))[1]


def stops(steps: int, count: int) -> list[int]:
    """0 and `count` equal shares of the steps, as nearly as whole numbers allow.

    Examples:
        >>> stops(10, 4)
        [0, 2, 5, 7, 10]
    """
    return [steps * i // count for i in range(count + 1)]
