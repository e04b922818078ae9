r"""Hard-margin multi-class SVMs, solved exactly, each with a certificate.

The margin of sample i against class j is $q_{ij} = z_{i y_i} - z_{ij}$, of logits Z = H W^T (N, K).

- Features fixed: $\min \tfrac12 \lVert W \rVert^2$ with all $q_{ij} \ge 1$: a quadratic problem.
- Features free: $\min \tfrac12 (\lVert W \rVert^2 + \lVert H \rVert^2)$ with all $q_{ij} \ge 1$, the minimum-norm
  separation of Ji et al. (arXiv 2110.02796). Over all factors of Z in d >= K-1 dimensions the least value is the nuclear norm
  $\lVert Z \rVert_*$, so that this is a convex problem in Z.

Multipliers $\lambda_{ij} \ge 0$ of the margins certify both: the norm of a solution is what they add up to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import torch
from torch import Tensor

from ..._errors import InputError
from ..._types import Float, Int
from ..class_sizes import labels_of
from ..seli.simplex_encoding import simplex_encoding


@dataclass(frozen=True)
class HardMargin:
    """A hard-margin solution.

    Attributes:
        logits: (N, K), of least margin 1.
        multipliers: (N, K), from 0, of each margin; 0 at the labels.
        norm: what is least: the nuclear norm of the logits (free features), or the norm of the weight (fixed).
        weight: (K, d) where features are fixed; None where they are free, up to rotation.
        residual: largest violation of the optimality conditions: margins, signs, stationarity, complementarity, duality gap.
    """

    logits: Float[Tensor, "N K"]
    multipliers: Float[Tensor, "N K"]
    norm: float
    weight: Float[Tensor, "K d"] | None
    residual: float

    @property
    def margin(self) -> float:
        """The largest normalised margin: of |W| |H| = 1 (free), or of |W| = 1 (fixed)."""
        return 1 / self.norm

    @property
    def direction(self) -> Tensor:
        """What the flow turns towards: the weight (fixed features) or the logits (free), of norm 1."""
        towards = self.logits if self.weight is None else self.weight
        return towards / towards.norm()

    @property
    def slowness(self) -> float:
        r"""How slowly cross-entropy comes near: the normalised margin falls short by this over $p_{min}$ (relative).

        $$\kappa = \sum_{ij} \hat\lambda_{ij} \log\frac{\lambda_{max}}{\lambda_{ij}}, \qquad
        \hat\lambda = \lambda / \textstyle\sum\lambda$$

        Derived here. At a small loss its gradient weights a margin by $e^{-q_{ij}}$, which must be proportional to the
        multiplier; so margins are $q_{ij} = c - \log \lambda_{ij}$, unequal by a constant while c grows. To first order
        in 1/c the norm is that of $\sum \lambda_{ij} q_{ij}$, and the least margin is $c - \log\lambda_{max}$.
        It is 0 for equal multipliers: balanced classes with free features.
        """
        active = self.multipliers[self.multipliers > 0]
        return float((active / active.sum() * (active.max() / active).log()).sum())


def margins(logits: Float[Tensor, "N K"], labels: Int[Tensor, " N"]) -> Float[Tensor, "N K"]:
    """Margin of every sample against every class; infinite against its own."""
    gaps = logits.gather(1, labels[:, None]) - logits
    return gaps.scatter(1, labels[:, None], torch.inf)


def minimum_norm_separation(counts: Sequence[int]) -> HardMargin:
    r"""Free features, d >= K-1: the logits of least nuclear norm that separate all samples by 1.

    They are the simplex-encoded labels $\hat Z = Y (I - \tfrac1K 11^\top)$, whatever the class sizes, as for SELI
    (Thrampoulidis et al., arXiv 2208.05512); `simplex_encoding` has the multipliers and the proof. The certificate is the polar
    factor of the logits, $R_{ij} = -\lambda_{ij}$ off the label, with rows that sum to 0: a matrix of spectral norm 1 with
    $\langle R, \hat Z \rangle = \sum_{ij} \lambda_{ij} = \lVert \hat Z \rVert_*$. For n samples of each class the norm is
    (K-1) sqrt(n), so that the normalised margin is 1/(K-1) for n = 1.

    Args:
        counts: samples of each class, from 1.

    Examples:
        >>> separation = minimum_norm_separation([1] * 10)
        >>> round(separation.margin, 6), separation.residual < 1e-12
        (0.111111, True)
    """
    sizes = torch.as_tensor(counts)
    encoding, labels = simplex_encoding(sizes), labels_of(sizes)
    logits, multipliers = encoding.logits[labels], (encoding.multipliers / sizes[:, None])[labels]
    own = torch.nn.functional.one_hot(labels, len(sizes))
    polar = own * multipliers.sum(dim=1, keepdim=True) - multipliers
    residual = max(
        float((-multipliers).max()),
        float((margins(logits, labels) - 1).where(own == 0, 0).abs().max()),
        float((polar.mT @ polar - encoding.logits).abs().max()),  # singular values 1, on all vectors but that of ones
        abs(float(multipliers.sum()) / encoding.value - 1),
        abs(float(torch.linalg.svdvals(logits).sum()) / encoding.value - 1),
    )
    return HardMargin(logits, multipliers.clamp(min=0), encoding.value, None, residual)


def hard_margin_svm(features: Float[Tensor, "N d"], labels: Int[Tensor, " N"], K: int) -> HardMargin:
    """Fixed features: the weight (K, d) of least norm, without bias, that separates all samples from all classes by 1.

    Solved as a least-distance problem: non-negative least squares finds which margins are 1, then their multipliers are solved
    for. Memory grows as K^2 N d.

    Raises:
        InputError: if no weight separates the samples.

    Examples:
        >>> svm = hard_margin_svm(torch.eye(2).double(), torch.tensor([0, 1]), 2)
        >>> svm.weight
        tensor([[ 0.5000, -0.5000],
                [-0.5000,  0.5000]], dtype=torch.float64)
    """
    (N, d), rival = features.shape, torch.nn.functional.one_hot(labels, K) == 0
    sample, other = rival.nonzero(as_tuple=True)
    rows = torch.zeros(len(sample), K, d, dtype=torch.float64)
    places = torch.arange(len(sample))
    rows[places, labels[sample]], rows[places, other] = features[sample].double(), -features[sample].double()
    A = rows.reshape(len(sample), -1).numpy()
    scale = np.linalg.norm(A, axis=1).max() or 1.0
    ones = np.append(np.zeros(A.shape[1]), 1.0)
    u, _ = scipy.optimize.nnls(np.vstack([A.T / scale, np.ones(len(A))]), ones, maxiter=50 * len(A))
    if 1 - u.sum() < 1e-10:
        raise InputError(f"expected {N} samples that a linear classifier of {d} dimensions separates, and none does")
    support = np.flatnonzero(u)
    active = A[support]
    multipliers = np.zeros(len(A))
    multipliers[support] = np.linalg.lstsq(active @ active.T, np.ones(len(active)), rcond=None)[0]
    W = A.T @ multipliers
    norm, gaps = float(np.linalg.norm(W)), A @ W
    residual = max(
        float((1 - gaps).max()),
        float(-multipliers.min()) / float(multipliers.max()),
        float(np.abs(multipliers * (gaps - 1)).max()) / float(multipliers.max()),
        abs(float(multipliers.sum()) - norm**2) / norm**2,
    )
    full = torch.zeros(N, K, dtype=torch.float64)
    full[sample, other] = torch.from_numpy(multipliers).clamp(min=0)
    weight = torch.from_numpy(W).reshape(K, d)
    return HardMargin(features.double() @ weight.mT, full, norm, weight, residual)
