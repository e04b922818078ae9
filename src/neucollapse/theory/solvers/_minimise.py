"""`minimise`: L-BFGS, then Newton steps by conjugate gradients, to a gradient at rounding."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import torch
from torch import Tensor

from ..._errors import InputError
from ._flat import Flat, State

_MEMORY, _SMALL_MEMORY = 30, 5  # of L-BFGS: its own work is the larger part where variables are many
_LARGE = 20_000  # variables that are many
_HANDOVER = 1e-5  # of the first gradient norm, where Newton steps are tried
_ROUNDING = 1e-9  # of the first gradient norm, below which Newton steps that no longer help have met rounding
_NEGATIVE = 1e-6  # of the largest curvature met: below it, a negative one is rounding or the bend of a rotation


@dataclass(frozen=True)
class Minimum:
    """Where a minimisation ended.

    Attributes:
        state: the variables.
        value: of the objective.
        gradient_norm: Euclidean norm of the gradient over all variables.
        evaluations: of the objective with its gradient, or of a Hessian times a vector.
        reached: whether the gradient norm is at most the tolerance.
    """

    state: State
    value: float
    gradient_norm: float
    evaluations: int
    reached: bool


def minimise(
    objective: Callable[[State], Tensor],
    start: State,
    *,
    tolerance: float = 1e-10,
    iterations: int = 5000,
    newton_steps: int = 30,
    scales: Mapping[str, float] | None = None,
    record: Callable[[int, State], None] | None = None,
) -> Minimum:
    """A local minimum of a smooth objective, downhill from a start.

    L-BFGS (scipy) alone is slow at the end, and stops where the objective no longer changes in floating point, at gradients
    of about the square root of rounding; so does scipy's Newton-CG in trust regions, which compares values as well. Once it has
    brought the gradient to 1e-5 of the first, Newton steps by conjugate gradients with exact Hessian-vector products go on with
    the gradient alone. Where they meet negative curvature, near a saddle, or stop early, L-BFGS takes over again, to its end.
    Directions along which nothing changes (rotations) are left alone.

    Args:
        objective: of a state, a float64 scalar; twice differentiable for the Newton steps.
        start: float64 tensors by name.
        tolerance: of the gradient norm.
        iterations: of L-BFGS at most.
        newton_steps: at most; 0 for L-BFGS alone.
        scales: typical sizes of variables by name, 1 for those not named. The way down is that of the variables over their
            scales; gradient norms are those of the variables.
        record: called with the evaluations so far and the state, after iterations 0, 1, 2, 4, 8, ... of L-BFGS.

    Raises:
        InputError: if the start is not float64.

    Examples:
        >>> end = minimise(lambda state: (state["x"] ** 4 + state["x"] ** 2).sum(), {"x": torch.ones(3).double()})
        >>> end.reached, bool(end.state["x"].abs().max() < 1e-10)
        (True, True)
    """
    if any(tensor.dtype != torch.float64 for tensor in start.values()):
        raise InputError("expected a start of float64 tensors, in whose precision optima are told apart")
    flat = Flat(objective, start, scales)
    x = flat.pack(start)
    watch = _Watch(flat, x, record)
    first = flat.norm(flat(x)[1])
    x = _lbfgs(flat, x, max(tolerance, _HANDOVER * first if newton_steps else 0.0), iterations, watch)
    x, at_saddle = _newton(flat, x, tolerance, newton_steps)
    left = flat.norm(flat.gradient_at(x))
    if left > tolerance and (at_saddle or left > _ROUNDING * first):
        x = _lbfgs(flat, x, tolerance, iterations - watch.iterations, watch)
        x, _ = _newton(flat, x, tolerance, newton_steps)
    value, gradient = flat(x)
    norm = flat.norm(gradient)
    return Minimum(flat.unpack(x), value, norm, flat.evaluations, norm <= tolerance)


class _Watch:
    """Counts the iterations of L-BFGS, and shows some of them."""

    def __init__(self, flat: Flat, x: np.ndarray, record: Callable[[int, State], None] | None) -> None:
        self.flat, self.record, self.iterations = flat, record, 0
        if record is not None:
            record(flat.evaluations, flat.unpack(x))

    def step(self, x: np.ndarray) -> None:
        self.iterations += 1
        if self.record is not None and self.iterations & (self.iterations - 1) == 0:
            self.record(self.flat.evaluations, self.flat.unpack(x))


def _lbfgs(flat: Flat, x: np.ndarray, target: float, iterations: int, watch: _Watch) -> np.ndarray:
    """L-BFGS to a gradient norm, of which scipy itself knows the largest entry alone."""
    if iterations <= 0 or flat.norm(flat.gradient_at(x)) <= target:
        return x
    best = x

    def callback(now: np.ndarray) -> None:
        nonlocal best
        best = now.copy()
        watch.step(best)
        if flat.norm(flat.gradient_at(best)) <= target:
            raise StopIteration

    memory = _SMALL_MEMORY if x.size > _LARGE else _MEMORY
    options = {"maxcor": memory, "maxiter": iterations, "maxfun": 10 * iterations, "ftol": 0.0, "gtol": 0.0}
    try:
        return scipy.optimize.minimize(flat, x, jac=True, method="L-BFGS-B", options=options, callback=callback).x
    except StopIteration:  # scipy of some versions lets it through
        return best


def _newton(flat: Flat, x: np.ndarray, tolerance: float, steps: int) -> tuple[np.ndarray, bool]:
    """Newton steps as long as they shrink the gradient, and whether they ended at negative curvature."""
    for _ in range(steps):
        gradient = flat.gradient_at(x)
        if flat.norm(gradient) <= tolerance:
            break
        norm = float(np.linalg.norm(gradient))
        step = _conjugate_gradients(flat.hessian_product(x), -gradient, tolerance=min(0.1, norm**0.5))
        if step is None:
            return x, True
        moved = _shorter_gradient(flat, x, step, norm)
        if moved is None:
            break
        x = moved
    return x, False


def _shorter_gradient(flat: Flat, x: np.ndarray, step: np.ndarray, norm: float) -> np.ndarray | None:
    """The point after a step, halved until the gradient is shorter than it was; None where it never is."""
    for _ in range(20):
        if np.linalg.norm(flat(x + step)[1]) < norm:
            return x + step
        step = step / 2
    return None


def _conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray], right: np.ndarray, tolerance: float, iterations: int = 500
) -> np.ndarray | None:
    """Solve H x = right to a relative residual; what there is at a direction without curvature, None at a negative one."""
    x, residual = np.zeros_like(right), right.copy()
    direction, squared = residual.copy(), residual @ residual
    least, largest = tolerance**2 * squared, 0.0
    for _ in range(iterations):
        image = product(direction)
        curvature = direction @ image / (direction @ direction)
        largest = max(largest, abs(curvature))
        if curvature < -_NEGATIVE * largest:
            return None
        if curvature <= 0:
            break
        step = squared / (direction @ image)
        x += step * direction
        residual -= step * image
        before, squared = squared, residual @ residual
        if squared <= least:
            break
        direction = residual + squared / before * direction
    return x if x.any() else None
