r"""The optimum of the unconstrained features model, in closed form.

Derived here; the papers (Zhu et al. 2105.02375, Zhou et al. 2203.01238 and 2210.02192) prove that there is no other local
minimum under decay. Write :math:`Z = W \bar H` (K x K) for the logits of class means. By convexity all samples of a class
share a feature at the optimum, and the least decay of any factors of Z is :math:`\mu |Z|_*`
(:math:`|\cdot|_*` the nuclear norm, :math:`\mu = \sqrt{\lambda_W \, n c \lambda_H}`), which leaves

.. math:: \min_{Z, b}\; \frac1K \sum_k \mathcal L(z_k + b, k) + \mu |Z|_* + \frac{\lambda_b}2 |b|^2,
          \qquad \mathrm{rank}\, Z \le d.

With :math:`P = I - \frac1K 1 1^\top` the optimum for d >= K - 1 is :math:`Z = c P`, a simplex, where c is:

- **cross-entropy** :math:`c = \log(1/\mu - K + 1)` for :math:`\mu < 1/K`, and 0 otherwise: *everything collapses to
  zero*, in any d;
- **label smoothing** the same with :math:`\mu + \epsilon/K` in the place of :math:`\mu`, and 0
  from :math:`\mu \ge (1 - \epsilon)/K` on;
- **focal loss** the minimiser of :math:`\ell(c) + \mu (K-1) c`, a scalar problem (not convex: best of the simplices);
- **mean squared error** :math:`c = (1 - K\mu)_+`, a singular-value threshold, in any d: the singular values in the
  directions orthogonal to 1 are all c, and those of the best rank-d truncation are any min(d, K-1) of them. In the direction
  of 1 the singular value is :math:`(1 - K\mu/\theta)_+` with :math:`\theta = \lambda_b/(1 + \lambda_b)` (1 without bias, 0
  for a free one), if d >= K.

The proof for cross-entropy: :math:`\nabla_Z` of the loss at c P is :math:`-q P` with :math:`q = 1/(e^c + K - 1)`, so that
:math:`q = \mu` is the condition for a minimum of this convex problem. That for MSE at d < K: for given b the truncation keeps
the d largest singular values of :math:`I - b 1^\top`; K - 2 of them are 1, the product of the other two is :math:`|1 - 1^\top b|`
and the sum of their squares :math:`2 - 2\, 1^\top b + K |b|^2`; minimising over both gives b along 1.
"""

import math
from dataclasses import dataclass, replace
from typing import cast

import torch
from scipy.optimize import brentq
from torch import Tensor

from ...losses._log_odds import softplus
from .._measure import KEYS, balanced_labels, measured
from .objective import feature_decay, logit_loss, nuclear_decay
from .settings import UFM


@dataclass(frozen=True)
class UFMOptimum:
    """The predicted optimum of the unconstrained features model.

    Attributes:
        value: of the objective.
        logits: Z (K, K), column k the logits of the mean of class k, without the bias.
        weight: W (K, d), up to a rotation.
        means: class means (K, d), which are the features.
        bias: (K,) or None; without decay, one of those that give the same probabilities.
        unique: whether it is the only one, up to rotation. A truncation to fewer dimensions is not.
    """

    value: float
    logits: Tensor
    weight: Tensor
    means: Tensor
    bias: Tensor | None
    unique: bool

    def metrics(self, samples: int) -> dict[str, float]:
        """The metrics of collapse of it that are compared; none where class means coincide."""
        if not bool(self.means.any()):
            return {}
        labels = balanced_labels(len(self.means), samples)
        return measured(self.means[labels], labels, self.weight, self.bias, keys=KEYS)


def ce_logit(K: int, decay: float, smoothing: float = 0.0) -> float:
    r"""The logit gap c of cross-entropy at nuclear decay :math:`\mu`: :math:`\log(1/(\mu + \epsilon/K) - K + 1)`, at least 0.

    Example:
        >>> round(ce_logit(100, 5e-3), 6), ce_logit(100, 0.02)  # log 101; collapsed to zero
        (4.615121, 0.0)
    """
    gap = 1 / (decay + smoothing / K) - K
    return math.log1p(gap) if gap > 0 else 0.0


def focal_logit(K: int, decay: float, gamma: float) -> float:
    """The logit gap of the focal loss: the least of a scalar problem, searched on a grid and refined.

    Example:
        >>> abs(focal_logit(4, 0.01, 0.0) - ce_logit(4, 0.01)) < 1e-7
        True
    """
    rising = math.log(K - 1)

    def slope(c: float) -> float:
        m = torch.tensor(rising - c, dtype=torch.float64)
        wrong, loss = m.sigmoid(), softplus(m)
        return float(decay * (K - 1) - wrong**gamma * (wrong + gamma * (1 - wrong) * loss))

    # Beyond the first the slope of the loss, at most (1 + gamma) e^((1 + gamma) m), is less than that of the decay; beyond the
    # second the decay alone costs more than c = 0.
    fades = rising - (math.log(decay) + rising - math.log1p(gamma)) / (1 + gamma)
    most = max(0.0, min(fades + 1, math.log(K) / decay / (K - 1)))
    grid = torch.linspace(0, most, 400, dtype=torch.float64)
    m = rising - grid
    costs = m.sigmoid() ** gamma * softplus(m) + decay * (K - 1) * grid
    best = int(costs.argmin())
    if best == 0:
        return 0.0
    return cast(float, brentq(slope, float(grid[best - 1]), float(grid[min(best + 1, 399)]), xtol=1e-14))


def mse_spectrum(K: int, d: int, decay: float, bias_decay: float | None) -> list[float]:
    """Singular values of Z under MSE, min(d, K) of them: first those orthogonal to 1, then, for d >= K, that along 1.

    ``bias_decay`` is None without a bias.

    Example:
        >>> mse_spectrum(3, 8, 0.1, None), mse_spectrum(3, 8, 0.1, 0.0), mse_spectrum(3, 1, 0.1, 0.0)
        ([0.7, 0.7, 0.7], [0.7, 0.7, 0.0], [0.7])
    """
    across = max(0.0, 1 - K * decay)
    values = [across] * min(d, K - 1)
    if d < K:
        return values
    share = 1.0 if bias_decay is None else bias_decay / (1 + bias_decay)
    return [*values, max(0.0, 1 - K * decay / share) if share else 0.0]


def ufm_optimum(settings: UFM, temperature: float | None = None) -> UFMOptimum | None:
    """The predicted optimum, or None where none is known in closed form.

    Those are cross-entropies with K > d + 1, unless the decay makes everything collapse to zero, a smoothed
    cross-entropy on a sphere that reaches beyond its best logits, and mean squared error in a ball of fewer dimensions
    than it would take.
    """
    K, d = settings.classes, settings.dim
    if settings.constraint == "decay":
        return _decayed_mse(settings) if settings.loss == "mse" else _decayed_ce(settings)
    if settings.constraint == "weight-norm":
        return _weight_norm(settings)
    if settings.loss == "mse":
        return _mse_in_ball(settings)
    if d + 1 < K:
        return None
    sphere = settings.constraint == "sphere"
    scale = 1 / (temperature or settings.temperature) if sphere else settings.radius**2
    c = scale * K / (K - 1)
    if settings.loss == "label-smoothing" and c > ce_logit(K, 0.0, settings.smoothing):
        return None
    value = _simplex_loss(settings, c)
    return _factored(settings, c * _centring(K), math.log(value) if settings.objective == "log" else value)


def _decayed_ce(settings: UFM) -> UFMOptimum | None:
    K, decay = settings.classes, nuclear_decay(settings)
    if settings.loss == "focal":
        c = focal_logit(K, decay, settings.gamma)
    else:
        c = ce_logit(K, decay, settings.smoothing if settings.loss == "label-smoothing" else 0.0)
    if c and settings.dim + 1 < K:
        return None
    return _factored(settings, c * _centring(K), _simplex_loss(settings, c) + decay * (K - 1) * c)


def _decayed_mse(settings: UFM) -> UFMOptimum:
    K, d, decay = settings.classes, settings.dim, nuclear_decay(settings)
    bias_decay = settings.decay_bias if settings.bias else None
    values = mse_spectrum(K, d, decay, bias_decay)
    return _mse(settings, values, decay * sum(values), bias_decay)


def _weight_norm(settings: UFM) -> UFMOptimum | None:
    r"""The decay of the scale is one of the squared nuclear norm, lambda/(2K) T^2 with T = |Z|_*, since T <= scale sqrt(K).

    Every singular value is 1 - lambda T, and that along 1 is 1 - lambda T / theta; without the latter all r are 1/(1 + lambda r).
    """
    K, d, decay = settings.classes, settings.dim, settings.decay_weight
    bias_decay = settings.decay_bias if settings.bias else None
    share = 1.0 if bias_decay is None else bias_decay / (1 + bias_decay)
    r = min(d, K if bias_decay is None else K - 1)
    total = r / (1 + decay * r)
    values = [1 - decay * total] * r
    if bias_decay is not None and share > decay * total:  # the direction of 1 is worth its decay
        if d < K:
            return None
        total = K / (1 + decay * (K - 1 + 1 / share))
        values = [1 - decay * total] * (K - 1) + [1 - decay * total / share]
    return _mse(settings, values, decay / (2 * K) * total**2, bias_decay)


def _mse_in_ball(settings: UFM) -> UFMOptimum | None:
    """Rows of norm at most R in W and H have |Z|_* <= K R^2, which r alike singular values of K R^2 / r attain."""
    K, d, square = settings.classes, settings.dim, settings.radius**2
    if settings.bias and settings.decay_bias:
        return None
    r = K - 1 if settings.bias else K
    if d < r:
        return None
    values = [min(1.0, square * K / r)] * r
    optimum = _mse(settings, values, 0.0, 0.0 if settings.bias else None)
    return replace(optimum, unique=square * K / r <= 1)  # inside the ball any factors of these logits do


def _mse(settings: UFM, values: list[float], cost: float, bias_decay: float | None) -> UFMOptimum:
    """The optimum of MSE with these singular values, of which the K-th is the one along 1."""
    K = settings.classes
    basis = _basis(K)[:, : len(values)]
    Z = basis @ torch.tensor(values, dtype=torch.float64).diag() @ basis.mT
    along = values[K - 1] if len(values) == K else 0.0
    level = 0.0 if bias_decay is None else (1 - along) / (K * (1 + bias_decay))
    bias = None if bias_decay is None else torch.full((K,), level, dtype=torch.float64)
    residual = Z + level - torch.eye(K, dtype=torch.float64)
    value = float(residual.square().sum()) / (2 * K) + cost + (bias_decay or 0.0) / 2 * K * level**2
    needed = K if bias_decay is None else K - 1
    return _factored(settings, Z, value, bias, unique=settings.dim >= needed or not any(values))


def _factored(settings: UFM, Z: Tensor, value: float, bias: Tensor | None = None, unique: bool = True) -> UFMOptimum:
    """The optimum with its factors: U S^(1/2) on both sides, in the sizes that the constraint gives them."""
    K, d = settings.classes, settings.dim
    if bias is None and settings.bias and settings.constraint != "sphere":
        bias = Z.new_zeros(K)
    S, U = torch.linalg.eigh(Z)
    S, U = S.flip(0).clamp_min(0), U.flip(1)
    root = torch.zeros(K, d, dtype=torch.float64)
    root[:, : min(d, K)] = (U * S.sqrt())[:, :d]
    W, H = root, root.clone()
    if settings.constraint == "decay":
        ratio = (settings.samples * feature_decay(settings) / settings.decay_weight) ** 0.25
        W, H = root * ratio, root / ratio
    elif settings.constraint == "weight-norm":
        H = root * (K**0.5 / root.norm())
        W = root * (root.norm() / K**0.5)
    elif settings.constraint == "sphere":
        W = H = torch.nn.functional.normalize(root, dim=1)
    return UFMOptimum(value, Z, W, H, bias, unique)


def _simplex_loss(settings: UFM, c: float) -> float:
    """The loss of one sample whose logit leads all others by c."""
    logits = torch.zeros(1, settings.classes, dtype=torch.float64)
    logits[0, 0] = c
    return float(logit_loss(settings, logits, torch.zeros(1, dtype=torch.long)))


def _centring(K: int) -> Tensor:
    return torch.eye(K, dtype=torch.float64) - 1 / K


def _basis(K: int) -> Tensor:
    """An orthonormal basis (K, K) whose last column is along 1."""
    Q = torch.linalg.qr(torch.cat([torch.ones(K, 1), torch.eye(K)[:, : K - 1]], dim=1).double()).Q
    return Q.roll(-1, dims=1)
