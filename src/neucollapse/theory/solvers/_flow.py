"""`flow`: follow an ordinary differential equation of named tensors to the accuracy of the integrator."""

from collections.abc import Callable

import numpy as np
import scipy.integrate

from ..._errors import SolverError
from ._flat import Packing, State


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
        >>> import torch
        >>> end = flow(lambda t, state: {"x": -state["x"]}, {"x": torch.ones(1).double()}, 0.0, 1.0)
        >>> print(f"{end['x'].item():.10f}")
        0.3678794412
    """
    packing = Packing(state)

    def slope(time: float, x: np.ndarray) -> np.ndarray:
        return packing.pack(velocity(time, packing.unpack(x)))

    span, start = (begin, end), packing.pack(state)
    solution = scipy.integrate.solve_ivp(slope, span, start, "DOP853", [end], rtol=rtol, atol=atol)
    if not solution.success:
        raise SolverError(f"the flow from {begin:g} to {end:g} stopped: {solution.message}")
    return packing.unpack(solution.y[:, -1])
