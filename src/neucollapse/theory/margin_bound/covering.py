"""Covering numbers by a greedy cover, and the bound that is made of them."""

import math

import torch
from torch import Tensor

from ..._errors import InputError
from ..._types import Float, Int
from .terms import pair_directions


def greedy_cover(points: Float[Tensor, "n d"], radius: int | float) -> Int[Tensor, " m"]:
    """Indices of points whose balls of a radius cover all points, the first point first, then always the farthest one.

    Their number lies between the covering number at this radius and that at half of it: they cover, and they are more than
    `radius` apart from each other.

    Raises:
        InputError: no points, or a radius below 0.

    Examples:
        >>> greedy_cover(torch.arange(5.0)[:, None], radius=2.0).tolist()
        [0, 4]
    """
    if not len(points) or not radius >= 0:
        raise InputError(f"expected points and a radius of at least 0, got {len(points)} points and {radius}")
    centres = [0]
    distance = (points - points[0]).norm(dim=1)
    while float(distance.max()) > radius:
        centres.append(int(distance.argmax()))
        distance = torch.minimum(distance, (points - points[centres[-1]]).norm(dim=1))
    return torch.tensor(centres)


def missing_mass_bound(cells: int | float, samples: int | float) -> float:
    r"""How much probability the cells without a sample have on average: at most cells / (e n).

    $$\mathbb E \sum_c p_c\, 1[\text{no sample in } c] = \sum_c p_c (1 - p_c)^n \le \frac{\text{cells}}{e\, n}$$

    since $p (1-p)^n \le p e^{-np} \le 1/(en)$, whatever the probabilities (derived here).

    Examples:
        >>> round(missing_mass_bound(10, 100), 5)
        0.03679
    """
    return cells / (math.e * samples)


def covering_bound(
    features: Float[Tensor, "N d"],
    labels: Int[Tensor, " N"],
    weight: Float[Tensor, "K d"],
    gamma: Float[Tensor, "K K"] | None = None,
) -> tuple[float, Int[Tensor, " K"]]:
    r"""The covering-number form of the margin bound, with covering numbers estimated on the sample.

    $$\mathbb E\,P(\text{error}) \le \sum_y \frac{p_y}{e\, n_y} \operatorname{Cov}(r_y, \mathcal M_y),
    \qquad r_y = \min_{j \ne y} \gamma_{yj}$$

    where $\mathcal M_y$ is the support of the features of class y, Cov counts sets of diameter below $r_y$, and
    $\gamma_{yj}$ is the distance of the samples of class y to the boundary with class j (the margin over
    $|M_y - M_j|$). Derived here: a feature in one set with a training sample is within $r_y$ of it, hence on the
    right side of every boundary, so errors lie in sets without a sample (`missing_mass_bound`). It holds in expectation, for
    gamma chosen beforehand and on the event that all samples have it, with f chosen without the samples. The form is that of
    Theorem 4.8 of arXiv 2310.08358, with 1/(2N) there. Here Cov is the size of a greedy cover of the **sample**, by balls of
    radius r / 2, and gamma by default the least distance found: a diagnostic, never a guarantee.

    Returns:
        The bound (infinite if a sample is misclassified: the form then says nothing) and the sizes of the covers (K,), which
        are 0 for such classes.
    """
    K = len(weight)
    directions = pair_directions(weight)
    total, covers = 0.0, torch.zeros(K, dtype=torch.int64)
    for y in range(K):
        rows = features[labels == y]
        others = torch.arange(K) != y
        distances = (rows @ directions[y].T)[:, others] if gamma is None else gamma[y, others]
        radius = float(distances.min())
        if radius <= 0:
            total = math.inf
            continue
        covers[y] = len(greedy_cover(rows, radius / 2))
        total += len(rows) / len(labels) * missing_mass_bound(int(covers[y]), len(rows))
    return total, covers
