"""Riesz and logarithmic energies of codes."""

import math
from typing import Any

import torch

from ..._errors import InputError
from .._rows import as_rows
from ._cosines import unit_rows
from ._pairs import pair_tiles


def mean_energy(W: Any, s: float | int) -> float:
    r"""The mean over pairs of the Riesz energy of the directions of the rows; small is uniform.

    $$\frac{2}{K(K-1)} \sum_{i<j} \|u_i - u_j\|^{-s} \quad (s > 0), \qquad
      \frac{2}{K(K-1)} \sum_{i<j} \log \frac{1}{\|u_i - u_j\|} \quad (s = 0)$$

    with $u_i = w_i / \|w_i\|$ (arXiv 2303.06484). Infinite where two directions coincide. At the optimum it is not 0:
    compare with `best_known_energy`. Tiled: K = 50,000 never stores K x K. An s below 0 or infinite raises `InputError`.

    Examples:
        >>> from neucollapse.geometry import simplex
        >>> round(mean_energy(simplex(100), 2), 12)  # (K-1) / 2K
        0.495
    """
    rows = unit_rows(as_rows(W, minimum=2))
    check_exponent(s)
    centred = rows - rows.mean(dim=0)
    total = sum(float(tile.fill(riesz(tile.squared_distances(), s), 0.0).sum()) for tile in pair_tiles(centred))
    return total / (len(rows) * (len(rows) - 1) / 2)


def riesz(squared: torch.Tensor, s: float | int) -> torch.Tensor:
    """The energy of pairs at these squared distances; s = 0 is the logarithmic one."""
    squared = squared.clamp(min=0)
    return -0.5 * squared.log() if s == 0 else squared.pow(-s / 2)


def check_exponent(s: object) -> None:
    """Refuse what is no exponent of a Riesz energy."""
    if not (isinstance(s, int | float) and 0 <= s < math.inf):
        raise InputError(f"expected a Riesz exponent s >= 0 (0 is the logarithmic energy), got {s!r}")
