r"""Minimising a cross-entropy that is too small to move, or its logarithm: what margin is reached.

Free features: one unit feature and one unit direction a class, (d, K) = (10, 100), all moved by L-BFGS (torch,
strong Wolfe line search, history 20, about 1,000 evaluations of the loss at most) from random directions, at three temperatures,
in float64 and float32, five seeds. The margin is the exact one-vs-rest margin of the class directions; loss and gradient
are the plain cross-entropy's at the end, in float64, whatever was minimised. What is minimised:

- ``torch``: torch's cross-entropy, with the default tolerances of L-BFGS (gradient 1e-7, change 1e-9);
- ``ours``: ours, whose gradient is exact however small, with these tolerances;
- ``torch, no tolerance``, ``ours, no tolerance``: the same with tolerances of 0;
- ``ours, times e^(0.6 s)``: ours times a constant that makes it about 1 at the optimum, default tolerances. A control: it tells a
  loss that is too small from a loss of the wrong shape, and one has to know the optimum to choose the constant.
  In float32 at s = 100 all seeds end in NaN;
- ``log``: the logarithm of ours, default tolerances.

    python benchmarks/terminal_objective.py        writes benchmarks/results/terminal_objective.json
"""

from _timing import save  # first: it pins the threads

import math
import statistics

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from neucollapse.geometry import best_known, one_vs_rest
from neucollapse.losses import cosine_logits, spherical_ce

D, K, SCALES, SEEDS, EVALUATIONS = 10, 100, (20.0, 50.0, 100.0), range(5), 1000
LABELS = torch.arange(K)
TOLERANCES, NONE = (1e-7, 1e-9), (0.0, 0.0)  # of the gradient and of the change; torch's defaults come first


def torch_ce(x: Tensor, W: Tensor, s: float) -> Tensor:
    return F.cross_entropy(cosine_logits(x, W, s), LABELS)


def ours(x: Tensor, W: Tensor, s: float) -> Tensor:
    return spherical_ce(x, LABELS, W, scale=s)


def ours_times_constant(x: Tensor, W: Tensor, s: float) -> Tensor:
    return ours(x, W, s) * math.exp(0.6 * s)


def log(x: Tensor, W: Tensor, s: float) -> Tensor:
    return spherical_ce(x, LABELS, W, scale=s, reduction="log_mean")


MINIMISED = {
    "torch": (torch_ce, TOLERANCES),
    "ours": (ours, TOLERANCES),
    "torch, no tolerance": (torch_ce, NONE),
    "ours, no tolerance": (ours, NONE),
    "ours, times e^(0.6 s)": (ours_times_constant, TOLERANCES),
    "log": (log, TOLERANCES),
}


def minimise(name: str, s: float, dtype: torch.dtype, seed: int) -> dict[str, float] | None:
    """Margin, plain loss and its gradient where L-BFGS ends, and how often it evaluated the loss; None if it ends in NaN."""
    objective, (gradient_tolerance, change_tolerance) = MINIMISED[name]
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(2, K, D, generator=generator, dtype=torch.float64)
    x, W = (rows.to(dtype, copy=True).requires_grad_() for rows in start)
    optimizer = torch.optim.LBFGS(
        [x, W],
        max_iter=EVALUATIONS,
        max_eval=EVALUATIONS,
        tolerance_grad=gradient_tolerance,
        tolerance_change=change_tolerance,
        history_size=20,
        line_search_fn="strong_wolfe",
    )
    evaluations = 0

    def closure() -> Tensor:
        nonlocal evaluations
        evaluations += 1
        optimizer.zero_grad()
        value = objective(x, W, s)
        value.backward()
        return value

    optimizer.step(closure)
    if not (x.isfinite().all() and W.isfinite().all()):
        return None
    end = [F.normalize(rows.detach().double()).requires_grad_() for rows in (x, W)]
    loss = ours(*end, s)
    gradient = torch.cat(torch.autograd.grad(loss, end)).norm().item()
    margin = one_vs_rest(end[1].detach()).margin
    return {"margin": margin, "loss": loss.item(), "gradient": gradient, "evaluations": evaluations}


def row(name: str, s: float, dtype: torch.dtype) -> dict[str, float | str]:
    """One row of the table: the margins of the seeds that end in numbers, the medians of the rest."""
    runs = [run for seed in SEEDS if (run := minimise(name, s, dtype, seed)) is not None]
    case = {"scale": s, "dtype": str(dtype).removeprefix("torch."), "minimised": name, "seeds_finite": len(runs)}
    if not runs:
        return case
    margins = [run["margin"] for run in runs]
    return {
        **case,
        "margin_median": statistics.median(margins),
        "margin_least": min(margins),
        "margin_largest": max(margins),
        **{key: statistics.median(run[key] for run in runs) for key in ("loss", "gradient", "evaluations")},
    }


def main() -> None:
    rows = [row(name, s, dtype) for s in SCALES for dtype in (torch.float64, torch.float32) for name in MINIMISED]
    save(
        "terminal_objective",
        "At (d, K) = (10, 100) and a temperature of 1/50 the logarithm of the loss ends near 0.65 of margin; the loss stalls.",
        {
            "d": D,
            "K": K,
            "seeds": len(SEEDS),
            "evaluations_at_most": EVALUATIONS,
            "margin_of_the_best_code": best_known(K, D).margin,
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
