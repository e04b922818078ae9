r"""General orthogonal frames: the mean squared error with unequal classes, solved.

The name and the geometry are those of Dang et al. (arXiv:2301.00437), whose abstract says that without bias features and
classifier become "orthogonal vectors, whose lengths depend on the amount of data in their corresponding classes".
With labels $Y$ (N, K) one-hot,

$$\min_{W, H, b} \frac{1}{2N} |H W^\top + 1 b^\top - Y|_F^2 + \frac{\lambda_W}{2} |W|_F^2 + \frac{\lambda_H}{2} |H|_F^2$$

is, in $Z = H W^\top$, half a squared distance plus $\lambda = \sqrt{\lambda_W \lambda_H}$ times the nuclear norm (see
`relaxation`). Both depend on singular values alone once Z has the singular vectors of Y (von Neumann's trace inequality),
also among matrices of rank at most d. So the solution soft-thresholds the singular values of Y at $N \lambda$ and
keeps the d largest.

Without bias the singular values of Y are $\sqrt{n_k}$, one a class: the optimum is

$$w_k \perp w_j, \quad |w_k|^2 = \sqrt{\lambda_H / \lambda_W}\, \sigma_k, \quad
h_k = \sqrt{\lambda_W / (\lambda_H n_k)}\, w_k, \quad \sigma_k = (\sqrt{n_k} - N \lambda)_+,$$

and a class survives iff $n_k > N^2 \lambda_W \lambda_H$ and it is among the d largest. A bias without decay
removes the mean of Y over samples: $b = n / N$, and the singular values are the roots of the eigenvalues of
$\mathrm{diag}(n) - n n^\top / N$. They interlace the sizes: m classes of one size have m - 1 singular values
$\sqrt{n_k}$, so equal classes make a simplex. Derived here.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..._errors import InputError
from ..class_sizes import check_counts
from ..relaxation import balanced


class Frame(NamedTuple):
    """An optimum, one of the many that differ by a rotation.

    Where the d-th and the next singular value are equal (`unique` is False), there are others still, of the same value.
    """

    weight: Tensor
    means: Tensor
    bias: Tensor
    singular_values: Tensor
    value: float
    unique: bool


def orthogonal_frame(
    counts: Tensor, dim: int, decay_weight: float, decay_features: float, *, bias: bool = False
) -> Frame:
    """The optimum in dimension d for class sizes (K,): classifier (K, d), class means (K, d), bias (K,).

    Args:
        counts: class sizes.
        dim: d, any.
        decay_weight: of the classifier, above 0.
        decay_features: of every sample's feature, above 0.
        bias: whether there is one, without decay. Without, it is 0.

    Returns:
        A `Frame`; its singular values are those of H W^T, of which there are min(K, d), falling.

    Raises:
        InputError: an empty class, fewer than two classes, a dimension below 1, a decay that is not above 0.

    Examples:
        >>> frame = orthogonal_frame(torch.tensor([100, 25, 4]), 3, 2e-2, 2e-2)
        >>> frame.singular_values.tolist()  # 10, 5 and 2, less 129 * 0.02, and at least 0
        [7.42, 2.42, 0.0]
    """
    counts = check_counts(counts)
    if dim < 1:
        raise InputError(f"expected dim of at least 1, got {dim}")
    if not (0 < decay_weight < math.inf and 0 < decay_features < math.inf):
        raise InputError(f"expected decays above 0 and finite, got {decay_weight} and {decay_features}")
    N, K = counts.sum(), len(counts)
    decay = math.sqrt(decay_weight * decay_features)
    b = counts / N if bias else torch.zeros_like(counts)
    # Rows of equal labels are equal, so K rows, each times the root of its size, have the singular values of all N.
    targets = counts.sqrt()[:, None] * (torch.eye(K, dtype=counts.dtype) - b)
    U, before, V = torch.linalg.svd(targets)
    kept = (before - N * decay).clamp_min(0)
    kept[dim:] = 0
    weight, means = balanced(U, kept, V, dim, (decay_features / decay_weight) ** 0.25)
    value = float(((kept - before).square().sum() / (2 * N)) + decay * kept.sum())
    tied = dim < K and bool(before[dim - 1] - before[dim] <= 1e-9 * before[0]) and bool(kept[dim - 1] > 0)
    return Frame(weight, means / counts.sqrt()[:, None], b, kept[: min(K, dim)], value, not tied)
