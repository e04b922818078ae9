r"""The unconstrained features model as an objective of free tensors, under each of its constraints, and its minima.

$$\frac1N \sum_{k,i} \mathcal L(W h_{k,i} + b, k) + \text{decay}$$

over features $h_{k,i}$ (N, d), N = K n, weight W (K, d) and bias b (K,). The decay is
$\frac{\lambda_W}2 |W|^2 + \frac{c \lambda_H}2 |H|^2 + \frac{\lambda_b}2 |b|^2$ with c = 1/N (per sample), 1/n (per class)
or 1 (total). What decides is $\mu = \sqrt{\lambda_W\, n c \lambda_H}$: the decay of the nuclear norm of the K x K matrix of
class logits, which is all that is left of both (see `ufm_optimum`).

Constraints are removed by free variables: a unit vector is a vector over its norm, and a point of a ball of radius r in
d dimensions is r times the first d entries of a unit vector in d + 1, which is smooth up to and on its boundary.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ...losses import cosine_logits, cross_entropy, focal_loss, label_smoothing, mse, spherical_ce
from .._measure import balanced_labels
from .._model import State
from ..solvers import Minimum, minimise
from .settings import UFM

_FAR = 10.0  # times the length of unit vectors: above, gradients are small by that alone


class Network(NamedTuple):
    """Features (N, d), weight (K, d) and bias (K,) or None, as the model means them."""

    features: Tensor
    weight: Tensor
    bias: Tensor | None


def feature_decay(settings: UFM) -> float:
    r"""The factor of $|H|^2 / 2$, $c \lambda_H$."""
    K, n = settings.classes, settings.samples
    return settings.decay_features * {"sample": 1 / (K * n), "class": 1 / n, "total": 1.0}[settings.decay_per]


def nuclear_decay(settings: UFM) -> float:
    r"""$\mu = \sqrt{\lambda_W\, n c \lambda_H}$, of the nuclear norm of the class logits."""
    return (settings.decay_weight * settings.samples * feature_decay(settings)) ** 0.5


def logit_loss(settings: UFM, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of logits (N, K)."""
    if settings.loss == "mse":
        return mse(logits, labels, over_classes="half")
    if settings.loss == "label-smoothing":
        return label_smoothing(logits, labels, smoothing=settings.smoothing)
    if settings.loss == "focal":
        return focal_loss(logits, labels, gamma=settings.gamma)
    return cross_entropy(logits, labels)


def network(settings: UFM, state: State) -> Network:
    """What the free variables of a state stand for."""
    H, W, b = state["features"], state["weight"], state.get("bias")
    if settings.constraint == "ball":
        H, W = (settings.radius * F.normalize(rows, dim=1)[:, : settings.dim] for rows in (H, W))
    elif settings.constraint == "sphere":
        H, W = F.normalize(H, dim=1), F.normalize(W, dim=1)
    elif settings.constraint == "weight-norm":
        H, W = H * (len(H) ** 0.5 / H.norm()), W * (state["scale"] / W.norm())
    return Network(H, W, b)


def ufm_objective(settings: UFM, state: State, temperature: float | None = None) -> Tensor:
    """The objective at a state. On the sphere it is that of a temperature, of the loss or its logarithm."""
    labels, H, W = balanced_labels(settings.classes, settings.samples), state["features"], state["weight"]
    if settings.constraint == "sphere":
        scale = 1 / (temperature or settings.temperature)
        if settings.objective == "loss":
            return logit_loss(settings, cosine_logits(H, W, scale), labels)
        focal = settings.gamma if settings.loss == "focal" else 0.0
        return spherical_ce(H, labels, W, scale=scale, focal=focal, reduction="log_mean", implementation="reference")
    H, W, b = network(settings, state)
    loss = logit_loss(settings, F.linear(H, W, b), labels)
    if settings.constraint == "decay":
        loss = loss + (settings.decay_weight * W.square().sum() + feature_decay(settings) * H.square().sum()) / 2
    elif settings.constraint == "weight-norm":
        loss = loss + settings.decay_weight / 2 * state["scale"].square().sum()
    if b is not None and settings.decay_bias:
        loss = loss + settings.decay_bias / 2 * b.square().sum()
    return loss


def random_state(settings: UFM, generator: torch.Generator) -> State:
    """Normal or orthogonal features and weights, of unit length on average; bias 0."""
    K, d = settings.classes, settings.dim + (settings.constraint == "ball")

    def rows(count: int) -> Tensor:
        values = torch.empty(count, d, dtype=torch.float64)
        if settings.init == "gaussian":
            return values.normal_(std=d**-0.5, generator=generator)
        return torch.nn.init.orthogonal_(values, gain=max(1.0, count / d) ** 0.5, generator=generator)

    state = {"features": rows(K * settings.samples), "weight": rows(K)}
    if settings.bias and settings.constraint != "sphere":
        state["bias"] = torch.zeros(K, dtype=torch.float64)
    if settings.constraint == "weight-norm":
        state["scale"] = torch.ones((), dtype=torch.float64)
    return state


def scales(settings: UFM) -> dict[str, float]:
    """Sizes of the variables for `minimise`: where features and weights decay alike, the curvatures are alike, too."""
    if settings.constraint != "decay":
        return {}
    return {"features": (settings.decay_weight / feature_decay(settings)) ** 0.5}


def solve(settings: UFM, start: State, objective: Callable[[State], Tensor] | None = None, **options: Any) -> Minimum:
    """`minimise` a model. Where only directions count and lengths have run away, it is begun again at unit length."""
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
    whole, rows = settings.constraint == "weight-norm", {name: state[name] for name in ("features", "weight")}
    return state | {
        name: x * (len(x) ** 0.5 / x.norm()) if whole else F.normalize(x, dim=1) for name, x in rows.items()
    }
