r"""Unconstrained features under weight decay: how fast the optimum is reached, how exactly it is predicted, a baseline.

Cross-entropy, mean over the samples, decay 5e-3 of features, weights and bias, random start, one thread, float64: L-BFGS, then
Newton steps by conjugate gradients, to a gradient norm of 1e-10 (1e-11 at K = 1000 from a Gaussian start, whose last metrics
need it). What the decay of the features counts decides whether there is
anything to find: with their sum over all samples (``total``), the decay at K = 100, n = 10 is above the threshold, and the
optimum is zero. Beside it the baseline, full-batch gradient descent with momentum 0.9 of 300 steps, of the better of two sizes
(the L-BFGS run needs about 100 evaluations); at K = 1000 of 60 steps, of one size.

    python benchmarks/theory_ufm.py        writes benchmarks/results/theory_ufm.json
"""

from _timing import save  # first: it pins the threads

import math
import time

import torch

from neucollapse.theory.settings import UFM
from neucollapse.theory.solvers import descend, minimise
from neucollapse.theory.ufm.objective import nuclear_decay, random_state, scales, ufm_objective
from neucollapse.theory.ufm.optimum import ufm_optimum
from neucollapse.theory.ufm.model import collapse_of

CASES = [
    (UFM(classes=100, dim=128, samples=10, decay_per="sample"), (10.0, 100.0), 300),
    (UFM(classes=100, dim=128, samples=10, decay_per="class"), (10.0, 100.0), 300),
    (UFM(classes=100, dim=128, samples=10, decay_per="total"), (1.0,), 300),
    (UFM(classes=1000, dim=1000, samples=1, init="orthogonal"), (100.0,), 60),
    (UFM(classes=1000, dim=1000, samples=1, tolerance=1e-11), (100.0,), 60),
]


def case(settings: UFM, sizes: tuple[float, ...], steps: int) -> dict[str, object]:
    def objective(state: dict[str, torch.Tensor]) -> torch.Tensor:
        return ufm_objective(settings, state)

    start = random_state(settings, torch.Generator().manual_seed(0))
    clock, cpu = time.perf_counter(), time.process_time()
    end = minimise(objective, start, tolerance=settings.tolerance, scales=scales(settings))
    seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
    optimum = ufm_optimum(settings)
    predicted, found = optimum.metrics(settings.samples), collapse_of(settings, end.state)
    gaps = {key: abs(found[key] - value) for key, value in predicted.items() if key in found}
    return {
        "K": settings.classes,
        "d": settings.dim,
        "n": settings.samples,
        "decay_per": settings.decay_per,
        "init": settings.init,
        "threshold_share": nuclear_decay(settings) * settings.classes,
        "collapses_to_zero": not bool(optimum.logits.any()),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "evaluations": end.evaluations,
        "gradient_norm": end.gradient_norm,
        "value_gap": end.value - optimum.value,
        "largest_metric_gap": max(gaps.values(), default=None),
        "metrics_compared": sorted(gaps),
        "gradient_descent": baseline(objective, start, sizes, steps, optimum.value),
    }


def baseline(
    objective, start: dict[str, torch.Tensor], sizes: tuple[float, ...], steps: int, least: float
) -> dict[str, object]:
    """Gradient descent of the step size that ends lowest."""
    ends = []
    for lr in sizes:
        cpu = time.process_time()
        state = descend(objective, start, steps, lr, momentum=0.9)
        variables = {name: state[name].requires_grad_() for name in start}
        value = objective(variables)
        gradients = torch.autograd.grad(value, list(variables.values()))
        norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
        numbers = {"lr": lr, "steps": steps, "cpu_seconds": time.process_time() - cpu}
        ends.append(numbers | {"value_gap": float(value.detach()) - least, "gradient_norm": norm})
    finite = [end for end in ends if math.isfinite(end["value_gap"])]
    return (
        min(finite, key=lambda end: end["value_gap"]) if finite else {"lr": sizes[0], "steps": steps, "diverged": True}
    )


def main() -> None:
    save(
        "theory_ufm",
        "How fast L-BFGS and Newton steps reach the optimum of unconstrained features, how far its metrics are from their "
        "prediction, and where gradient descent is meanwhile.",
        {"decay": 5e-3, "cases": [case(*arguments) for arguments in CASES]},
    )


if __name__ == "__main__":
    main()
