r"""Which code a deep linear network prefers at large margin: the cheapest one in the Schatten-2/L quasi-norm.

A product of L matrices with singular values $\sigma_i$ costs at least, and exactly if no width is below the rank,

$$\min_{W_L \cdots W_1 = Z} \sum_l \|W_l\|_F^2 = L \sum_i \sigma_i^{2/L},$$

so at a given norm of the factors the logits Z of the least $\sum_i \sigma_i^{2/L}$ at unit margin reach the largest margin.
With L = 2 that is the nuclear norm, and neural collapse wins; deeper products count the rank more and more. The values below
are derived here from these definitions; that depth prefers low rank, and softmax codes, is the claim of arXiv 2605.23087.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..._errors import InputError
from ..._types import Float
from ...geometry import best_code, best_features, orthogonal_blocks, orthoplex, polygon, simplex, unit_rows


def logit_margin(logits: Float[Tensor, "K K"]) -> float:
    r"""The smallest $Z_{kk} - Z_{jk}$ over j != k: column k holds the logits of a sample of class k.

    Examples:
        >>> logit_margin(2 * torch.eye(3).double())
        2.0
    """
    gaps = logits.diagonal() - logits
    return float(gaps[~torch.eye(len(logits), dtype=torch.bool)].min())


def schatten_value(logits: Float[Tensor, "K K"], layers: int) -> float:
    r"""$\sum_i \sigma_i(Z / \text{margin})^{2/L}$, the price of a unit margin in L factors. Smaller is preferred.

    Args:
        logits: (K, K), column k those of class k.
        layers: L >= 1, the number of matrices multiplied, features among them.

    Returns:
        The value; infinity where the margin is not positive. As L grows it tends to the rank.

    Raises:
        InputError: for fewer than one layer.

    Examples:
        >>> Z = torch.eye(10).double() - 0.1  # neural collapse
        >>> [round(schatten_value(Z, L), 12) for L in (2, 3, 8)]
        [9.0, 9.0, 9.0]
    """
    if layers < 1:
        raise InputError(f"expected at least 1 layer, got {layers}")
    margin = logit_margin(logits)
    if margin <= 0:
        return math.inf
    s = torch.linalg.svdvals(logits) / margin
    return float((s[s > 1e-10 * s[0]] ** (2 / layers)).sum())  # rounding to the power 2/L is no longer small


def code_logits(code: Any) -> Float[Tensor, "K K"]:
    """Logits W H^T of a classifier of unit rows with the unit features that suit it best (`geometry.best_features`).

    Args:
        code: rows (K, d); normalised first.

    `InputError` is raised if a class lies in the hull of the others.

    Examples:
        >>> from neucollapse.geometry import orthoplex
        >>> round(schatten_value(code_logits(orthoplex(10, 5)), 3), 4)  # 5 * 2^(2/3)
        7.937
    """
    rows = unit_rows(code)
    return rows @ best_features(rows).T


def simplex_value(K: int) -> float:
    """K - 1, at every depth: Z = I - 1/K has K - 1 singular values of 1, and margin 1."""
    return float(K - 1)


def orthoplex_value(K: int, layers: int) -> float:
    """(K/2) 2^(2/L): Z = W W^T has K/2 singular values of 2, and margin 1.

    Raises:
        InputError: for an odd number of classes, which pair with none.
    """
    if K % 2:
        raise InputError(f"expected an even number of classes for an orthoplex, got {K}")
    return K / 2 * 2 ** (2 / layers)


def polygon_value(K: int, layers: int) -> float:
    """2 (K / (2 (1 - cos(2 pi/K))))^(2/L): two singular values of K/2, and margin 1 - cos(2 pi/K). K >= 3."""
    return 2 * (K / (2 * (1 - math.cos(2 * math.pi / K)))) ** (2 / layers)


def first_depth(wins: Callable[[int], bool], most: int = 1000) -> int | None:
    """The first number of layers from 2 to `most` at which `wins(layers)` holds.

    Examples:
        >>> [first_depth(lambda L: value(10, L) < simplex_value(10)) for value in (orthoplex_value, polygon_value)]
        [3, 5]
    """
    return next((layers for layers in range(2, most + 1) if wins(layers)), None)


class NamedCode(NamedTuple):
    """A code by name, with its dimension and its logits."""

    name: str
    dim: int
    logits: Tensor


def candidate_codes(K: int, dim: int | None = None) -> list[NamedCode]:
    """Codes of K classes in at most `dim` dimensions whose points are known: nothing is searched for.

    The simplex (d = K-1), equal simplices at right angles (d+2 <= K <= 2d, the orthoplex among them), the polygon (d = 2),
    and between them what closed forms, constructions and the atlas have.
    """
    return [code for code in _all_candidates(K) if dim is None or code.dim <= dim]


@functools.lru_cache(maxsize=64)
def _all_candidates(K: int) -> tuple[NamedCode, ...]:
    found = (_candidate(K, d) for d in range(2, K))
    return tuple(code for code in found if code is not None)


def _candidate(K: int, d: int) -> NamedCode | None:
    if d == K - 1:
        return NamedCode("simplex", d, code_logits(simplex(K)))
    if d == 2:
        return NamedCode("polygon", d, code_logits(polygon(K)))
    if K == 2 * d:
        return NamedCode("orthoplex", d, code_logits(orthoplex(K, d)))
    if K < 2 * d:
        return NamedCode(f"{K - d} simplices", d, code_logits(orthogonal_blocks(K, d)))
    try:
        return NamedCode(f"code ({d}, {K})", d, code_logits(best_code(K, d, budget=0).points))
    except InputError:  # nothing is known of this size, or a class is in the hull of the rest
        return None


def preferred_code(K: int, layers: int, dim: int | None = None) -> NamedCode:
    """The candidate of the least Schatten-2/L value at this depth and width; at a tie the one of fewer dimensions."""
    return min(candidate_codes(K, dim), key=lambda code: (round(schatten_value(code.logits, layers), 9), code.dim))
