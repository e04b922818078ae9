"""HardMax: the softmax code as a problem in classifier and features, W and H, together."""

from typing import Any

import torch
from torch import Tensor

from ..._errors import InputError
from ..._types import Float
from ..frames import unit_rows
from ._one_vs_rest import one_vs_rest


def best_features(W: Any) -> Float[Tensor, "K d"]:
    r"""The unit features with the largest smallest logit gap under a classifier W of unit rows.

    $$
    h_k = \arg\max_{|h| = 1} \min_{j \ne k} \langle w_k - w_j, h \rangle
    = \frac{w_k - p_k}{|w_k - p_k|}, \quad p_k \text{ the nearest point of } \operatorname{conv}\{w_j\}_{j \ne k}
    $$

    Where the nearest point lies along $w_k$, as for every stressed point of a spherical code, $h_k = w_k$:
    self-duality.

    Args:
        W: rows (K, d), K >= 2; normalised first.

    Returns:
        Rows (K, d), float64.

    Raises:
        InputError: as `one_vs_rest`, or if a class lies in the hull of the others: no direction separates it.

    References:
        Jiang et al., arXiv 2310.05351, the HardMax problem.

    Examples:
        >>> from neucollapse.geometry import simplex
        >>> bool(torch.allclose(best_features(simplex(4)), simplex(4)))
        True
    """
    rows = unit_rows(W)
    hulls = one_vs_rest(rows)
    inside = hulls.distance <= hulls.gap
    if inside.any():
        k = int(inside.nonzero()[0])
        raise InputError(f"expected classes outside the hull of the others; class {k} is inside: no feature favours it")
    return torch.nn.functional.normalize(rows - hulls.nearest, dim=1)


def hard_max(W: Any, H: Any) -> float:
    r"""The smallest logit gap of unit features under unit classifier rows, class by class:

    $$
    \min_k \min_{j \ne k} \langle w_k - w_j, h_k \rangle
    $$

    Range: at most the one-vs-rest margin of W, which `best_features(W)` reach; its maximum over (W, H) is the softmax
    code's margin.

    Args:
        W: classifier rows (K, d); H: one feature for each class (K, d). Both are normalised first.

    Raises:
        InputError: if the shapes differ, or a row is zero.

    References:
        Jiang et al., arXiv 2310.05351, the HardMax problem.

    Examples:
        >>> from neucollapse.geometry import orthoplex
        >>> round(hard_max(orthoplex(6, 3), orthoplex(6, 3)), 12)
        1.0
    """
    rows, features = unit_rows(W), unit_rows(H)
    if rows.shape != features.shape:
        raise InputError(f"expected one feature for each class, {tuple(rows.shape)}, got {tuple(features.shape)}")
    logits = features @ rows.T
    others = logits.clone().fill_diagonal_(-torch.inf).amax(dim=1)
    return float((logits.diagonal() - others).min())
