"""The optima of d+2 <= K <= 2d: orthogonal blocks of obtuse simplices, a family and not one frame.

Radon: K >= d+2 points have two disjoint subsets whose hulls meet, so no margin exceeds 1. It is 1 where the points fall
into K - d mutually orthogonal blocks, block b holding d_b + 1 vectors of rank d_b with no positive inner product and 0
inside their hull, or into fewer such blocks and independent points with no positive inner product. The Gram matrix of such
a block is the normalised Laplacian of a connected weighted graph. The cross-polytope has blocks of two; a simplex is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..._errors import InputError
from ..._names import names_options
from ..._types import Float
from .._rows import check_size
from ._cosines import unit_rows


@names_options
def orthogonal_blocks(
    K: int, d: int, *, sizes: Sequence[int] | None = None, seed: int | None = None
) -> Float[Tensor, "K d"]:
    """A member of the family of optimal codes for d+2 <= K <= 2d: margin 1, maximal cosine 0 (arXiv 2603.20587).

    Args:
        K: number of points; d: dimension.
        sizes: points of each of the K - d blocks, each at least 2, of sum K; by default as equal as can be.
        seed: draws the shape of each block at random; by default each is a regular simplex.

    Raises:
        InputError: K outside d+2..2d, or sizes that do not fit.

    Examples:
        >>> from neucollapse.geometry import one_vs_rest
        >>> W = orthogonal_blocks(5, 3, sizes=[3, 2])  # a triangle and, at right angles, two opposite points
        >>> [round(distance, 12) for distance in one_vs_rest(W).distance.tolist()]
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    check_size(K, d)
    if not d + 2 <= K <= 2 * d:
        raise InputError(f"expected d+2 <= K <= 2d for orthogonal blocks, got K = {K}, d = {d}")
    blocks = K - d
    sizes = sizes if sizes is not None else [K // blocks + (b < K % blocks) for b in range(blocks)]
    if len(sizes) != blocks or sum(sizes) != K or min(sizes) < 2:
        raise InputError(f"expected sizes of K - d = {blocks} blocks, each at least 2, of sum {K}, got {list(sizes)}")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.block_diag(*(_block(size, generator) for size in sizes))


def _block(size: int, generator: torch.Generator | None) -> Float[Tensor, "n n-1"]:
    weights = torch.ones(size, size, dtype=torch.float64)
    if generator is not None:
        weights = 0.05 + torch.rand(size, size, generator=generator, dtype=torch.float64)
        weights = weights + weights.T
    weights.fill_diagonal_(0)
    degree = weights.sum(dim=1)
    laplacian = torch.eye(size, dtype=torch.float64) - weights / (degree[:, None] * degree).sqrt()
    values, vectors = torch.linalg.eigh(laplacian)
    rows = vectors[:, 1:] * values[1:].clamp(min=0).sqrt()
    return rows / rows.norm(dim=1, keepdim=True)


@dataclass(frozen=True)
class Blocks:
    """How a code falls into orthogonal blocks.

    Attributes:
        blocks: the points of each block.
        optimal: whether it is a member of the family, d+2 <= K <= 2d and no positive inner product: the margin is then 1,
            and never else.
    """

    blocks: tuple[tuple[int, ...], ...]
    optimal: bool


@names_options
def find_blocks(W: Any, *, tolerance: float = 1e-8) -> Blocks:
    """Split a code into mutually orthogonal blocks, and say whether it is an optimal code of d+2 <= K <= 2d.

    Distance to one cross-polytope says nothing in that range; this does. Cosines up to the tolerance count as zero.

    Examples:
        >>> from neucollapse.geometry import orthoplex
        >>> find_blocks(orthoplex(4, 2))
        Blocks(blocks=((0, 1), (2, 3)), optimal=True)
    """
    from scipy.sparse.csgraph import connected_components

    rows = unit_rows(W)
    K, d = rows.shape
    gram = (rows @ rows.T).fill_diagonal_(0)
    count, labels = connected_components((gram.abs() > tolerance).numpy(), directed=False)
    blocks = tuple(tuple((labels == b).nonzero()[0].tolist()) for b in range(count))
    return Blocks(blocks, d + 2 <= K <= 2 * d and float(gram.max()) <= tolerance)
