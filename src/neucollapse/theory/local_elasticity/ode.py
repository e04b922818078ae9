r"""LE-ODE: how class means move where every sample pulls its own class with one strength and all others with another.

Zhang, Wang and Su, arXiv 2110.05960 (abstract seen; the two drifts as the authors' public code estimates them). Formulas and
conditions below are derived here. With $\bar x_l$ the mean of class l and strengths $\alpha(t)$ within a class and
$\beta(t)$ across, integrals A and B of which start at 0,

$$\dot{\bar x}_k = \frac1K \Big(\alpha D_k + \beta \sum_{l \ne k} D_l\Big), \qquad
D_l = \bar x_l \text{ ("features")}, \quad D_l = s_l v_l \text{ ("labels")},$$

with $v_l = e_l - 1/K$ and $s_l = \langle v_l, \bar x_l \rangle / |v_l|^2$, the score of the label.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from scipy.integrate import quad
from torch import Tensor

from ..._errors import InputError

Drift = Literal["features", "labels"]


@dataclass(frozen=True)
class PowerLaw:
    """A strength c (1 + t)^-r and its integral from 0."""

    strength: float
    decay: float

    def __call__(self, t: float) -> float:
        """The strength at time t."""
        return self.strength * (1 + t) ** -self.decay

    def integral(self, t: float) -> float:
        """From 0 to t: c ((1+t)^(1-r) - 1) / (1-r), and c log(1+t) for r = 1.

        Examples:
            >>> PowerLaw(2.0, 1.0).integral(math.e - 1)
            2.0
        """
        logarithm, exponent = math.log1p(t), 1 - self.decay
        return self.strength * (math.expm1(exponent * logarithm) / exponent if exponent else logarithm)


def label_directions(K: int) -> Tensor:
    """The rows e_k - 1/K."""
    return torch.eye(K, dtype=torch.float64) - 1 / K


def scores(means: Tensor) -> Tensor:
    """Scores (..., K) of the labels of mean logits (..., K, K)."""
    K = means.shape[-1]
    return (label_directions(K) * means).sum(dim=-1) * K / (K - 1)


def pulls(means: Tensor, drift: Drift) -> Tensor:
    """D of class means (..., K, d): themselves ("features"), or their part along their label ("labels")."""
    if drift == "features":
        return means
    return scores(means)[..., None] * label_directions(means.shape[-1])


def mean_drift(means: Tensor, intra: float | Tensor, inter: float | Tensor, drift: Drift) -> Tensor:
    """The right-hand side: time derivative of class means (..., K, d)."""
    D = pulls(means, drift)
    return ((intra - inter) * D + inter * D.sum(dim=-2, keepdim=True)) / means.shape[-2]


def ode_solution(start: Tensor, intra: PowerLaw, inter: PowerLaw, t: float, drift: Drift) -> Tensor:
    r"""Class means (K, d) at time t; derived here.

    *Features.* The mean of all classes grows by $e^{(A + (K-1)B)/K}$, differences between classes by $e^{(A-B)/K}$.

    *Labels.* The mean of the scores, along which class means are a simplex, grows by $e^{(A-B)/K}$; their differences
    by $e^{(A + B/(K-1))/K}$. So the simplex wins if and only if $B \to -\infty$. Class means are the integral,

    $$\bar x_k(t) = \bar x_k(0) + (\bar s(t) - \bar s(0)) v_k + I_1 \sigma_k v_k + I_2 \sigma, \quad
    I_2 = \frac1K \int_0^t \beta\, e^{(A + B/(K-1))/K}, \quad
    I_1 = e^{(A + B/(K-1))/K} - 1 - \frac{K}{K-1} I_2,$$

    with $\sigma$ the differences of the scores from their mean at time 0.

    Raises:
        InputError: for an unknown drift, or logits that are not (K, K).

    Examples:
        >>> start = torch.tensor([[1.0], [-1.0]]).double()
        >>> ode_solution(start, PowerLaw(2.0, 0.0), PowerLaw(0.0, 0.0), 1.0, "features").tolist()  # e^(A/2)
        [[2.718281828459045], [-2.718281828459045]]
    """
    if drift not in ("features", "labels"):
        raise InputError(f"expected drift 'features' or 'labels', got {drift!r}")
    if start.dim() != 2 or (drift == "labels" and start.shape[0] != start.shape[1]):
        raise InputError(f"expected class means (K, d), with d = K for drift 'labels', got {tuple(start.shape)}")
    K, A, B = len(start), intra.integral(t), inter.integral(t)
    if drift == "features":
        centre = start.mean(dim=0)
        return centre * math.exp((A + (K - 1) * B) / K) + (start - centre) * math.exp((A - B) / K)
    s, v = scores(start), label_directions(K)
    differences = s - s.mean()

    def growth(u: float) -> float:
        return math.exp((intra.integral(u) + inter.integral(u) / (K - 1)) / K)

    second = _integral(lambda u: inter(u) * growth(u), t, 1e-13) / K
    first = growth(t) - 1 - K / (K - 1) * second
    along = s.mean() * math.expm1((A - B) / K) + first * differences
    return start + along[:, None] * v + second * differences


def _integral(f: Callable[[float], float], t: float, tolerance: float) -> float:
    """Integral of f from 0 to t, over log(1 + t), in which power laws are smooth."""
    return quad(lambda x: f(math.expm1(x)) * math.exp(x), 0, math.log1p(t), epsrel=tolerance)[0]


def expected_scatter(
    between: float, within: float, intra: PowerLaw, inter: PowerLaw, t: float, *, K: int, n: int, d: int, noise: float
) -> tuple[float, float]:
    r"""Expected tr S_B and tr S_W at time t under the drift "features", from those at time 0; derived here.

    Each of n samples a class follows $dx = \dot{\bar x}_k\,dt + \sigma\,dB$. Within classes there is no drift, and
    differences of class means grow by $G = e^{(A-B)/K}$ and gather the noise of a mean of n:

    $$\operatorname{tr} S_W = w_0 + d \sigma^2 t\, (n-1)/n, \qquad
    \operatorname{tr} S_B = G(t)^2 b_0 + \frac{(K-1)\, d\, \sigma^2}{K n} \int_0^t \frac{G(t)^2}{G(u)^2}\, du .$$
    """

    def exponent(u: float) -> float:
        return 2 * (intra.integral(u) - inter.integral(u)) / K

    gathered = _integral(lambda u: math.exp(exponent(t) - exponent(u)), t, 1e-12)
    gained = (K - 1) * d * noise**2 / (K * n) * gathered
    return math.exp(exponent(t)) * between + gained, within + d * noise**2 * t * (n - 1) / n


def separates(K: int, gap: float, decay: float) -> bool:
    r"""Whether tr S_B / tr S_W grows without bound under the drift "features", with $\alpha - \beta = c (1+t)^{-r}$.

    tr S_W grows as t, and the signal in tr S_B as $e^{2(A-B)/K}$; derived here:

    * r < 1: a stretched exponential, so iff c > 0: intra beats inter;
    * r = 1: $t^{2c/K}$, so iff c > K/2: to beat inter is not enough, it has to be by the rate of the noise;
    * r > 1: the signal stays bounded: never.

    Where it does not, the noise of class means keeps up a level: $(K-1) / (K (n-1) (1 - 2c/K))$ for r = 1, the same with
    c = 0 for r > 1, and 0 for r < 1 and c < 0. At r = 1, c = K/2 it creeps up as log t; this boundary counts as not separating.

    Examples:
        >>> separates(3, 2.0, 1.0), separates(3, 1.0, 1.0), separates(3, 1.0, 0.5)
        (True, False, True)
    """
    if decay < 1:
        return gap > 0
    return decay == 1 and gap > K / 2
