r"""The multi-class margin bound, term by term and pair of classes by pair of classes.

Class i is taken for class j where $g_{ij}(x) = \langle M_i - M_j, f(x) \rangle \le 0$, so with class priors p

$$P(\text{error}) \le \sum_i p_i \sum_{j \ne i} P(g_{ij} \le 0 \mid i).$$

Scale does not matter to the sign: let v be $M_i - M_j$ at unit norm. For each pair, with n samples of class i,
$\gamma$ from the grid $C 2^{-k}, k = 0, 1, \dots$ and probability $1 - \delta$ over all pairs, all grid points
and **all** unit vectors v at once, also those trained on the samples,

$$P(\langle v, f \rangle \le 0) \le
\underbrace{\tfrac1n \#\{\langle v, f \rangle \le \gamma\}}_{\text{share}}
+ \underbrace{\tfrac{2}{\gamma} \widehat{\mathrm{Rad}}}_{\text{complexity}}
+ \underbrace{3 \sqrt{\tfrac{\log (k+1)(k+2)}{2n}}}_{\text{choice}}
+ \underbrace{3 \sqrt{\tfrac{\log (2 K(K-1) / \delta)}{2n}}}_{\text{confidence}}.$$

Derived here, constants are ours: the ramp that is 1 below 0 and 0 above $\gamma$ lies between the two events, has
slope $1/\gamma$, and values in [0, 1]; symmetrisation, contraction and bounded differences (twice, the second time for the
empirical average) give $2\widehat{\mathrm{Rad}}/\gamma + 3\sqrt{\log(2/\delta')/2n}$; the union over pairs and k takes
$\delta' = \delta / (K (K-1)(k+1)(k+2))$, whose sum is $\delta$, and $\sqrt{a+b} \le \sqrt a + \sqrt b$. It is
of the form of Theorem 4.4 of arXiv 2310.08358, whose constants we have not seen; k is $\log_2 (C/\gamma)$, so the
third term is its log log. C and the map f must be chosen without the samples. **A network's f is trained on them: there the
numbers are a diagnostic, never a guarantee.**
"""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..._errors import InputError
from ..._types import Float, Int

GRID = 24
"""Points of the grid of margins."""


@dataclass(frozen=True)
class BoundTerms:
    """Terms of the bound for each ordered pair of classes, (K, K), the diagonal zero.

    Attributes:
        share: of samples of i with margin to j at most gamma; this alone depends on the fit.
        complexity: of linear functions of the features, over gamma.
        choice: the price of choosing gamma afterwards.
        confidence: the price of certainty.
    """

    share: Tensor
    complexity: Tensor
    choice: Tensor
    confidence: Tensor

    def summed(self, priors: Tensor) -> dict[str, float]:
        """Each term's part of the bound, and their total, with classes weighted by their priors; it may exceed 1."""
        parts = {field.name: float(priors.double() @ getattr(self, field.name).sum(1)) for field in fields(self)}
        return parts | {"total": sum(parts.values())}


def pair_directions(weight: Float[Tensor, "K d"]) -> Float[Tensor, "K K d"]:
    """(M_i - M_j) at unit norm, zero on the diagonal.

    Raises:
        InputError: if two classes have the same row.
    """
    differences = weight[:, None] - weight[None]
    norms = differences.norm(dim=2) + torch.eye(len(weight)).to(weight)
    if bool((norms == 0).any()):
        raise InputError("expected different classifier rows, got two that are equal: no margin separates them")
    return differences / norms[..., None]


def sample_terms(
    features: Float[Tensor, "N d"],
    labels: Int[Tensor, " N"],
    weight: Float[Tensor, "K d"],
    *,
    delta: float = 0.05,
    largest: int | float = 1,
    draws: int = 0,
    generator: torch.Generator | None = None,
) -> tuple[BoundTerms, Float[Tensor, "K K"]]:
    """The terms on a sample, and the margins gamma (K, K), each the best of its grid.

    Args:
        features: f(x); append a constant 1 to features, and biases to rows, for a classifier with biases.
        labels: classes, each of which has a sample.
        weight: M.
        delta: probability of failure.
        largest: C, the largest gamma of the grid, in units of the features and chosen beforehand.
        draws: 0 bounds the Rademacher average by sqrt(mean |f|^2 / n); else it is the mean over so many random signs, an
            estimate that is slightly smaller.
        generator: of the signs.

    Raises:
        InputError: if a class has no samples. Equal rows of the weight are refused too.

    Examples:
        >>> from neucollapse.geometry import simplex
        >>> terms, gamma = sample_terms(simplex(3).repeat(500, 1), torch.arange(3).repeat(500), simplex(3))
        >>> {name: round(value, 3) for name, value in terms.summed(torch.ones(3) / 3).items()}
        {'share': 0.0, 'complexity': 0.358, 'choice': 0.254, 'confidence': 0.444, 'total': 1.056}
    """
    K, directions, grid = len(weight), pair_directions(weight), _grid(largest)
    counts = torch.bincount(labels, minlength=K).double()
    if bool((counts == 0).any()):
        raise InputError(f"expected samples of every class, got none of class {int(counts.argmin())}")
    rows = [features[labels == i].double() for i in range(K)]
    share = torch.zeros(K, K, GRID, dtype=torch.float64)
    for i in range(K):
        margins = (rows[i] @ directions[i].T.double()).T.contiguous().sort(1).values
        below = torch.searchsorted(margins, grid.expand(K, -1).contiguous(), right=True)
        share[i] = below.double() / len(rows[i])
    complexity = torch.tensor([rademacher(row, draws=draws, generator=generator) for row in rows], dtype=torch.float64)
    return _best(share, complexity, counts, delta, grid)


def gaussian_terms(
    means: Float[Tensor, "K d"],
    covariances: Float[Tensor, "K d d"],
    weight: Float[Tensor, "K d"],
    counts: Float[Tensor, " K"],
    *,
    delta: float = 0.05,
    largest: int | float = 1,
) -> tuple[BoundTerms, Float[Tensor, "K K"]]:
    r"""The expected terms for Gaussian classes: no sample, so that a change by a relabelling is exact.

    $$\text{share}_{ij} = \Phi\!\left(\frac{\gamma - \langle v, \mu_i \rangle}{\sqrt{v^\top \Sigma_i v}}\right),
    \qquad \widehat{\mathrm{Rad}}_i \to \sqrt{\frac{|\mu_i|^2 + \operatorname{tr} \Sigma_i}{n_i}}$$

    Args, and what is returned, are those of `sample_terms`, with `counts` the samples of each class that the bound would be
    formed with.
    """
    grid = _grid(largest)
    along, deviations = _along(means, covariances, pair_directions(weight))
    share = torch.special.ndtr((grid - along[..., None]) / deviations[..., None])
    norms = means.square().sum(1) + covariances.diagonal(dim1=1, dim2=2).sum(1)
    return _best(share, (norms / counts).sqrt(), counts, delta, grid)


def gaussian_pair_errors(
    means: Float[Tensor, "K d"], covariances: Float[Tensor, "K d d"], weight: Float[Tensor, "K d"]
) -> Float[Tensor, "K K"]:
    """P(<M_i - M_j, f> <= 0 | i) for Gaussian classes, exact; zero on the diagonal."""
    along, deviations = _along(means, covariances, pair_directions(weight))
    return torch.special.ndtr(-along / deviations).fill_diagonal_(0)


def _along(means: Tensor, covariances: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of <v, f> for class i and the direction of (i, j)."""
    along = torch.einsum("ijd,id->ij", directions, means)
    deviations = torch.einsum("ijd,ide,ije->ij", directions, covariances, directions)
    return along, deviations.clamp(min=1e-300).sqrt()


def rademacher(rows: Float[Tensor, "n d"], *, draws: int = 0, generator: torch.Generator | None = None) -> float:
    r"""The empirical Rademacher average of the linear functions of unit norm, or for 0 draws of signs its bound.

    $$\frac1n \mathbb E_\epsilon \sup_{|v| \le 1} \sum_s \epsilon_s \langle v, f_s \rangle
    = \frac1n \mathbb E_\epsilon \Big| \sum_s \epsilon_s f_s \Big| \le \frac1n \sqrt{\sum_s |f_s|^2}$$

    Examples:
        >>> rademacher(torch.eye(4).double()), rademacher(torch.eye(4).double(), draws=3)  # orthogonal rows attain the bound
        (0.5, 0.5)
    """
    if not draws:
        return float(rows.norm() / len(rows))
    signs = torch.randint(0, 2, (draws, len(rows)), generator=generator).to(rows) * 2 - 1
    return float((signs @ rows).norm(dim=1).mean() / len(rows))


def _grid(largest: int | float) -> Tensor:
    return largest * 0.5 ** torch.arange(GRID, dtype=torch.float64)


def _best(share: Tensor, complexity: Tensor, counts: Tensor, delta: float, grid: Tensor) -> tuple[BoundTerms, Tensor]:
    """The terms at the grid point where their sum is least; diagonals zero."""
    K, k = len(counts), torch.arange(GRID, dtype=torch.float64)
    complexities = (2 * complexity[:, None] / grid)[:, None].expand(K, K, GRID)
    choice = (3 * (((k + 1) * (k + 2)).log() / (2 * counts[:, None])).sqrt())[:, None].expand(K, K, GRID)
    confidence = 3 * (math.log(2 * K * (K - 1) / delta) / (2 * counts)).sqrt()
    best = (share + complexities + choice).argmin(2, keepdim=True)
    parts = [part.gather(2, best)[..., 0] for part in (share, complexities, choice)]
    parts.append(confidence[:, None].expand(K, K))
    return BoundTerms(*(part * (1 - torch.eye(K, dtype=torch.float64)) for part in parts)), grid[best[..., 0]]
