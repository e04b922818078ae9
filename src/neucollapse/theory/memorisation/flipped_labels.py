r"""The predicted optimum of unconstrained features with flipped labels: three numbers, by symmetry and convexity.

K classes; of each, n_0 samples have the right label and f the label of each other class, n = n_0 + (K-1) f in all. With c(i)
the true class of sample i and y_i its label, the model is

$$\min_{W, H}\ \frac1N \sum_i \ell(W h_i, y_i) + \frac{\lambda_W}{2} |W|^2
+ \frac{1}{2N} \sum_i \Big(\lambda_H |h_i|^2 + \mu\, |h_i - \bar h_{c(i)}|^2\Big)$$

with $\bar h_c$ the mean feature of the true class c: a network that treats samples of a class alike pays the price
$\mu$ for telling one of them apart. All of it is derived here:

1. *Convex.* Let $\Pi$ average over the samples of a true class, and
   $Q = (\lambda_H \Pi + (\lambda_H + \mu)(I - \Pi)) / N$. The regularisers are at least $\sqrt{\lambda_W}\, |Z Q^{1/2}|_*$ with
   Z = WH, with equality for some (W, H) if d is at least the rank of Z. What is left is convex in Z, and strictly so in the
   logits up to a constant.
2. *Symmetric.* Relabelling the classes and exchanging samples alike leave it unchanged, so the optimum is
   $a_0 s_k$ for clean samples of class k and $a s_k + b s_y$ for those labelled y, with $s_k = e_k - 1/K$.
   Its K-1 singular values are equal, so the nuclear norm is $\sqrt{K-1}$ times the Frobenius norm.
3. A flipped sample is *memorised*, classified as its label says, iff b > a. *Dilation* is the scatter within true classes over
   that between them, tr S_W / tr S_B of the features, which is that of the logits, as W is a multiple of an isometry on them.

The label-smoothing and squared losses fit in unchanged; for the squared loss one scalar equation is left (`squared_optimum`).
"""

import math
from dataclasses import dataclass

import torch
from scipy.optimize import root_scalar
from torch import Tensor

from ..._errors import InputError
from ...losses import cross_entropy, label_smoothing
from .._model import State
from ..solvers import minimise
from .settings import Memorisation

LOSSES = ("cross-entropy", "label smoothing", "squared")


@dataclass(frozen=True)
class FlippedOptimum:
    """The optimum at one price.

    Attributes:
        clean: a_0, of the logits a_0 s_k of clean samples.
        true: a, of the logits a s_k + b s_y of flipped samples; NaN without any. For two classes, where a - b alone counts, 0.
        given: b of them.
        value: of the objective.
        dilation: scatter within true classes over that between them; NaN if all logits are 0.
        spread: scatter tr S_W of features within true classes, in the units of the features.
    """

    clean: float
    true: float
    given: float
    value: float
    dilation: float
    spread: float

    @property
    def memorised(self) -> bool:
        """Whether flipped samples are classified as their labels say."""
        return self.given > self.true


def labels_of(s: Memorisation) -> tuple[Tensor, Tensor]:
    """True classes and given labels of all samples, each (N,): of every class first the clean ones.

    Examples:
        >>> [x.tolist() for x in labels_of(Memorisation(classes=2, dim=1, clean=2, flipped=1))]
        [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0]]
    """
    true = torch.arange(s.classes).repeat_interleave(s.clean + (s.classes - 1) * s.flipped)
    given = []
    for k in range(s.classes):
        others = [y for y in range(s.classes) if y != k]
        given += [k] * s.clean + [y for y in others for _ in range(s.flipped)]
    return true, torch.tensor(given)


def loss_of(logits: Tensor, labels: Tensor, loss: str, smoothing: float, weights: Tensor | None = None) -> Tensor:
    """Mean (or weighted sum) over samples of a loss by name; the squared one of centred labels: half of |z - (e_y - 1/K)|^2.

    Centred labels are what an unregularised bias makes of them.
    """
    if loss == "squared":
        targets = torch.nn.functional.one_hot(labels, logits.shape[1]).to(logits.dtype) - 1 / logits.shape[1]
        losses = (logits - targets).square().sum(dim=1) / 2
    elif loss == "label smoothing":
        losses = label_smoothing(logits, labels, smoothing=smoothing, reduction="none")
    else:
        losses = cross_entropy(logits, labels, reduction="none")
    return losses.mean() if weights is None else weights @ losses


def predicted_optimum(s: Memorisation, loss: str, price: float) -> FlippedOptimum:
    """The optimum at one price: of three numbers, to a gradient of about 1e-12.

    Args:
        s: sizes, decays and smoothing.
        loss: one of `LOSSES`.
        price: of leaving the class mean.

    Raises:
        InputError: for an unknown loss.

    Examples:
        >>> s = Memorisation(classes=3, flipped=0)
        >>> predicted_optimum(s, "squared", 1.0).dilation
        0.0
    """
    if loss not in LOSSES:
        raise InputError(f"expected a loss among {', '.join(LOSSES)}, got {loss!r}")
    if collapses_to_zero(s, loss, price):
        return _optimum(s, loss, price, torch.zeros(3, dtype=torch.float64))
    start = {"scalars": torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)}
    end = minimise(lambda state: _reduced(state["scalars"], s, loss, price), start, tolerance=1e-12)
    return _optimum(s, loss, price, end.state["scalars"])


def collapses_to_zero(s: Memorisation, loss: str, price: float) -> bool:
    r"""Whether W = 0, H = 0 is the optimum: decays too large for any class to be told apart; derived here.

    The subgradient of the nuclear norm at 0 is the ball of spectral norm 1. With $\bar y = (n_0 - f)/n$ and
    $\epsilon$ the smoothing, 0 otherwise,

    $$\frac{(1-\epsilon)^2}{K} \Big(\frac{\bar y^2}{\lambda_H} + \frac{1 - \bar y^2}{\lambda_H + \mu}\Big) \le \lambda_W .$$

    Examples:
        >>> collapses_to_zero(Memorisation(decay_weight=1.0, decay_features=1.0), "squared", 0.0)
        True
    """
    slope = 1 - s.smoothing if loss == "label smoothing" else 1.0
    squared = _mean_label(s) ** 2
    spectral = squared / s.decay_features + (1 - squared) / (s.decay_features + price)
    return slope**2 * spectral / s.classes <= s.decay_weight


def squared_optimum(s: Memorisation, price: float) -> FlippedOptimum:
    r"""The optimum of the squared loss by one scalar equation; derived here.

    Each of the K-1 directions of the labels splits into a part $y_1^2 = n \bar y^2$ that follows the true classes and the
    rest $y_2^2 = n (1 - \bar y^2)$. With $q_1 = \lambda_H / N, q_2 = (\lambda_H + \mu)/N$ they shrink by
    $g_i = \rho / (\rho + N q_i \sqrt{\lambda_W})$, where

    $$\sum_i \frac{q_i y_i^2}{(\rho + N q_i \sqrt{\lambda_W})^2} = 1 .$$

    Then $a_0 = g_1 \bar y + g_2 (1 - \bar y)$, $a = (g_1 - g_2) \bar y$, $b = g_2$: flipped samples are
    memorised iff $g_2 / g_1 > \bar y / (1 + \bar y)$.
    """
    if collapses_to_zero(s, "squared", price):
        return _optimum(s, "squared", price, torch.zeros(3, dtype=torch.float64))
    n = s.clean + (s.classes - 1) * s.flipped
    mean, root = _mean_label(s), s.decay_weight**0.5
    parts = [(s.decay_features, n * mean**2), (s.decay_features + price, n * (1 - mean**2))]  # (N q_i, y_i^2)
    N = n * s.classes

    def excess(rho: float) -> float:
        return sum(q / N * y / (rho + q * root) ** 2 for q, y in parts) - 1

    upper = sum(q / N * y for q, y in parts) ** 0.5  # drops the positive shift in the denominators
    rho = float(root_scalar(excess, bracket=(0.0, upper), xtol=1e-16, rtol=1e-15).root)
    first, second = (rho / (rho + q * root) for q, _ in parts)
    scalars = (first * mean + second * (1 - mean), (first - second) * mean, second)
    return _optimum(s, "squared", price, torch.tensor(scalars, dtype=torch.float64))


def _mean_label(s: Memorisation) -> float:
    """Of the mean label of a true class, (n_0 - f)/n times s_k."""
    return (s.clean - s.flipped) / (s.clean + (s.classes - 1) * s.flipped)


def _squares(scalars: Tensor, s: Memorisation) -> tuple[Tensor, Tensor]:
    """|Z Pi|^2 and |Z (I - Pi)|^2 over N: mean squares of logits between and within true classes."""
    K, n = s.classes, s.clean + (s.classes - 1) * s.flipped
    clean, true, given = scalars
    mean = (s.clean * clean + s.flipped * ((K - 1) * true - given)) / n
    # squares about the mean, in which nothing cancels: of (clean - mean) s_k and (true - mean) s_k + given s_y
    off = true - mean
    within = s.clean * (clean - mean) ** 2 * (K - 1) / K
    within = within + s.flipped * (K - 1) * ((off**2 + given**2) * (K - 1) - 2 * off * given) / K
    return mean**2 * (K - 1) / K, within / n


def _reduced(scalars: Tensor, s: Memorisation, loss: str, price: float) -> Tensor:
    """The objective of the three numbers."""
    K, n = s.classes, s.clean + (s.classes - 1) * s.flipped
    frame = torch.eye(K, dtype=torch.float64)[:2] - 1 / K  # of class 0 alone, and of class 0 with label 1
    logits = torch.stack([scalars[0] * frame[0], scalars[1] * frame[0] + scalars[2] * frame[1]])
    share = (K - 1) * s.flipped / n
    weights = torch.tensor([1 - share, share], dtype=torch.float64)
    fit = loss_of(logits, torch.tensor([0, 1]), loss, s.smoothing, weights)
    between, within = _squares(scalars, s)
    norm = (s.decay_features * between + (s.decay_features + price) * within).sqrt()
    return fit + (s.decay_weight * (K - 1)) ** 0.5 * norm


def _optimum(s: Memorisation, loss: str, price: float, scalars: Tensor) -> FlippedOptimum:
    between, within = (float(square) for square in _squares(scalars, s))
    value = float(_reduced(scalars, s, loss, price))
    if s.classes == 2:  # s_y = -s_k
        scalars = torch.stack([scalars[0], torch.zeros_like(scalars[0]), scalars[2] - scalars[1]])
    if not s.flipped:
        scalars = torch.cat([scalars[:1], torch.full((2,), torch.nan, dtype=torch.float64)])
    clean, true, given = scalars.tolist()
    if not between:
        return FlippedOptimum(clean, true, given, value, math.nan, 0.0)
    # both regularisers are equal at the optimum, which gives the squared singular value of W that logits are scaled by
    norm = (s.decay_features * between + (s.decay_features + price) * within) ** 0.5
    gain = norm / ((s.classes - 1) * s.decay_weight) ** 0.5
    return FlippedOptimum(clean, true, given, value, within / between, within / gain)


def objective(state: State, s: Memorisation, loss: str, price: float) -> Tensor:
    """The objective of the features (N, d) and the weight (K, d), as the module states it."""
    true, given = labels_of(s)
    W, H = state["weight"], state["features"]
    means = torch.stack([H[true == k].mean(dim=0) for k in range(s.classes)])
    spread = (H - means[true]).square().sum(dim=1).mean()
    decay = s.decay_weight * W.square().sum() + s.decay_features * H.square().sum(dim=1).mean() + price * spread
    return loss_of(H @ W.T, given, loss, s.smoothing) + decay / 2
