r"""The convex relaxation of unconstrained features: a nuclear norm instead of two factors, and a certificate for any logits.

With features collapsed to one a class (by Jensen's inequality they are, at the optimum) and $p_k = n_k / N$,

$$\min_{W, H} \sum_k p_k\, \ell(W h_k, k) + \frac{\lambda_W}{2} |W|^2 + \frac{\lambda_H}{2} \sum_k s_k^2 |h_k|^2$$

depends on the factors through the logits $Z = H W^\top$ alone, row k the logits of class k, once each split is at its
cheapest: $\min \tfrac{\lambda_W}{2} |W|^2 + \tfrac{\lambda_H}{2} |S H|^2 = \lambda\, |S Z|_*$ over $H W^\top = Z$,
with $\lambda = \sqrt{\lambda_W \lambda_H}$ and $S = \mathrm{diag}(s)$. In dimension d the rank of Z is at most d;
without that condition the problem

$$\min_Z F(Z) + \lambda\, |S Z|_*, \qquad F(Z) = \sum_k p_k\, \ell(z_k, k)$$

is convex, a bound from below for every d, and equal to the factored problem where its solution has rank at most d.
$s_k^2 = n_k$ where every sample's feature decays alike, 1 where every class's mean squared feature does.

The dual: $\max_G -F^*(G)$ subject to $|S^{-1} G|_{op} \le \lambda$. Any logits give such a G, the gradient of F
there, shrunk into the ball; so any logits give a bound from below, and at the optimum the gap is 0.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from .._errors import InputError
from ..losses import cross_entropy
from .class_sizes import check_counts

Loss = Literal["ce", "mse"]
Per = Literal["sample", "class"]


class Relaxed(NamedTuple):
    """A solution of the relaxation: logits (K, K), value, what it is above the optimum by at most, iterations."""

    logits: Tensor
    value: float
    gap: float
    iterations: int


@dataclass(frozen=True)
class Relaxation:
    r"""The convex problem of some class sizes, a loss and a decay.

    Attributes:
        counts: class sizes (K,); they need not be integers.
        decay: $\lambda = \sqrt{\lambda_W \lambda_H}$.
        loss: `"ce"`, or `"mse"`: half the squared distance to the one-hot label.
        per: whether the features' decay sums over samples (weight decay) or averages within classes (Fang et al.).

    Raises:
        InputError: an empty class, fewer than two classes, a negative decay.

    Examples:
        >>> problem = Relaxation(torch.tensor([8.0, 8.0, 2.0, 2.0]), decay=0.05)
        >>> solution = problem.solve()
        >>> solution.gap < 1e-10, torch.linalg.matrix_rank(solution.logits, atol=1e-6).item()
        (True, 3)
    """

    counts: Tensor
    decay: float
    loss: Loss = "ce"
    per: Per = "sample"

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", check_counts(self.counts))
        if not 0 <= self.decay < math.inf:
            raise InputError(f"expected a decay of at least 0 and finite, got {self.decay}")

    @property
    def proportions(self) -> Tensor:
        """p_k = n_k / N, (K,)."""
        return self.counts / self.counts.sum()

    @property
    def scales(self) -> Tensor:
        """s_k, (K,): the square root of n_k, or 1."""
        return self.counts.sqrt() if self.per == "sample" else torch.ones_like(self.counts)

    def survives(self) -> Tensor:
        r"""Which classes keep apart from those of their own size, (K,) bool: $p_k > \lambda s_k$.

        Take m classes of one size n and move their logits by f (I - J/m) on their block, J all ones. Swapping two of them
        changes nothing, so the convex problem has a solution that is symmetric in them, which on their block is such a
        multiple plus what is orthogonal to it; the nuclear norm is then $\lambda s (m - 1) |f|$ plus the rest. At
        f = 0 they share one softmax, and the derivative of F in f is $-p (m - 1)$ whatever it is, for any other
        class sizes. So f = 0 is the optimum iff $p \le \lambda s$. With the mean squared error the same holds by
        the solution itself (`mse_logits`), also for one class alone. For the decay of samples this reads
        $n_k > N^2 \lambda_W \lambda_H$. Derived here.
        """
        return self.proportions > self.decay * self.scales

    def mse_logits(self) -> Tensor:
        r"""The solution for the mean squared error: diagonal, $z_{kk} = (1 - \lambda s_k / p_k)_+$.

        Changing the sign of row and column k together leaves the problem as it is; averaging over all such changes removes
        everything off the diagonal, and each entry is then a soft threshold. Derived here.
        """
        return torch.diag((1 - self.decay * self.scales / self.proportions).clamp_min(0))

    def value(self, logits: Tensor) -> float:
        """F(Z) + decay |S Z|_* of logits (K, K)."""
        return float(self._loss(logits) + self.decay * nuclear_norm(self.scales[:, None] * logits))

    def gradient(self, logits: Tensor) -> Tensor:
        """Of F alone, (K, K)."""
        residual = (logits.softmax(dim=1) if self.loss == "ce" else logits) - torch.eye(len(logits), dtype=logits.dtype)
        return self.proportions[:, None] * residual

    def lower_bound(self, logits: Tensor) -> float:
        """A bound on the optimum from below: the dual value of the gradient at these logits, shrunk until it is feasible."""
        G = self.gradient(logits)
        norm = float(torch.linalg.matrix_norm(G / self.scales[:, None], 2))
        residual = G / self.proportions[:, None] * min(1.0, self.decay / norm if norm else 1.0)
        if self.loss == "mse":
            return float(-(self.proportions * (residual.diagonal() + residual.square().sum(dim=1) / 2)).sum())
        probabilities = (residual + torch.eye(len(G), dtype=G.dtype)).clamp_min(0)
        return float(self.proportions @ torch.special.entr(probabilities).sum(dim=1))

    def solve(self, gap: float = 1e-12, iterations: int = 30_000) -> Relaxed:
        """Accelerated proximal gradient steps (singular value thresholds), restarted where the momentum points uphill.

        Args:
            gap: to stop at. The certificate in the result is what was reached.
            iterations: at most.
        """
        S = self.scales[:, None]
        curvature = float((self.proportions / self.scales**2).max()) * (0.5 if self.loss == "ce" else 1.0)
        X = before = torch.zeros(len(S), len(S), dtype=S.dtype)  # X = S Z
        ahead, momentum, reached, done = X, 1.0, math.inf, 0
        while done < iterations:
            X, before = (
                singular_value_threshold(ahead - self.gradient(ahead / S) / S / curvature, self.decay / curvature),
                X,
            )
            if float(((ahead - X) * (X - before)).sum()) > 0:
                momentum = 1.0
            following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead, momentum, done = X + (momentum - 1) / following * (X - before), following, done + 1
            if done % 25 == 0 and (reached := self.value(X / S) - self.lower_bound(X / S)) <= gap:
                break
        return Relaxed(X / S, self.value(X / S), max(reached, 0.0), done)

    def _loss(self, logits: Tensor) -> Tensor:
        if self.loss == "ce":
            return self.proportions @ (logits.logsumexp(dim=1) - logits.diagonal())
        return self.proportions @ (logits - torch.eye(len(logits), dtype=logits.dtype)).square().sum(dim=1) / 2


def sample_loss(logits: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """The mean loss of logits (N, K) with labels (N,): F of the samples themselves."""
    if loss == "ce":
        return cross_entropy(logits, labels)
    one_hot = torch.nn.functional.one_hot(labels, logits.shape[1]).double()
    return (logits - one_hot).square().sum() / (2 * len(labels))


def nuclear_norm(X: Tensor) -> Tensor:
    """The sum of the singular values."""
    return torch.linalg.svdvals(X).sum()


def singular_value_threshold(X: Tensor, threshold: float) -> Tensor:
    """The proximal map of the nuclear norm: every singular value less `threshold`, and at least 0."""
    U, sigma, V = torch.linalg.svd(X, full_matrices=False)
    return (U * (sigma - threshold).clamp_min(0)) @ V


def factors(
    logits: Tensor, scales: Tensor, dim: int, decay_weight: float, decay_features: float
) -> tuple[Tensor, Tensor]:
    """The cheapest classifier (K, d) and class means (K, d) with these logits (K, K): up to a rotation, the only ones.

    Raises:
        InputError: if the logits have a larger rank than `dim`.
    """
    U, sigma, V = torch.linalg.svd(scales[:, None] * logits)
    sigma = sigma.where(sigma > 1e-12 * sigma[0], 0)
    if (rank := int(sigma.count_nonzero())) > dim:
        raise InputError(f"expected dim of at least {rank}, the rank of the logits, got {dim}")
    weight, means = balanced(U, sigma, V, dim, (decay_features / decay_weight) ** 0.25)
    return weight, means / scales[:, None]


def balanced(U: Tensor, sigma: Tensor, V: Tensor, dim: int, ratio: float) -> tuple[Tensor, Tensor]:
    """V^T and U times the root of sigma, times and over a ratio: factors (K, d) of U sigma V, wide enough or cut to d."""
    root, pad = sigma.sqrt(), (0, max(0, dim - len(sigma)))
    both = V.mT * root * ratio, U * root / ratio
    weight, means = (torch.nn.functional.pad(part, pad)[:, :dim] for part in both)
    return weight, means
