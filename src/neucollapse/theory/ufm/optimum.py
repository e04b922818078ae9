r"""The optimum of the unconstrained features model, in closed form.

Derived here; the papers (Zhu et al. 2105.02375, Zhou et al. 2203.01238 and 2210.02192) prove that there is no other local
minimum under decay. Write $Z = W \bar H$ (K x K) for the logits of class means. By convexity all samples of a class
share a feature at the optimum, and the least decay of any factors of Z is $\mu |Z|_*$
($|\cdot|_*$ the nuclear norm, $\mu = \sqrt{\lambda_W \, n c \lambda_H}$), which leaves

$$\min_{Z, b}\; \frac1K \sum_k \mathcal L(z_k + b, k) + \mu |Z|_* + \frac{\lambda_b}2 |b|^2,
\qquad \mathrm{rank}\, Z \le d.$$

With $P = I - \frac1K 1 1^\top$ the optimum for d >= K - 1 is $Z = c P$, a simplex, where c is:

- **cross-entropy** $c = \log(1/\mu - K + 1)$ for $\mu < 1/K$, and 0 otherwise: *everything collapses to
  zero*, in any d;
- **label smoothing** the same with $\mu + \epsilon/K$ in the place of $\mu$, and 0
  from $\mu \ge (1 - \epsilon)/K$ on;
- **focal loss** the minimiser of $\ell(c) + \mu (K-1) c$, a scalar problem (not convex: best of the simplices);
- **mean squared error** $c = (1 - K\mu)_+$, a singular-value threshold, in any d: the singular values in the
  directions orthogonal to 1 are all c, and those of the best rank-d truncation are any min(d, K-1) of them. In the direction
  of 1 the singular value is $(1 - K\mu/\theta)_+$ with $\theta = \lambda_b/(1 + \lambda_b)$ (1 without bias, 0
  for a free one), if d >= K.

The proof for cross-entropy: $\nabla_Z$ of the loss at c P is $-q P$ with $q = 1/(e^c + K - 1)$, so that
$q = \mu$ is the condition for a minimum of this convex problem. That for MSE at d < K: for given b the truncation keeps
the d largest singular values of $I - b 1^\top$; K - 2 of them are 1, the product of the other two is $|1 - 1^\top b|$
and the sum of their squares $2 - 2\, 1^\top b + K |b|^2$; minimising over both gives b along 1.
"""

import math
from dataclasses import dataclass
from typing import Literal, cast

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
        known: what all optima share. `all` where there is one, up to rotation; `spectrum` of the logits for a truncation to
            fewer dimensions; `value` alone where the loss is 0 inside a ball.
    """

    value: float
    logits: Tensor
    weight: Tensor
    means: Tensor
    bias: Tensor | None
    known: Literal["all", "spectrum", "value"]

    def metrics(self, samples: int) -> dict[str, float]:
        """The metrics of collapse that all optima share; none where class means coincide."""
        if self.known == "value" or not bool(self.means.any()):
            return {}
        labels, keys = balanced_labels(len(self.means), samples), KEYS if self.known == "all" else ("nc1/cdnv",)
        return measured(self.means[labels], labels, self.weight, self.bias, keys=keys)


def ce_logit(K: int, decay: float, smoothing: float = 0.0) -> float:
    r"""The logit gap c of cross-entropy at nuclear decay $\mu$: $\log(1/(\mu + \epsilon/K) - K + 1)$, at least 0.

    Examples:
        >>> round(ce_logit(100, 5e-3), 6), ce_logit(100, 0.02)  # log 101; collapsed to zero
        (4.615121, 0.0)
    """
    gap = 1 / (decay + smoothing / K) - K
    return math.log1p(gap) if gap > 0 else 0.0


def focal_logit(K: int, decay: float, gamma: float) -> float:
    """The logit gap of the focal loss: the least of a scalar problem, searched on a grid and refined.

    Examples:
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

    `bias_decay` is None without a bias.

    Examples:
        >>> mse_spectrum(3, 8, 0.1, None), mse_spectrum(3, 8, 0.1, 0.0), mse_spectrum(3, 1, 0.1, 0.0)
        ([0.7, 0.7, 0.7], [0.7, 0.7, 0.0], [0.7])
    """
    across, share = max(0.0, 1 - K * decay), _worth(bias_decay)
    along = max(0.0, 1 - K * decay / share) if share else 0.0
    return [*[across] * min(d, K - 1), *[along] * (d >= K)]


def ufm_optimum(settings: UFM) -> UFMOptimum | None:
    """The predicted optimum, or None where none is known in closed form.

    Those are cross-entropies with K > d + 1, unless the decay makes everything collapse to zero, a smoothed
    cross-entropy on a sphere that reaches beyond its best logits, and mean squared error in a ball of fewer dimensions
    than it would take.
    """
    if settings.loss != "mse":
        return _cross_entropy(settings)
    return {"decay": _decayed, "weight-norm": _weight_norm, "ball": _mse_in_ball}[settings.constraint](settings)


def _cross_entropy(settings: UFM) -> UFMOptimum | None:
    """A simplex, of the gap c that the decay leaves or the constraint gives."""
    K, decay, cost = settings.classes, nuclear_decay(settings), 0.0
    smoothing = settings.smoothing if settings.loss == "label-smoothing" else 0.0
    if settings.constraint == "decay":
        c = focal_logit(K, decay, settings.gamma) if settings.loss == "focal" else ce_logit(K, decay, smoothing)
        cost = decay * (K - 1) * c
    else:
        c = (1 / settings.temperature if settings.constraint == "sphere" else settings.radius**2) * K / (K - 1)
        if smoothing and c > ce_logit(K, 0.0, smoothing):
            return None
    if c and settings.dim + 1 < K:
        return None
    logits = torch.zeros(1, K, dtype=torch.float64)  # of one sample, whose own leads all others by c
    logits[0, 0] = c
    value = float(logit_loss(settings, logits, torch.zeros(1, dtype=torch.long)))
    if settings.objective == "log":
        value = math.log(value)
    return _factored(settings, c * (torch.eye(K, dtype=torch.float64) - 1 / K), value + cost)


def _decayed(settings: UFM) -> UFMOptimum:
    decay = nuclear_decay(settings)
    values = mse_spectrum(settings.classes, settings.dim, decay, _bias_decay(settings))
    return _mse(settings, values, decay * sum(values))


def _weight_norm(settings: UFM) -> UFMOptimum | None:
    r"""The decay of the scale is one of the squared nuclear norm, lambda/(2K) T^2 with T = |Z|_*, since T <= scale sqrt(K).

    Every singular value is 1 - lambda T, and that along 1 is 1 - lambda T / theta; without the latter all r are 1/(1 + lambda r).
    """
    K, d, decay, bias_decay = settings.classes, settings.dim, settings.decay_weight, _bias_decay(settings)
    share = _worth(bias_decay)
    r = min(d, K if bias_decay is None else K - 1)
    total = r / (1 + decay * r)
    values = [1 - decay * total] * r
    if bias_decay is not None and share > decay * total:  # the direction of 1 is worth its decay
        if d < K:
            return None
        total = K / (1 + decay * (K - 1 + 1 / share))
        values = [1 - decay * total] * (K - 1) + [1 - decay * total / share]
    return _mse(settings, values, decay / (2 * K) * total**2)


def _mse_in_ball(settings: UFM) -> UFMOptimum | None:
    """Rows of norm at most R in W and H have |Z|_* <= K R^2, which r alike singular values of K R^2 / r attain."""
    K, d, square = settings.classes, settings.dim, settings.radius**2
    r = K - 1 if settings.bias else K
    if d < r or (settings.bias and settings.decay_bias):
        return None
    return _mse(settings, [min(1.0, square * K / r)] * r, 0.0, inside=square * K / r > 1)


def _bias_decay(settings: UFM) -> float | None:
    """None without a bias."""
    return settings.decay_bias if settings.bias else None


def _worth(bias_decay: float | None) -> float:
    """The share theta of the direction of 1 that a bias of this decay leaves to the logits."""
    return 1.0 if bias_decay is None else bias_decay / (1 + bias_decay)


def _mse(settings: UFM, values: list[float], cost: float, inside: bool = False) -> UFMOptimum:
    """The optimum of MSE with these singular values, of which the K-th is the one along 1."""
    K, bias_decay = settings.classes, _bias_decay(settings)
    # An orthonormal basis whose last column is along 1
    basis = torch.linalg.qr(torch.cat([torch.ones(K, 1), torch.eye(K)[:, : K - 1]], dim=1).double()).Q.roll(-1, dims=1)
    basis = basis[:, : len(values)]
    Z = basis @ torch.tensor(values, dtype=torch.float64).diag() @ basis.mT
    along = values[K - 1] if len(values) == K else 0.0
    level = 0.0 if bias_decay is None else (1 - along) / (K * (1 + bias_decay))
    bias = None if bias_decay is None else torch.full((K,), level, dtype=torch.float64)
    residual = Z + level - torch.eye(K, dtype=torch.float64)
    value = float(residual.square().sum()) / (2 * K) + cost + (bias_decay or 0.0) / 2 * K * level**2
    needed = K if bias_decay is None else K - 1
    whole = settings.dim >= needed or not any(values)
    return _factored(settings, Z, value, bias, "value" if inside else "all" if whole else "spectrum")


def _factored(
    settings: UFM,
    Z: Tensor,
    value: float,
    bias: Tensor | None = None,
    known: Literal["all", "spectrum", "value"] = "all",
) -> UFMOptimum:
    """The optimum with its factors: U S^(1/2) on both sides, in the sizes that the constraint gives them."""
    K, d = settings.classes, settings.dim
    if bias is None and settings.bias and settings.constraint != "sphere":
        bias = Z.new_zeros(K)
    S, U = torch.linalg.eigh(Z)
    root = torch.zeros(K, d, dtype=torch.float64)
    root[:, : min(d, K)] = (U * S.clamp_min(0).sqrt()).flip(1)[:, :d]
    W, H = root, root.clone()
    if settings.constraint == "decay":
        ratio = (settings.samples * feature_decay(settings) / settings.decay_weight) ** 0.25
        W, H = root * ratio, root / ratio
    elif settings.constraint == "weight-norm":
        H = root * (K**0.5 / root.norm())
        W = root * (root.norm() / K**0.5)
    elif settings.constraint == "sphere":
        W = H = torch.nn.functional.normalize(root, dim=1)
    return UFMOptimum(value, Z, W, H, bias, known)
