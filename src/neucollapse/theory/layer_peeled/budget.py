r"""The relaxation with a bound in place of a decay: minimise F(Z) over $|Z|_* \le \rho$, as Fang et al. state it.

Mean squared norms of at most E_W for the classifier and, averaged within classes first, E_H for the features allow exactly
the logits with $|Z|_* \le \rho = K \sqrt{E_W E_H}$. The multiplier of the bound is a decay: the solution is that of
`Relaxation(..., per="class")` with $\lambda$ such that the norm is $\rho$. Derived here.
"""

import math

import scipy.optimize
import torch
from torch import Tensor

from ..relaxation import Loss, Relaxation, nuclear_norm
from ..solvers import minimise
from .step import StepLogits, step_logits


def budget_logits(counts: Tensor, majority: int, radius: float, loss: Loss) -> tuple[Tensor, float]:
    """The optimum (K, K) within a nuclear norm of `radius` and its multiplier; the first `majority` classes share a size."""
    problem = Relaxation(counts, 0.0, loss, "class")
    logits = _cross_entropy(problem, majority, radius) if loss == "ce" else _mean_squares(problem, radius)
    return logits, float(torch.linalg.matrix_norm(problem.gradient(logits), 2))


def budget_bound(counts: Tensor, logits: Tensor, radius: float, loss: Loss) -> float:
    """A bound from below on F within the radius, from any logits: the dual value at their own multiplier."""
    gradient = Relaxation(counts, 0.0, loss, "class").gradient(logits)
    decay = float(torch.linalg.matrix_norm(gradient, 2))
    return Relaxation(counts, decay, loss, "class").lower_bound(logits) - decay * radius


def _mean_squares(problem: Relaxation, radius: float) -> Tensor:
    if radius >= len(problem.counts):
        return torch.eye(len(problem.counts), dtype=torch.float64)

    def excess(decay: float) -> float:
        return float(Relaxation(problem.counts, decay, "mse", "class").mse_logits().sum()) - radius

    bracket = (0.0, float(problem.proportions.max()))
    decay = scipy.optimize.root_scalar(excess, bracket=bracket, method="brentq", xtol=1e-16).root
    return Relaxation(problem.counts, decay, "mse", "class").mse_logits()


def _cross_entropy(problem: Relaxation, majority: int, radius: float) -> Tensor:
    """Four numbers, squares where they must not be negative, scaled to the radius."""
    shape = StepLogits(majority, len(problem.counts) - majority)
    sizes = torch.tensor([shape.majority - 1, shape.minority - 1])

    def logits(state: dict[str, Tensor]) -> Tensor:
        within = state["root"] ** 2 * (sizes > 0)
        norm = (sizes * within).sum() + state["between"].norm()
        return shape.logits(within * radius / norm, state["between"] * radius / norm)

    start = {"root": torch.ones(2).double(), "between": torch.tensor([1.0, -1.0]).double()}
    end = minimise(lambda state: problem._loss(logits(state)), start, tolerance=1e-13)
    return logits(end.state)


def budget_threshold(majority: int, minority: int, radius: float, loss: Loss) -> float:
    r"""The ratio from which on minority classes merge; infinite where they never do.

    At the threshold the multiplier is the minority's share $p_B = 1 / (A R + B)$ (`Relaxation.survives`), so it
    is the R at which the optimum with that decay has the norm $\rho$. For the mean squared error that is
    $A (1 - 1/R) = \rho$. Derived here.
    """
    if loss == "mse":
        return 1 / (1 - radius / majority) if radius < majority else math.inf

    def excess(log_ratio: float) -> float:
        ratio = math.exp(log_ratio)
        counts = torch.tensor([ratio] * majority + [1.0] * minority, dtype=torch.float64)
        problem = Relaxation(counts, 1 / (majority * ratio + minority), "ce", "class")
        return float(nuclear_norm(step_logits(problem, majority))) - radius

    most = math.log(1e8)
    if excess(most) <= 0:
        return math.inf
    return math.exp(scipy.optimize.root_scalar(excess, bracket=(0.0, most), method="brentq", xtol=1e-10).root)
