"""Unit-norm tight frames: the optima of the frame potential and of the Gram determinant, for every K >= d."""

import math

import torch
from torch import Tensor

from ..._errors import InputError, SolverError
from ..._types import Float
from .._rows import check_size

_ROUNDS = 20_000


def tight_frame(K: int, d: int) -> Float[Tensor, "K d"]:
    r"""K > d unit vectors with $W^\top W = (K/d) I$ and zero sum.

    All eigenvalues of the Gram matrix are then equal, which maximises their product, by the inequality of arithmetic and
    geometric means: `MaximumGramDeterminant`. Columns are cosines and sines of d/2 frequencies (a harmonic frame), and
    alternating signs where d is odd; where d and K are both odd, which leaves no such column, alternating projections
    from there.

    Raises:
        InputError: unless K > d; for d = 1, unless K is even.

    Examples:
        >>> W = tight_frame(7, 4)
        >>> bool(torch.allclose(W.T @ W, 7 / 4 * torch.eye(4, dtype=torch.float64)))
        True
    """
    check_size(K, d)
    if d >= K:
        raise InputError(f"expected more than d = {d} rows of a tight frame of zero sum, got K = {K}")
    if d == 1 and K % 2:
        raise InputError(f"expected an even number of unit vectors of zero sum on a line, got K = {K}")
    angle = 2 * math.pi / K * torch.outer(torch.arange(K), torch.arange(1, d // 2 + 1)).double()
    columns = [angle.cos(), angle.sin()]
    if d % 2 == 0:
        return torch.cat(columns, dim=1) * (2 / d) ** 0.5
    signs = 1 - 2 * (torch.arange(K, dtype=torch.float64) % 2)[:, None]
    if K % 2 == 0:
        return torch.cat([*(math.sqrt(2) * column for column in columns), signs], dim=1) / math.sqrt(d)
    return _project(torch.cat([*columns, 0.7 * signs + 0.1 * angle[:, :1].sin()], dim=1))


def _project(W: Tensor) -> Tensor:
    """Alternate between unit rows and tight frames of zero sum."""
    K, d = W.shape
    tight = W
    for _ in range(_ROUNDS):
        W = W / W.norm(dim=1, keepdim=True)
        U, _, Vh = torch.linalg.svd(W - W.mean(dim=0), full_matrices=False)
        tight = (K / d) ** 0.5 * U @ Vh
        if float((tight - W).abs().max()) < 1e-15:
            return W
        W = tight
    if float((tight.norm(dim=1) - 1).abs().max()) > 1e-12:
        raise SolverError(f"no unit-norm tight frame of zero sum was reached for K = {K}, d = {d}")
    return tight / tight.norm(dim=1, keepdim=True)
