"""A minimum of the unconstrained features model, also where only directions of variables count."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from .._model import State
from ..solvers import Minimum, minimise
from .objective import scales, ufm_objective
from .settings import UFM

_FAR = 10.0  # times the length of unit vectors: above, gradients are small by that alone


def solve(settings: UFM, start: State, objective: Callable[[State], Tensor] | None = None, **options: Any) -> Minimum:
    """``minimise`` a model. Where only directions count and lengths have run away, it is begun again at unit length."""
    aim = objective or (lambda state: ufm_objective(settings, state))
    end = minimise(aim, start, scales=scales(settings), **options)
    short = _unit_lengths(settings, end.state)
    if not any(value.norm() > _FAR * short[name].norm() for name, value in end.state.items()):
        return end
    options["record"] = None  # its evaluations would count from 0 again
    again = minimise(aim, short, scales=scales(settings), **options)
    return replace(again, evaluations=end.evaluations + again.evaluations)


def _unit_lengths(settings: UFM, state: State) -> State:
    """The same point of the model, its scale-free variables of the length that random ones have."""
    if settings.constraint == "decay":
        return state
    whole = settings.constraint == "weight-norm"
    short = dict(state)
    for name in ("features", "weight"):
        rows = state[name]
        short[name] = rows * (len(rows) ** 0.5 / rows.norm()) if whole else F.normalize(rows, dim=1)
    return short
