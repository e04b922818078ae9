"""Euler-Maruyama for Ito equations with diagonal noise."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def euler_maruyama(
    drift: Callable[[float, Tensor], Tensor],
    noise: Callable[[float, Tensor], Tensor | float],
    start: Tensor,
    times: Tensor,
    increments: Iterator[Tensor],
) -> Tensor:
    r"""The state at the last time of $dX = f(t, X)\,dt + g(t, X) \odot dB$, one step between neighbouring times.

    $$X_{j+1} = X_j + (t_{j+1} - t_j) f(t_j, X_j) + g(t_j, X_j) \odot \Delta B_j$$

    Weak order 1; strong order 1/2, and 1 where g does not depend on X.

    Args:
        drift: f.
        noise: g, a tensor like X or a number.
        start: X at the first time.
        times: (steps + 1,), increasing.
        increments: of the Brownian motion, one for each step; see `brownian_increments`.

    Examples:
        >>> times = torch.linspace(0, 1, 1001, dtype=torch.float64)
        >>> still = iter(torch.zeros(1000, 1, dtype=torch.float64))  # without noise: Euler's method
        >>> float(euler_maruyama(lambda t, x: -x, lambda t, x: 1.0, torch.ones(1).double(), times, still).round(decimals=3))
        0.368
    """
    state, grid = start, times.tolist()
    for time, after, increment in zip(grid, grid[1:], increments, strict=False):
        state = state + (after - time) * drift(time, state) + noise(time, state) * increment
    return state


def brownian_increments(times: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Iterator[Tensor]:
    """Independent Brownian increments of variance t_{j+1} - t_j, drawn as they are needed."""
    for step in times.diff().tolist():
        yield step**0.5 * torch.randn(shape, generator=generator, dtype=torch.float64)
