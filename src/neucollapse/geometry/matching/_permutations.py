"""Permutations of classes: the one that pairs two sets of points as they lie, and random ones."""

from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from ..._errors import InputError
from ..._names import names_options
from ..._types import Float, Int
from .._rows import in_range
from ._rotations import same_shape


def permutation_of(points: Any, reference: Any) -> Int[Tensor, " K"]:
    r"""Which point belongs to each reference point, nothing turned: the permutation of least total squared distance.

    $$
    \max_\pi \sum_k \langle p_{\pi(k)}, r_k \rangle
    $$

    Exact: a linear assignment problem, in O(K^3). `points[permutation]` lies beside the reference row by row, and for
    points that are the reference in another order it is the reference. Where both may be turned as well, see `match`.

    Args:
        points: (K, d).
        reference: (K, d).

    `InputError` is raised if the shapes differ.

    `NonFiniteError` is raised if either holds NaN or infinity.

    Examples:
        >>> permutation_of([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0]], [[1.0, 0.1], [0.0, -2.0], [0.1, 1.0]]).tolist()
        [1, 2, 0]
    """
    return best_pairing(*same_shape(points, reference))


@names_options
def random_permutation(K: int, *, seed: int = 0) -> Int[Tensor, " K"]:
    """A permutation of 0, ..., K-1 drawn uniformly: the assignment of classes to vertices that knows nothing of them.

    Args:
        K: number of classes, at least 1.
        seed: the same seed draws the same permutation; the generator of torch is not touched.

    Raises:
        InputError: if K is no whole number of at least 1.

    Examples:
        >>> sorted(random_permutation(5, seed=3).tolist())
        [0, 1, 2, 3, 4]
    """
    if not isinstance(K, Integral) or isinstance(K, bool) or K < 1:
        raise InputError(f"expected K (number of classes) as a whole number >= 1, got {K!r}")
    return torch.randperm(int(K), generator=torch.Generator().manual_seed(seed))


def best_pairing(P: Float[Tensor, "K d"], R: Float[Tensor, "K d"]) -> Int[Tensor, " K"]:
    """`permutation_of` for rows that are checked already."""
    from scipy.optimize import linear_sum_assignment

    _, columns = linear_sum_assignment((in_range(R) @ in_range(P).T).numpy(), maximize=True)
    return torch.as_tensor(columns)
