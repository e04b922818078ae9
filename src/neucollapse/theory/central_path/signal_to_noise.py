r"""The central path: squared loss, with the least-squares classifier of the features at every time.

K balanced classes of n samples, N = K n. Subtract the mean of the features, and make the scatter within classes the
identity: the class means that remain are the signal-to-noise matrix $M = \Sigma_W^{-1/2} (\mu_1, ..., \mu_K)$ (d, K),
with singular values $\omega_j$, at most min(d, K-1) of them not 0. The loss of the best classifier depends on them alone:

$$W_{LS} = \tfrac1K M^\top (I + \tfrac1K M M^\top)^{-1}, \qquad
L = \frac{1}{2K} \sum_{j=1}^{K-1} \frac{1}{1 + \omega_j^2 / K}.$$

Let features follow the gradient flow of L while their scatter within classes is kept at the identity. The gradient moves
samples within a class along $-\frac1N W^\top W (h - \mu)$, a symmetric matrix times features, which is normal to the set
of features of identity scatter; so what is left depends on how the scatter is kept.

- `project` (the gradient, orthogonally, onto the tangent space): class means keep their own gradient,
  $\dot M = \frac1N W^\top (I - \frac{1}{K} 11^\top - W M)$. Singular vectors of M stay, and
  $\dot\omega = \frac{1}{NK} \omega / (1 + \omega^2/K)^2$, or

  $$\log \omega_j + \frac{\omega_j^2}{K} + \frac{\omega_j^4}{4 K^2} = a_j + \frac{t}{NK}.$$

- `whiten` (a step of the gradient, then $\Sigma_W^{-1/2}$, at infinitely small steps): class means are stretched too,
  $\dot M = \frac1N W^\top$, and $\log \omega_j + \omega_j^2 / (2K) = a_j + t / (NK)$.

Either way singular values diverge and their ratios tend to 1: collapse to a simplex frame where d >= K-1. The variability
falls as $t^{-1/2}$ or $t^{-1}$. All of this is derived here; the form $c_1 \log\omega + c_2 \omega^2 + c_3 \omega^4 = a + t$
is what Han, Papyan and Donoho (arXiv 2106.02073) announce.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..._types import Float, Int

Renormalise = Literal["project", "whiten"]


def path_time(snr: Float[Tensor, " r"], K: int, renormalise: Renormalise = "project") -> Float[Tensor, " r"]:
    r"""The time, in units of N K and up to a constant, at which a singular value of the signal-to-noise matrix is reached.

    $$\log \omega + \omega^2 / K + \omega^4 / (4 K^2) \quad\text{(project)}, \qquad
    \log \omega + \omega^2 / (2K) \quad\text{(whiten)}$$

    Args:
        snr: singular values; 0 is never left, at time -inf.
        K: number of classes.
        renormalise: see the module.
    """
    a, b = _powers(K, renormalise)
    return snr.log() + a * snr.square() + b * snr.square().square()


def _powers(K: int, renormalise: Renormalise) -> tuple[float, float]:
    """The factors of the second and of the fourth power in ``path_time``."""
    return (1 / K, 1 / (4 * K * K)) if renormalise == "project" else (1 / (2 * K), 0.0)


def snr_at(
    time: float, start: Float[Tensor, " r"], K: int, renormalise: Renormalise = "project"
) -> Float[Tensor, " r"]:
    """Singular values of the signal-to-noise matrix after a time, in units of N K, on the central path.

    Args:
        time: since the start, from 0.
        start: singular values at the start.
        K: number of classes.
        renormalise: see the module.

    Examples:
        >>> start = torch.tensor([0.5, 1.0, 0.0], dtype=torch.float64)
        >>> snr = snr_at(1e6, start, K=4)  # diverging, ever more equal; what is 0 stays 0
        >>> [round(value, 3) for value in snr.tolist()]
        [89.398, 89.398, 0.0]
    """
    goal, (a, b) = path_time(start, K, renormalise) + time, _powers(K, renormalise)
    # Newton in u = log(snr), from above, where an increasing convex function lets it fall monotonically.
    above = (goal.clamp(min=1e-300) / (b or a)).log() / (4 if b else 2)
    u = torch.minimum(goal, above.clamp(min=0))
    for _ in range(30):
        snr = u.exp()
        step = (path_time(snr, K, renormalise) - goal) / (1 + 2 * a * snr.square() + 4 * b * snr.square().square())
        u = u - step.nan_to_num(nan=0.0)  # -inf less -inf, at a singular value of 0
    return u.exp()


def path_metrics(snr: Float[Tensor, " r"], K: int) -> dict[str, float]:
    r"""Metrics on the central path, from singular values alone, by their names in the registry.

    The classifier has singular values $w_j = (\omega_j / K) / (1 + \omega_j^2 / K)$ along the same vectors.

    Args:
        snr: min(d, K-1) singular values, those that are 0 included.
        K: number of classes.
    """
    w = snr / K / (1 + snr.square() / K)
    missing = K - 1 - len(snr)  # directions of one-hot targets that features cannot have
    means, within = ((1 - w * snr).square().sum() + missing) / (2 * K), w.square().sum() / 2
    simplex = torch.full((K - 1,), (K - 1) ** -0.5, dtype=snr.dtype)
    numbers = {
        "nc1/pinv": snr[snr > 0].square().reciprocal().sum(),
        "nc2/etf_distance": _distance(snr.square(), simplex),
        "nc2/etf_distance@weight": _distance(w.square(), simplex),
        "nc3/frobenius": _distance(w, snr),
        "mse/loss": means + within,
        "mse/within": within,
        "mse/means": means,
    }
    return {name: float(number) for name, number in numbers.items()}


def _distance(x: Tensor, y: Tensor) -> Tensor:
    """Distance of two vectors brought to norm 1; the shorter one is filled up with zeros."""
    x = torch.nn.functional.pad(x, (0, len(y) - len(x)))
    return (x / x.norm() - y / y.norm()).norm()


def least_squares_classifier(
    features: Float[Tensor, "N d"], labels: Int[Tensor, " N"], K: int
) -> tuple[Float[Tensor, "K d"], Float[Tensor, " K"]]:
    """Weight and bias of least mean squared error on one-hot targets; the second moment of features must have full rank."""
    targets = one_hot(labels, K).to(features.dtype)
    mean, share = features.mean(dim=0), targets.mean(dim=0)
    H = features - mean
    weight = torch.linalg.solve(H.mT @ H, H.mT @ (targets - share)).mT
    return weight, share - weight @ mean


def path_velocity(
    features: Float[Tensor, "N d"], labels: Int[Tensor, " N"], K: int, renormalise: Renormalise = "project"
) -> Float[Tensor, "N d"]:
    r"""How features of identity scatter within classes move on the central path, from samples: the simulated side.

    The gradient of the loss at the least-squares classifier, where the classifier's is 0, is
    $G = (H W^\top + 1 b^\top - Y) W / N$. Along -G the scatter within classes would change by the symmetric matrix 2 S;
    S times each feature about its class mean (`project`) or about the mean of all (`whiten`) takes that back.
    """
    weight, bias = least_squares_classifier(features, labels, K)
    descent = (one_hot(labels, K).to(features.dtype) - features @ weight.mT - bias) @ weight / len(features)
    within, moved = (rows - class_means(rows, labels, K)[labels] for rows in (features, descent))
    half = moved.mT @ within / len(features)
    # S solves S Sigma + Sigma S = 2 sym(half), so that rounding in Sigma = I is not amplified along the flow.
    size, basis = torch.linalg.eigh(within.mT @ within / len(features))
    change = basis @ ((basis.mT @ (half + half.mT) @ basis) / (size[:, None] + size)) @ basis.mT
    return descent - (within if renormalise == "project" else features - features.mean(dim=0)) @ change


def signal_to_noise(
    features: Float[Tensor, "N d"], labels: Int[Tensor, " N"], K: int
) -> tuple[Float[Tensor, " r"], Float[Tensor, "d d"]]:
    """The min(d, K-1) singular values of the signal-to-noise matrix, and the scatter within classes."""
    means = class_means(features, labels, K)
    within = features - means[labels]
    scatter = within.mT @ within / len(features)
    centred = (means - means.mean(dim=0)).mT
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(scatter), centred, upper=False)
    return torch.linalg.svdvals(whitened)[: min(features.shape[1], K - 1)], scatter


def class_means(features: Float[Tensor, "N d"], labels: Int[Tensor, " N"], K: int) -> Float[Tensor, "K d"]:
    """Mean feature of each class."""
    sums = features.new_zeros(K, features.shape[1]).index_add(0, labels, features)
    return sums / labels.bincount(minlength=K)[:, None]
