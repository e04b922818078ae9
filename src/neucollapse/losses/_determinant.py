"""Maximum Gram determinant (MGD): the volume of the directions under a Gaussian kernel."""

import torch
from torch import Tensor

from .._errors import InputError
from .._names import names_options
from ._normalised import normalised
from ._pair_distances import check_floor, check_weight, reduced, squared_distances
from ._rows import result_type


@names_options
def log_determinant(
    weight: Tensor,
    *,
    width: float | int = 1.0,
    reduction: str = "mean",
    jitter: float | int = 1e-6,
    floor: float | int = 1e-4,
) -> Tensor:
    r"""Maximum Gram determinant (MGD): log det of the Gaussian Gram matrix of the directions, to be maximised.

    $$ \log \det (G + \eta I), \qquad G_{ij} = \exp(-\epsilon^2 |u_i - u_j|^2), \qquad u_i = w_i / |w_i| $$

    Range: below $K \log(1 + \eta)$, which is about 0. For K <= d + 1 the simplex has the most, about
    $(K-1) \log(1 - g) + \log(1 + (K-1) g)$ with $g = \exp(-2 \epsilon^2 K/(K-1))$.

    The matrix itself, `(K, K)`, is stored and factored: K up to some thousands.

    Args:
        weight: `(K, d)`, K >= 2, of any length.
        width: $\epsilon$, the inverse of the width of the kernel.
        reduction: `"sum"`, the log-determinant itself, or `"mean"`, that over K: per class.
        jitter: $\eta$, which keeps the determinant of coincident rows above 0.
        floor: pairs closer than it count as at it, less their distance to it: a push of slope 1, by which coincident rows part.

    Returns:
        A scalar, of the type of `weight`, at least float32.

    Raises:
        InputError: a weight that is not a floating matrix of two rows or more, a width, jitter or floor that is not
            positive, an unknown reduction.

    References:
        Liu et al., arXiv 2303.06484; "Learning with Hyperspherical Uniformity", arXiv 2103.01649.

    Examples:
        >>> import torch
        >>> round(log_determinant(torch.eye(3), reduction="sum").item(), 4)
        -0.0513
    """
    check_weight(weight)
    check_floor(floor)
    if not (0 < width < torch.inf and 0 < jitter < torch.inf):
        raise InputError(f"expected a finite width and jitter above 0, got width={width}, jitter={jitter}")
    K = len(weight)
    unit = normalised(weight.double())
    points = unit - unit.mean(dim=0).detach()
    every = torch.arange(K, device=weight.device)
    pairs = torch.ones(K, K, dtype=torch.bool, device=weight.device).triu(diagonal=1)
    squares, below = squared_distances(points, points, every, every, pairs, floor)
    upper = torch.exp(-(width**2) * squares).where(pairs, 0)
    gram = upper + upper.mT + (1 + jitter) * torch.eye(K, dtype=torch.float64, device=weight.device)
    total = 2 * torch.linalg.cholesky(gram).diagonal().log().sum() - below
    return reduced(total, K, reduction).to(result_type(weight))
