"""New codes from old: more dimensions, opposites added or left out, orthogonal blocks."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..._errors import InputError
from ..._types import Float
from .._rows import check_whole
from ..frames import unit_rows

_ZERO = 1e-9  # coordinates of exact codes are either above this or zero up to rounding


def pad(code: Any, d: int) -> Float[Tensor, "K d"]:
    """The code in a larger dimension d, by zero coordinates: all cosines stay. A smaller d raises `InputError`.

    Examples:
        >>> pad([[0.0, 1.0]], 4).tolist()
        [[0.0, 1.0, 0.0, 0.0]]
    """
    rows = unit_rows(code)
    extra = check_whole(d, "d (dimension to pad to)", rows.shape[1]) - rows.shape[1]
    return torch.nn.functional.pad(rows, (0, extra))


def antipodal(lines: Any) -> Float[Tensor, "N d"]:
    """The lines both ways, first all rows, then their opposites: lines of coherence mu become a code of maximal cosine mu.

    Examples:
        >>> antipodal([[1.0, 1.0], [1.0, -1.0]]).sign().tolist()
        [[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]]
    """
    rows = unit_rows(lines)
    return torch.cat([rows, -rows])


def halves(code: Any) -> Float[Tensor, "N d"]:
    """The lines through an antipodal code: of each point and its opposite the one whose first nonzero coordinate is positive.

    Raises:
        InputError: if some point comes without its opposite.

    Examples:
        >>> halves([[-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 0.0]]).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    rows = unit_rows(code)
    first = (rows.abs() > _ZERO).to(torch.uint8).argmax(dim=1, keepdim=True)
    positive = rows.gather(1, first)[:, 0] > 0
    kept, others = rows[positive], rows[~positive]
    if len(kept) != len(others) or not torch.allclose(_sorted(kept), _sorted(-others), rtol=0, atol=_ZERO):
        raise InputError(
            f"expected an antipodal code, every point with its opposite, got {len(rows)} points of which some have none"
        )
    return kept


def direct_sum(*codes: Any) -> Float[Tensor, "K d"]:
    """Codes in mutually orthogonal blocks of coordinates: K and d add up.

    The maximal cosine is the largest of theirs, and 0 if all are negative. Of simplices it gives the codes of margin 1 for
    d+2 <= K <= 2d (arXiv 2603.20587).

    Raises:
        InputError: if there is no code.

    Examples:
        >>> from neucollapse.geometry import max_cosine, simplex
        >>> code = direct_sum(simplex(3), simplex(4))
        >>> code.shape, abs(round(max_cosine(code), 12))
        (torch.Size([7, 5]), 0.0)
    """
    if not codes:
        raise InputError("expected at least one code, got none")
    return torch.block_diag(*(unit_rows(code) for code in codes))


def _sorted(rows: Tensor) -> Tensor:
    """Rows in lexicographic order, told apart by coordinates rounded well above their errors."""
    keys = (rows / _ZERO).round().numpy()
    return rows[torch.from_numpy(np.lexsort(keys.T[::-1]))]
