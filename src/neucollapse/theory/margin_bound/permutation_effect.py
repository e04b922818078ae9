r"""What changes in the margin bound when classes swap places on the vertices of a frame.

Class i has its own noise and sits at vertex $\pi(i)$. A term $t_{ij}$ of the bound depends on the pair of classes
(noise of i, in the direction of j) and on the pair of vertices (their distance):

* at a **simplex** all pairs of vertices are alike, every relabelling is an isometry, and nothing changes;
* where the noise of each class is round, $t_{ij}$ knows of j through the distance of the vertices alone, and the sum over j
  through the list of distances from vertex $\pi(i)$. So nothing changes either at any frame whose vertices all see the same
  distances: polygons, orthoplexes, all that are vertex-transitive (derived here);
* where all classes are alike and round, the sum over classes only changes its order, at any frame;
* the confidence never changes for equal class sizes, and the complexity only through the chosen margins.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._types import Float, Int
from .terms import gaussian_pair_errors, gaussian_terms


@dataclass(frozen=True)
class Classes:
    """Gaussian classes that may sit on any vertices.

    Attributes:
        deviations: standard deviation of each class in every direction, (K,).
        partner: the class each class leans towards, (K,).
        lean: standard deviation towards the vertex of the partner, in units of the class's own.
    """

    deviations: Tensor
    partner: Tensor
    lean: float = 0.0

    def factors(self, means: Float[Tensor, "K d"]) -> Float[Tensor, "K d r"]:
        """F with covariances F F^T: round noise, and one column towards the mean of the partner."""
        K, d = means.shape
        towards = torch.nn.functional.normalize(means[self.partner] - means, dim=1)
        identity = torch.eye(d, dtype=means.dtype).expand(K, d, d)
        return self.deviations[:, None, None] * torch.cat([identity, self.lean * towards[..., None]], dim=2)

    def covariances(self, means: Float[Tensor, "K d"]) -> Float[Tensor, "K d d"]:
        """F F^T."""
        F = self.factors(means)
        return F @ F.mT


def uneven_classes(K: int, noise: float, uneven: float, lean: float) -> Classes:
    """Classes from calm to noisy, in equal ratios; partners are 0-1, 2-3, ..., the last of an odd number leans towards 0.

    Examples:
        >>> classes = uneven_classes(3, noise=0.4, uneven=4.0, lean=0.0)
        >>> [round(value, 6) for value in classes.deviations.tolist()], classes.partner.tolist()
        ([0.1, 0.2, 0.4], [1, 0, 0])
    """
    steps = torch.linspace(-1, 0, K, dtype=torch.float64)
    partner = torch.arange(K) ^ 1
    return Classes(noise * uneven**steps, torch.where(partner < K, partner, 0), lean)


def relabelled_bound(
    code: Float[Tensor, "K d"], classes: Classes, permutation: Int[Tensor, " K"], samples: int, delta: float
) -> dict[str, float]:
    """The expected terms and their total with class i at vertex permutation[i], and the code as the classifier.

    `pair errors` is what the bound is about: the exact P(g_ij <= 0) in place of each term.
    """
    means = code[permutation]
    covariances = classes.covariances(means)
    counts = torch.full((len(code),), float(samples), dtype=torch.float64)
    terms, _ = gaussian_terms(means, covariances, means, counts, delta=delta)
    errors = gaussian_pair_errors(means, covariances, means)
    return terms.summed(torch.full_like(counts, 1 / len(code))) | {"pair errors": float(errors.sum(1).mean())}


def permutation_effect(bounds: Iterable[dict[str, float]]) -> dict[str, float]:
    """For each term, its largest less its smallest value over relabellings.

    Examples:
        >>> permutation_effect([{"share": 0.1, "total": 0.4}, {"share": 0.3, "total": 0.4}])["total"]
        0.0
    """
    bounds = list(bounds)
    return {name: max(b[name] for b in bounds) - min(b[name] for b in bounds) for name in bounds[0]}
