"""Unconstrained features: what L-BFGS and gradient descent find beside the predicted optimum, and the saddles between.

Under decay, in a ball and with weight-norm the simulation runs plain gradient descent, then solves the model from many random
starts, and looks for saddles: the optimum of fewer dimensions is a critical point of more, whose curvature is known in
closed form (``saddle_curvature``). On the sphere it follows the path of temperatures down (``temperatures``): the next
temperature is begun where the last one ended, and beside it, from a random start.
"""

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from .._measure import KEYS, balanced_labels, measured
from .._model import Findings, Model, Row, Run, State
from ..solvers import descent, least_curvature, stops
from .objective import feature_decay, logit_loss, network, random_state, ufm_objective
from .settings import UFM
from .solve import solve

_CHUNKS = 20  # of gradient descent
_MARGINS_UP_TO = 200  # classes for which exact margins are quick
_QUICK = [key for key in KEYS if "margin" not in key]
Solved = Generator[Row, None, tuple[State, float]]
"""Rows as they come, and in the end variables and value."""


def temperatures(settings: UFM) -> list[float]:
    """The path of temperatures on the sphere, geometric; a single point is the last one."""
    if settings.points == 1:
        return [settings.temperature]
    return np.geomspace(settings.temperature_start, settings.temperature, settings.points).tolist()


def saddle_curvature(settings: UFM, state: State) -> float:
    r"""The least curvature at a critical point that leaves a dimension unused, for a convex loss under decay.

    With :math:`\sigma` the largest singular value of the loss's gradient in the logits (N, K), :math:`a = \lambda_W` and
    :math:`e = c \lambda_H` the decays,

    .. math:: \frac{a + e}2 - \sqrt{\Big(\frac{a - e}2\Big)^2 + \sigma^2},

    negative, and the point a strict saddle, where :math:`\sigma > \sqrt{a e}`. Derived here: of the second derivative along
    (dW, dH) the loss's own part is at least 0, and 0 in the unused dimension; the rest is
    :math:`2 \langle G, dH\, dW^\top \rangle + a |dW|^2 + e |dH|^2`, least along the top singular vectors of G.
    """
    H, W, b = network(settings, state)
    logits = F.linear(H, W, b).detach().requires_grad_()
    loss = logit_loss(settings, logits, balanced_labels(settings.classes, settings.samples))
    sigma = torch.linalg.matrix_norm(torch.autograd.grad(loss, logits)[0], ord=2)
    a, e = settings.decay_weight, feature_decay(settings)
    return (a + e) / 2 - float((((a - e) / 2) ** 2 + sigma**2).sqrt())


def collapse_of(settings: UFM, state: State) -> dict[str, float]:
    """Every metric of collapse of a state; {} where all features are 0."""
    H, W, b = network(settings, state)
    if not bool(H.any()) or not bool(W.any()):
        return {}
    labels = balanced_labels(settings.classes, settings.samples)
    exact = settings.classes <= _MARGINS_UP_TO
    return measured(H, labels, W.detach(), _detached(b), keys=None if exact else _QUICK)


class UFMModel(Model[UFM]):
    """The unconstrained features model: gradient descent, starts or a path of temperatures, saddles."""

    @property
    def on_sphere(self) -> bool:
        """Whether the simulation is a path of temperatures."""
        return self.settings.constraint == "sphere"

    @property
    def ranks(self) -> list[int]:
        """Ranks below the optimum's, for which a saddle is looked for: 0 first, and then spread."""
        if self.settings.constraint != "decay":
            return []
        most = min(self.settings.dim, self.settings.classes - 1)
        return sorted({round(rank) for rank in np.linspace(0, most - 1, min(self.settings.saddles, most))})

    def run(self) -> Run:
        """Descend, solve from every start, look for saddles; ends with the best start's variables."""
        yield from self._gradient_descent()
        best, least = {}, math.inf
        for start in range(self.settings.starts):
            end, value = yield from (self._path(start) if self.on_sphere else self._solve(start))
            if value < least:
                best, least = end, value
        for rank in self.ranks:
            yield from self._saddle(rank)
        return best

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Prediction beside what was found."""
        from .findings import optimum_findings, path_findings

        return path_findings(self, end, rows) if self.on_sphere else optimum_findings(self, end, rows)

    def _gradient_descent(self) -> Iterator[Row]:
        s = self.settings
        if not s.gd_steps:
            return
        shown = stops(s.gd_steps, min(_CHUNKS, s.gd_steps))
        start = random_state(s, self.generator(0))
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
        return end.state, end.value

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
        return now, float(ufm_objective(s, now))

    def _at_temperature(self, begin: State, temperature: float) -> State:
        """The loss is taken over its value at the start, or a small one would be below every tolerance."""
        unit = 1.0 if self.settings.objective == "log" else float(ufm_objective(self.settings, begin, temperature))
        end = solve(
            self.settings,
            begin,
            lambda now: ufm_objective(self.settings, now, temperature) / unit,
            tolerance=self.settings.tolerance,
            iterations=self.settings.iterations,
            newton_steps=30 if self.settings.dim + 1 >= self.settings.classes else 0,
        )
        H, W, _ = network(self.settings, end.state)
        return {"features": H, "weight": W}

    def _saddle(self, rank: int) -> list[Row]:
        """The optimum of so many dimensions, as a point of all."""
        settings = self.settings
        point = {name: torch.zeros_like(value) for name, value in random_state(settings, self.generator(0)).items()}
        inner = replace(settings, dim=max(rank, 1))
        start = random_state(inner, self.generator(settings.starts + rank))
        if rank == 0:
            start = {name: torch.zeros_like(value) for name, value in start.items()}
        end = solve(inner, start, tolerance=1e-12).state
        for name, value in end.items():
            point[name] = value if name == "bias" else F.pad(value, (0, settings.dim - value.shape[1]))
        curvature, _ = least_curvature(lambda now: ufm_objective(settings, now), point, seed=settings.seed)
        value = float(ufm_objective(settings, point))
        numbers = {"objective": value, "least curvature": curvature, "predicted": saddle_curvature(settings, point)}
        return [Row("saddles", float(rank), key, number) for key, number in numbers.items()]

    def _rows(self, name: str, x: int | float, state: State, temperature: float | None = None) -> list[Row]:
        """Objective, gradient norm and metrics of a state."""
        variables = {key: value.detach().requires_grad_() for key, value in state.items()}
        value = ufm_objective(self.settings, variables, temperature)
        gradients = torch.autograd.grad(value, list(variables.values()))
        norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
        numbers = {
            "objective": float(value.detach()),
            "gradient norm": norm,
            **collapse_of(self.settings, state),
        }
        return [Row(name, float(x), key, number) for key, number in numbers.items()]


def _detached(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach()
