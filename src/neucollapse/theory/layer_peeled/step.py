"""Cross-entropy under a step imbalance: by symmetry, a convex problem of four numbers."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..relaxation import Relaxation
from ..solvers import minimise


@dataclass(frozen=True)
class StepLogits:
    r"""Logits that are symmetric among A majority and among B minority classes, and sum to 0 for every sample.

    Rows (samples) and columns (logits), majority first:

    $$Z = \begin{pmatrix} a\,(I - J/A) & 0 \\ 0 & b\,(I - J/B) \end{pmatrix} + (v_1 \hat 1_A + v_2 \hat 1_B)\, u^\top,
    \qquad u = \frac{\sqrt B\, \hat 1_A - \sqrt A\, \hat 1_B}{\sqrt{A + B}}$$

    with $\hat 1$ the unit vectors that are constant on a group. Scaled by s, the singular values are $s_A a$
    (A - 1 times), $s_B b$ (B - 1 times) and the length of $(s_A v_1, s_B v_2)$.
    """

    majority: int
    minority: int

    def logits(self, within: Tensor, between: Tensor) -> Tensor:
        """Z (K, K) of within = (a, b) and between = (v_1, v_2)."""
        A, B = self.majority, self.minority
        one_A, one_B = torch.zeros(2, A + B, dtype=within.dtype)
        one_A[:A], one_B[A:] = A**-0.5, B**-0.5
        groups = torch.cat([within[:1].expand(A), within[1:].expand(B)])
        centred = torch.eye(A + B, dtype=within.dtype) - torch.outer(one_A, one_A) - torch.outer(one_B, one_B)
        u = (math.sqrt(B) * one_A - math.sqrt(A) * one_B) / math.sqrt(A + B)
        return groups[:, None] * centred + torch.outer(between[0] * one_A + between[1] * one_B, u)


def step_logits(problem: Relaxation, majority: int) -> Tensor:
    r"""The cross-entropy optimum (K, K) of a relaxation whose first `majority` classes share one size, and the rest another.

    The solution is unique, since the nuclear norm prefers logits that sum to 0 and the cross-entropy is strictly convex on those,
    so it has the symmetry of the problem: it is a `StepLogits`. Which of a and b are 0 follows from `survives`, the
    length of v is 0 iff the gradient there is at most the decay, and what remains is smooth and solved to rounding.
    """
    shape = StepLogits(majority, len(problem.counts) - majority)
    ends = torch.tensor([0, -1])
    scales = problem.scales[ends]
    sizes = torch.tensor([shape.majority, shape.minority])
    alive = problem.survives()[ends] & (sizes > 1)
    price = problem.decay * scales * (sizes - 1)

    def smooth(within: Tensor, between: Tensor) -> Tensor:
        within = within * alive
        return problem._loss(shape.logits(within, between / scales)) + (price * within).sum()

    zero = torch.zeros(2, dtype=torch.float64)
    start = torch.ones(2, dtype=torch.float64)
    alone = minimise(lambda state: smooth(state["within"], zero), {"within": start}, tolerance=1e-13).state["within"]
    at_zero = zero.clone().requires_grad_()
    slope = torch.autograd.grad(smooth(alone, at_zero), at_zero)[0]
    if slope.norm() <= problem.decay:
        return shape.logits(alone * alive, zero)
    end = minimise(
        lambda state: smooth(state["within"], state["between"]) + problem.decay * state["between"].norm(),
        {"within": alone, "between": -slope / slope.norm()},
        tolerance=1e-13,
    ).state
    return shape.logits(end["within"] * alive, end["between"] / scales)
