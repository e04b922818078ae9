"""`assign_by_similarity`: which class on which vertex of a code, so that similar classes lie close, or far."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..._errors import InputError
from ..._names import names_options
from ..._types import Float, Int
from .._rows import as_rows
from ..frames import unit_rows
from ._assignment_bounds import largest_value

_ENUMERATE = 8  # 40,320 permutations
_GAIN = 1e-12  # of the scale of the values: what a swap must earn


@dataclass(frozen=True)
class Assignment:
    """Classes on the vertices of a code.

    Attributes:
        permutation: (K,), the vertex of each class: `points[permutation]` are the targets in the order of the classes.
        value: sum over ordered pairs of classes of similarity times cosine.
        bound: no assignment has a larger value (smaller, for `far=True`).
        exact: whether this is a best assignment for certain: all were tried, or the value meets the bound.
    """

    permutation: Int[Tensor, " K"]
    value: float
    bound: float
    exact: bool


@names_options
def assign_by_similarity(
    points: Any,
    similarity: Any,
    *,
    far: bool = False,
    enumerate_all: bool | None = None,
    starts: int | None = None,
    seed: int = 0,
) -> Assignment:
    r"""Choose a vertex of a code for each class so that similar classes lie close together, or far apart.

    $$
    \max_\pi \sum_{i \ne j} S_{ij}\, \langle w_{\pi(i)}, w_{\pi(j)} \rangle
    $$

    A quadratic assignment problem, NP-hard in general. For K <= 8 all permutations are tried, so the result is a best
    one. Beyond, it is a heuristic: FAQ from the barycentre and from random matrices, and random permutations, each then
    improved by the best swap of two classes until none helps. On the simplex, K <= d+1, all assignments are equally good.

    Args:
        points: the code (K, d), rows of any length but zero.
        similarity: S (K, K), such as cosines between class names, or a confusion matrix: its symmetric part counts, its
            diagonal does not. For a matrix of distances turn `far` round.
        far: minimise instead: similar classes far apart.
        enumerate_all: try all permutations (K <= 8 only) or never; by default wherever possible.
        starts: of the heuristic; by default 32, fewer for K > 64, and 2 at least.
        seed: of the random starts.

    `NonFiniteError` is raised if either holds NaN or infinity.

    Raises:
        InputError: if the similarity is not K x K, `starts` is not positive, or `enumerate_all` comes with K > 8.

    References:
        Vogelstein et al., "Fast approximate quadratic programming for graph matching", PLoS ONE 2015 (FAQ); Hadley,
        Rendl and Wolkowicz, "A new lower bound via projection for the quadratic assignment problem", 1992.

    Examples:
        >>> from neucollapse.geometry import orthoplex  # e1, -e1, e2, -e2
        >>> twins = [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]  # classes 0 and 2, 1 and 3 are alike
        >>> best = assign_by_similarity(orthoplex(4, 2), twins, far=True)
        >>> best.permutation.tolist(), best.value, best.exact  # each on the vertex opposite to its twin
        ([0, 2, 1, 3], -4.0, True)
    """
    rows = unit_rows(points)
    S = as_rows(similarity, "similarity")
    K = len(rows)
    if S.shape != (K, K):
        raise InputError(f"expected similarity as a {K} x {K} matrix for {K} points, got shape {tuple(S.shape)}")
    small = K <= _ENUMERATE
    if enumerate_all and not small:
        raise InputError(f"expected at most {_ENUMERATE} classes to try all permutations of, got {K}")
    starts = starts if starts is not None else max(2, min(32, 2048 // K))
    if starts < 1:
        raise InputError(f"expected at least one start, got {starts}")
    sign = -1.0 if far else 1.0
    A = sign * ((S + S.T) / 2).fill_diagonal_(0)
    B = (rows @ rows.T).fill_diagonal_(0)
    tried_all = small if enumerate_all is None else enumerate_all
    permutation, value = _enumerated(A, B) if tried_all else _searched(A, B, starts, seed)
    bound = largest_value(A, B)
    met = value >= bound - 3e-12 * float(A.norm() * B.norm())
    return Assignment(permutation, sign * value, sign * bound, tried_all or met)


def _value(A: Float[Tensor, "K K"], B: Float[Tensor, "K K"], permutation: Int[Tensor, " K"]) -> float:
    return float((A * B[permutation][:, permutation]).sum())


def _enumerated(A: Float[Tensor, "K K"], B: Float[Tensor, "K K"]) -> tuple[Int[Tensor, " K"], float]:
    every = torch.tensor(list(itertools.permutations(range(len(A)))))
    values = torch.cat([(A * B[some[:, :, None], some[:, None, :]]).sum(dim=(1, 2)) for some in every.split(8192)])
    tied = values >= values.max() - _GAIN * float(A.norm() * B.norm())
    best = every[int(tied.nonzero()[0])]  # the first of equals: the given order where it is as good
    return best, _value(A, B, best)


def _searched(
    A: Float[Tensor, "K K"], B: Float[Tensor, "K K"], starts: int, seed: int
) -> tuple[Int[Tensor, " K"], float]:
    best, best_value = torch.arange(len(A)), -torch.inf
    for start in itertools.islice(_starts(A, B, seed), starts):
        permutation = _swapped(A, B, start)
        value = _value(A, B, permutation)
        if value > best_value:
            best, best_value = permutation, value
    return best, best_value


def _starts(A: Float[Tensor, "K K"], B: Float[Tensor, "K K"], seed: int) -> Iterator[Int[Tensor, " K"]]:
    """FAQ from the barycentre, then in turn a random permutation and FAQ from a random doubly stochastic matrix."""
    from scipy.optimize import quadratic_assignment

    rng = np.random.default_rng(seed)
    first = True
    while True:
        options = {"maximize": True, "rng": rng, "P0": "barycenter" if first else "randomized"}
        found = quadratic_assignment(A.numpy(), B.numpy(), method="faq", options=options)
        yield torch.as_tensor(found.col_ind).long()
        yield torch.as_tensor(rng.permutation(len(A)))
        first = False


def _swapped(A: Float[Tensor, "K K"], B: Float[Tensor, "K K"], permutation: Int[Tensor, " K"]) -> Int[Tensor, " K"]:
    """Swap the two classes that earn most until no swap earns anything: a local optimum of 2-exchange.

    With C the cosines in the order of the classes and M = A C, swapping i and j earns
    2 (M_ij + M_ji - M_ii - M_jj + 2 A_ij C_ij). After a swap M is updated, not computed anew: O(K^2) a step.
    """
    permutation = permutation.clone()
    C = B[permutation][:, permutation]
    M = A @ C
    least = _GAIN * float(A.norm() * B.norm())
    for _ in range(50 * len(A)):
        own = M.diagonal()
        earned = 2 * (M + M.T - own - own[:, None] + 2 * A * C)
        at = int(earned.argmax())
        i, j = divmod(at, len(A))
        if float(earned[i, j]) <= least:
            break
        M += torch.outer(A[:, i] - A[:, j], C[j] - C[i])
        pair, swap = [i, j], [j, i]
        C[pair] = C[swap]
        C[:, pair] = C[:, swap]
        M[:, pair] = M[:, swap]
        permutation[pair] = permutation[swap]
    return permutation
