r"""The nearest class mean of a few samples: how often it errs, and bounds by class means and variances.

Let $a, b$ be the errors of the means of n samples each of classes i and j, $e$ that of a query of class i, and
$u = \mu_i - \mu_j$, $D = |u|$. The query is nearer to the wrong mean by

$$s = |x - \hat\mu_j|^2 - |x - \hat\mu_i|^2
= D^2 + \underbrace{2\langle e, u\rangle + 2 \langle e, a - b\rangle - 2\langle u, b\rangle}_{Y} + |b|^2 - |a|^2 \le 0,$$

so either $Y \le -t D^2$ or $|a|^2 \ge (1 - t) D^2$, for any t in (0, 1). The parts of Y are uncorrelated with
mean 0, and Cantelli's and Markov's inequalities give for **any** distribution with second moments

$$P(s \le 0) \le \frac{X}{X + t^2} + \frac{\operatorname{var}_i}{n (1-t) D^2}, \qquad
X = \frac{4}{D^4}\Big[ u^\top \Sigma_i u + \frac{u^\top \Sigma_j u
+ \operatorname{tr} \Sigma_i (\Sigma_i + \Sigma_j)}{n} \Big].$$

Derived here. Galanti, Gyorgy and Hutter (arXiv 2112.15121) introduced such bounds by the class-distance normalised variance
V; our constants are not theirs. Where moments are estimated from the samples, the bound is a diagnostic.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..._errors import InputError
from ..._types import Float

Draw = Callable[[int, torch.Generator], Tensor]
"""So many independent samples of each class, (K, n, d)."""


def cdnv_bound(V: Float[Tensor, "..."], shots: int | float, spread: int | float = 1) -> Float[Tensor, "..."]:
    r"""The bound for two classes that are equally frequent, by V alone.

    $$P(\text{error}) \le \frac{16 V}{p} \Big( 1 + \frac{1 + 2V}{n} \Big) + \frac{2V}{n}, \qquad
    V = \frac{\operatorname{var}_i + \operatorname{var}_j}{2 D^2}$$

    It is the average over both classes of the bound above at t = 1/2, with
    $u^\top \Sigma u \le D^2 \operatorname{var} / p$ and
    $\operatorname{tr} \Sigma_i \Sigma_j \le \operatorname{var}_i \operatorname{var}_j / p$ (derived here).

    Args:
        V: of the pair (`nc1/cdnv`).
        shots: n.
        spread: p, number of dimensions over which the variance is evenly spread: 1 holds for any classes, d for round ones.

    Returns:
        The bound, at most 1.

    Examples:
        >>> [round(value, 5) for value in cdnv_bound(torch.tensor([0.0, 0.01, 1.0]), shots=5).tolist()]
        [0.0, 0.19664, 1.0]
    """
    return ((16 * V / spread) * (1 + (1 + 2 * V) / shots) + 2 * V / shots).clamp(max=1)


def pair_bounds(means: Float[Tensor, "K d"], covariances: Float[Tensor, "K d d"], shots: int) -> Float[Tensor, "K K"]:
    """The bound on P(class i is taken for j) of the formula above, at the best t of a grid; zero on the diagonal, at most 1.

    Raises:
        InputError: if two means are equal.
    """
    K = len(means)
    u = means[:, None] - means[None]
    D2 = u.square().sum(2) + torch.eye(K, dtype=means.dtype)
    if bool((D2 == 0).any()):
        raise InputError("expected different class means, got two that are equal: nothing tells the classes apart")
    own = torch.einsum("ijd,ide,ije->ij", u, covariances, u)
    products = torch.einsum("ide,jed->ij", covariances, covariances)
    noise = (own.T + products.diagonal()[:, None] + products) / shots
    X = (4 * (own + noise) / D2**2)[..., None]
    t = torch.linspace(0.01, 0.99, 99, dtype=means.dtype)
    variances = covariances.diagonal(dim1=1, dim2=2).sum(1)
    markov = variances[:, None, None] / (shots * (1 - t) * D2[..., None])
    return (X / (X + t**2) + markov).amin(2).clamp(max=1).fill_diagonal_(0)


def class_bounds(pairs: Float[Tensor, "K K"]) -> Float[Tensor, " K"]:
    """The bound of each class by the union over the others, at most 1."""
    return pairs.sum(1).clamp(max=1)


def pair_cdnv(means: Float[Tensor, "K d"], variances: Float[Tensor, " K"]) -> Float[Tensor, " P"]:
    """V of every pair of classes i < j."""
    i, j = torch.triu_indices(len(means), len(means), 1)
    return (variances[i] + variances[j]) / (2 * (means[i] - means[j]).square().sum(1))


class FewShotError(NamedTuple):
    """What was measured over independent draws of the means, with standard errors (`deviation`, `pair_deviation`).

    Attributes:
        error: share of queries of which the mean of another class is nearest.
        deviation: of the error.
        pair_error: share of queries of a class for which one other mean is at least as near as that of the class, over ordered
            pairs of classes: the error with two classes.
        pair_deviation: of the pair error.
    """

    error: float
    deviation: float
    pair_error: float
    pair_deviation: float


def few_shot_error(draw: Draw, shots: int, trials: int, generator: torch.Generator, queries: int = 20) -> FewShotError:
    """The error of the nearest mean of `shots` samples, by fresh draws of means and of `queries` of each class.

    Args:
        draw: of samples.
        shots: samples that make a mean.
        trials: independent draws, at least 2.
        generator: of everything.
        queries: of each class and trial.
    """
    shares = torch.zeros(2, trials, dtype=torch.float64)
    for trial in range(trials):
        means, rows = draw(shots, generator).mean(1), draw(queries, generator)
        K = len(means)
        distance = torch.cdist(rows, means.expand(K, -1, -1))
        own = distance.diagonal(dim1=0, dim2=2).T[..., None]
        nearer = (distance <= own).sum(2) - 1  # the mean of the query's class is always counted
        shares[:, trial] = torch.stack([(nearer > 0).double().mean(), nearer.double().mean() / (K - 1)])
    (error, pair), (deviation, pair_deviation) = shares.mean(1).tolist(), (shares.std(1) / trials**0.5).tolist()
    return FewShotError(error, deviation, pair, pair_deviation)


def from_gaussians(means: Float[Tensor, "K d"], factors: Float[Tensor, "K d r"]) -> Draw:
    """Draws of Gaussian classes with covariances F F^T."""

    def draw(n: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(len(means), n, factors.shape[2], generator=generator, dtype=torch.float64)
        return means[:, None] + noise @ factors.mT

    return draw


def from_pools(pools: list[Float[Tensor, "m d"]]) -> Draw:
    """Draws with replacement from the rows of each class: the rows are then the whole distribution."""

    def draw(n: int, generator: torch.Generator) -> Tensor:
        return torch.stack([pool[torch.randint(len(pool), (n,), generator=generator)] for pool in pools])

    return draw


def pool_moments(pools: list[Float[Tensor, "m d"]]) -> tuple[Float[Tensor, "K d"], Float[Tensor, "K d d"]]:
    """Means and covariances of such pools, divided by their sizes."""
    return torch.stack([pool.mean(0) for pool in pools]), torch.stack([pool.T.cov(correction=0) for pool in pools])
