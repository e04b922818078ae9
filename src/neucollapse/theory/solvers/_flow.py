"""`flow`: follow an ordinary differential equation of named tensors to the accuracy of the integrator."""

from collections.abc import Callable

import numpy as np
import scipy.integrate
import torch

from ..._errors import SolverError
from ._flat import State


def flow(
    velocity: Callable[[float, State], State],
    state: State,
    begin: float,
    end: float,
    *,
    rtol: float = 1e-10,
    atol: float = 1e-12,
) -> State:
    """The state at `end` of the flow that is at `state` at `begin`: Runge-Kutta of order 8 with error control (scipy).

    Args:
        velocity: of time and state; a tensor for each name of the state.
        state: float64 tensors by name.
        begin: time of the state.
        end: time asked for.
        rtol: relative error of a step.
        atol: absolute error of a step.

    Raises:
        SolverError: if the integrator gives up.

    Examples:
        >>> end = flow(lambda t, state: {"x": -state["x"]}, {"x": torch.ones(1).double()}, 0.0, 1.0)
        >>> print(f"{end['x'].item():.10f}")
        0.3678794412
    """
    names, sizes = list(state), [tensor.numel() for tensor in state.values()]

    def unpack(x: np.ndarray) -> State:
        parts = torch.from_numpy(x.copy()).split(sizes)
        return {name: part.reshape(state[name].shape) for name, part in zip(names, parts, strict=True)}

    def pack(tensors: State) -> np.ndarray:
        return torch.cat([tensors[name].detach().reshape(-1) for name in names]).numpy()

    solution = scipy.integrate.solve_ivp(
        lambda time, x: pack(velocity(time, unpack(x))),
        (begin, end),
        pack(state),
        "DOP853",
        [end],
        rtol=rtol,
        atol=atol,
    )
    if not solution.success:
        raise SolverError(f"the flow from {begin:g} to {end:g} stopped: {solution.message}")
    return unpack(solution.y[:, -1])
