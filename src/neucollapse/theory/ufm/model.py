"""Unconstrained features: what L-BFGS and gradient descent find beside the predicted optimum, and the saddles between.

Under decay, in a ball and with weight-norm the simulation runs plain gradient descent, then solves the model from many random
starts, and looks for saddles: the optimum of fewer dimensions is a critical point of more, whose curvature is known in
closed form (`saddle_curvature`). On the sphere it follows the path of temperatures down (`temperatures`): the next
temperature is begun where the last one ended, and beside it, from a random start.
"""

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from .._findings import record
from .._measure import KEYS, balanced_labels, measured
from .._model import Findings, Model, Row, Run, State
from ..solvers import descent, least_curvature, stops
from .findings import ufm_findings
from .objective import feature_decay, logit_loss, network, random_state, solve, ufm_objective
from .settings import UFM

_CHUNKS = 20  # of gradient descent
_MARGINS_UP_TO = 200  # classes for which exact margins are quick
_QUICK = [key for key in KEYS if "margin" not in key]
Solved = Generator[Row, None, State]
"""Rows as they come, and in the end the variables."""


def temperatures(settings: UFM) -> list[float]:
    """The path of temperatures on the sphere, geometric; a single point is the last one."""
    if settings.points == 1:
        return [settings.temperature]
    return np.geomspace(settings.temperature_start, settings.temperature, settings.points).tolist()


def saddle_curvature(settings: UFM, state: State) -> float:
    r"""The least curvature at a critical point that leaves a dimension unused, for a convex loss under decay.

    With $\sigma$ the largest singular value of the loss's gradient in the logits (N, K), $a = \lambda_W$ and
    $e = c \lambda_H$ the decays,

    $$\frac{a + e}2 - \sqrt{\Big(\frac{a - e}2\Big)^2 + \sigma^2},$$

    negative, and the point a strict saddle, where $\sigma > \sqrt{a e}$. Derived here: of the second derivative along
    (dW, dH) the loss's own part is at least 0, and 0 in the unused dimension; the rest is
    $2 \langle G, dH\, dW^\top \rangle + a |dW|^2 + e |dH|^2$, least along the top singular vectors of G.
    """
    H, W, b = network(settings, state)
    logits = F.linear(H, W, b).detach().requires_grad_()
    loss = logit_loss(settings, logits, balanced_labels(settings.classes, settings.samples))
    sigma = torch.linalg.matrix_norm(torch.autograd.grad(loss, logits)[0], ord=2)
    a, e = settings.decay_weight, feature_decay(settings)
    return (a + e) / 2 - float((((a - e) / 2) ** 2 + sigma**2).sqrt())


def collapse_of(settings: UFM, state: State) -> dict[str, float]:
    """Every metric of collapse of a state; {} where all features or all weights are 0."""
    H, W, b = network(settings, state)
    if not bool(H.any()) or not bool(W.any()):
        return {}
    labels, keys = (
        balanced_labels(settings.classes, settings.samples),
        None if settings.classes <= _MARGINS_UP_TO else _QUICK,
    )
    return measured(H, labels, W.detach(), None if b is None else b.detach(), keys=keys)


class UFMModel(Model[UFM]):
    """The unconstrained features model: gradient descent, starts or a path of temperatures, saddles."""

    def run(self) -> Run:
        """Descend, solve from every start, look for saddles; ends with the best start's variables."""
        yield from self._gradient_descent()
        solve_from = self._path if self.settings.constraint == "sphere" else self._solve
        best, least = {}, math.inf
        for start in range(self.settings.starts):
            end = yield from solve_from(start)
            value = float(ufm_objective(self.settings, end))
            if value < least:
                best, least = end, value
        if self.settings.constraint == "decay":
            most = min(self.settings.dim, self.settings.classes - 1)  # the rank of the optimum
            for rank in sorted({round(rank) for rank in np.linspace(0, most - 1, min(self.settings.saddles, most))}):
                yield from self._saddle(rank)
        return best

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Prediction beside what was found."""
        return ufm_findings(self.settings, end, rows)

    def _gradient_descent(self) -> Iterator[Row]:
        s = self.settings
        if not s.gd_steps:
            return
        shown, start = stops(s.gd_steps, min(_CHUNKS, s.gd_steps)), random_state(s, self.generator(0))
        for step, now in descent(lambda now: ufm_objective(s, now), start, shown, s.lr, momentum=s.momentum):
            yield from self._rows("gradient descent", step, now)

    def _solve(self, start: int) -> Solved:
        rows: list[Row] = []
        end = solve(
            self.settings,
            random_state(self.settings, self.generator(start)),
            tolerance=self.settings.tolerance,
            record=lambda evaluations, now: rows.extend(self._rows(f"start {start}", evaluations, now)),
        )
        yield from rows
        yield from self._rows(f"start {start}", end.evaluations, end.state)
        return end.state

    def _path(self, start: int) -> Solved:
        """Every temperature from where the last one ended, and from a random start."""
        s = self.settings
        random = now = random_state(s, self.generator(start))
        for temperature in temperatures(s):
            now = self._at_temperature(now, temperature)
            yield from self._rows(f"annealed {start}", temperature, now, temperature)
            if s.cold and s.points > 1:
                cold = self._at_temperature(random, temperature)
                yield from self._rows(f"cold {start}", temperature, cold, temperature)
        return now

    def _at_temperature(self, begin: State, temperature: float) -> State:
        """The loss is taken over its value at the start, or a small one would be below every tolerance."""
        s = self.settings
        unit = 1.0 if s.objective == "log" else float(ufm_objective(s, begin, temperature))
        end = solve(
            s,
            begin,
            lambda now: ufm_objective(s, now, temperature) / unit,
            tolerance=s.tolerance,
            iterations=s.iterations,
            newton_steps=30 if s.dim + 1 >= s.classes else 0,
        )
        H, W, _ = network(s, end.state)
        return {"features": H, "weight": W}

    def _saddle(self, rank: int) -> list[Row]:
        """The optimum of so many dimensions, as a point of all."""
        s, inner = self.settings, replace(self.settings, dim=max(rank, 1))
        start = random_state(inner, self.generator(s.starts + rank))
        if rank == 0:
            start = {name: torch.zeros_like(value) for name, value in start.items()}
        end = solve(inner, start, tolerance=1e-12).state
        point = {name: x if name == "bias" else F.pad(x, (0, s.dim - x.shape[1])) for name, x in end.items()}
        curvature, _ = least_curvature(lambda now: ufm_objective(s, now), point, seed=s.seed)
        value = float(ufm_objective(s, point))
        numbers = {"objective": value, "least curvature": curvature, "predicted": saddle_curvature(s, point)}
        return record("saddles", rank, numbers)

    def _rows(self, name: str, x: int | float, state: State, temperature: float | None = None) -> list[Row]:
        """Objective, gradient norm and metrics of a state."""
        variables = {key: value.detach().requires_grad_() for key, value in state.items()}
        value = ufm_objective(self.settings, variables, temperature)
        gradients = torch.autograd.grad(value, list(variables.values()))
        norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
        numbers = {"objective": float(value.detach()), "gradient norm": norm}
        return record(name, x, numbers | collapse_of(self.settings, state))
