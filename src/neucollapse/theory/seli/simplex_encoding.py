r"""Simplex-encoded labels: cross-entropy with unequal classes as the decay vanishes (the SELI geometry, arXiv:2208.05512).

The paper's abstract has it that logits "always interpolate a simplex-encoded label matrix", "irrespective of class
imbalances", and that the geometries of features and classifiers are its SVD factors. Derived here, for any sizes $n_k$:
the hard-margin problem in the logits, one row a class and $S = \mathrm{diag}(\sqrt{n_k})$,

$$\min_Z |S Z|_* \quad \text{subject to} \quad z_{kk} - z_{kc} \ge 1 \text{ for all } c \ne k,$$

has the one solution $\hat Z = I - J/K$ (J all ones). Proof. Let $S \hat Z = U \Sigma V^\top$ and
$B = U V^\top$, a subgradient of the norm there, whose rows sum to 0. With multipliers $\mu_{kc} = -s_k B_{kc}$
of the margins $\hat Z$ is stationary, so it is optimal if they are at least 0. Where all are positive, every optimum
has all margins equal to 1, and the norm is least for rows that sum to 0. Now
$B = S \hat Z\, (\hat Z S^2 \hat Z)^{+1/2}$, and

$$(\hat Z S^2 \hat Z)^+ = S^{-2} - \frac{S^{-2} J S^{-2}}{\sum_k 1/n_k} =: L$$

(multiply out: $L 1 = 0$ and $\hat Z S^2 \hat Z L = \hat Z$). L is the Laplacian of a complete graph with weights
$1 / (n_j n_k \sum_i 1/n_i)$, and the root of a Laplacian is one:
$L^{1/2} = \frac1\pi \int_0^\infty t^{-1/2} (I - t\,(t I + L)^{-1})\, dt$, whose inverse has positive entries. So off the
diagonal $B = S L^{1/2}$ is negative, whatever the sizes.

With a decay $\lambda$ the optimum of `Relaxation` has $\mathrm{softmax}(z_k) = e_k - \lambda s_k B_k / p_k$
where K - 1 singular values are above 0: a fixed point in which B changes slowly, so that it can be solved for decays far below
any that a float holds. As they vanish

$$Z = \hat Z \log \tfrac{1}{\lambda} + O(1),$$

so the direction tends to SELI at the rate of one over the logarithm of the decay.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..._errors import InputError
from ..class_sizes import check_counts
from ..relaxation import Relaxation


class SimplexEncoding(NamedTuple):
    """The geometry at unit margin.

    Attributes:
        logits: (K, K), one row a class: I - J/K.
        weight_gram: W W^T (K, K) of the classifier.
        means_gram: M M^T (K, K) of the class means.
        singular_values: of S Z, falling; K - 1 of them.
        multipliers: (K, K) of the margins, positive off the diagonal: the proof that it is optimal.
        value: the nuclear norm, half the sum of squares of classifier and features.
    """

    logits: Tensor
    weight_gram: Tensor
    means_gram: Tensor
    singular_values: Tensor
    multipliers: Tensor
    value: float


def simplex_encoding(counts: Tensor) -> SimplexEncoding:
    """The hard-margin optimum for class sizes (K,), in any dimension d >= K - 1.

    `InputError`: an empty class, fewer than two classes.

    Examples:
        >>> encoding = simplex_encoding(torch.tensor([10, 10, 1, 1]))
        >>> norms = encoding.weight_gram.diagonal().sqrt()
        >>> round(float(norms[0] / norms[-1]), 4), bool((encoding.multipliers >= 0).all())
        (1.4125, True)
    """
    counts = check_counts(counts)
    K, scales = len(counts), counts.sqrt()
    logits = torch.eye(K, dtype=counts.dtype) - 1 / K
    U, sigma, V = (part[..., : K - 1] for part in _svd(scales[:, None] * logits))
    B = U @ V.mT
    multipliers = -(scales[:, None] * B).fill_diagonal_(0)
    means_gram = (U * sigma) @ U.mT / scales[:, None] / scales
    return SimplexEncoding(logits, (V * sigma) @ V.mT, means_gram, sigma, multipliers, float(sigma.sum()))


def cross_entropy_optimum(counts: Tensor, log_decay: float) -> Tensor:
    r"""Logits (K, K), one row a class, of the cross-entropy optimum with a decay of exp(log_decay) on both factors.

    By the fixed point of this page, damped until it converges, which it does for all but large decays; for those, where classes
    merge, by `Relaxation.solve`, whose certificate is then at 1e-13.

    Args:
        counts: class sizes (K,).
        log_decay: natural logarithm of the decay, negative; -1e7 is as well as -5.
    """
    counts = check_counts(counts)
    if not -math.inf < log_decay < 0:
        raise InputError(f"expected log_decay negative and finite, got {log_decay}")
    for damping in (1.0, 0.5, 0.25, 0.1, 0.05):
        logits = _fixed_point(counts, log_decay, damping)
        if logits is not None:
            return logits
    return Relaxation(counts, math.exp(log_decay)).solve(gap=1e-13).logits


def simplex_distance(logits: Tensor, counts: Tensor) -> float:
    """How far the direction of S Z is from that of SELI, from 0 to 2, as a Frobenius norm; nan for logits of 0."""
    scales = counts.double().sqrt()[:, None]
    X, target = scales * (logits - logits.mean(dim=1, keepdim=True)), scales * simplex_encoding(counts).logits
    return float((X / X.norm() - target / target.norm()).norm())


def gram_distance(gram: Tensor, target: Tensor) -> float:
    """Frobenius norm between two Gram matrices, each divided by its own."""
    return float((gram / gram.norm() - target / target.norm()).norm())


def grams(logits: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """W W^T and M M^T (K, K) of the cheapest classifier and class means with these logits, at equal decays."""
    scales = counts.double().sqrt()
    U, sigma, V = _svd(scales[:, None] * logits)
    return (V * sigma) @ V.mT, (U * sigma) @ U.mT / scales[:, None] / scales


def _fixed_point(counts: Tensor, log_decay: float, damping: float, iterations: int = 1000) -> Tensor | None:
    """None where probabilities leave (0, 1) or it does not converge."""
    K, scales, decay = len(counts), counts.sqrt(), math.exp(log_decay)
    off = ~torch.eye(K, dtype=torch.bool)
    logits = -log_decay * (torch.eye(K, dtype=counts.dtype) - 1 / K)
    for _ in range(iterations):
        U, sigma, V = (part[..., : K - 1] for part in _svd(scales[:, None] * logits))
        if sigma[-1] <= 1e-12 * sigma[0]:
            return None
        rates = (-(U @ V.mT) * (counts.sum() / scales)[:, None]).fill_diagonal_(0)  # probabilities over the decay
        if not bool((rates[off] > 0).all()) or decay * float(rates.sum(dim=1).max()) >= 1:
            return None
        own = torch.log1p(-decay * rates.sum(dim=1))
        following = torch.where(off, log_decay + rates.log(), own[:, None])
        change = following - following.mean(dim=1, keepdim=True) - logits
        logits = logits + damping * change
        if float(change.abs().max()) <= 2e-14 * float(logits.abs().max()):
            return logits
    return None


def _svd(X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    U, sigma, V = torch.linalg.svd(X)
    return U, sigma, V.mT
