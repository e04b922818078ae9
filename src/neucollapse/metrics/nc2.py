"""NC2, convergence to a simplex: class means (or classifier rows) of one length, at one angle to one another.

It has a meaning for K <= d + 1 only. Beyond, no simplex fits, the distance to one has a floor above zero, and the
question to ask is GNC2: how far apart are the classes, against the best possible (`gnc.py`).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .._types import Float
from ..geometry import etf_floor, orthogonal_frame_floor
from ._absent import Absent
from ._metric import Metric, for_a_simplex, on_weight
from ._range import SHARE, UP_TO_2, Bound, Range
from ._rows import Rows
from ._terms import Terms


def equinorm(rows: Float[Tensor, "K d"]) -> float:
    """Coefficient of variation of the lengths of rows: std / mean over classes (divided by K, not K - 1).

    Range [0, inf), 0 at collapse. Papyan, Han, Donoho 2020 (arXiv 2008.08186), Figure 2: class means less the global
    mean, and classifier rows.

    Examples:
        >>> equinorm(torch.tensor([[3.0, 0.0], [0.0, 1.0]], dtype=torch.float64))
        0.5
    """
    norms = torch.linalg.vector_norm(rows, dim=1)
    if not bool(norms.any()):
        raise Absent("all rows are zero and have no lengths to compare")
    return float(norms.std(correction=0) / norms.mean())


def etf_distance(rows: Float[Tensor, "K d"]) -> float:
    r"""Distance of the Gram matrix of centred rows to that of a simplex ETF, both at unit Frobenius norm.

    $$
    \Big\lVert \frac{M M^\top}{\lVert M M^\top \rVert_F} - \frac{I - 11^\top / K}{\sqrt{K - 1}} \Big\rVert_F
    $$

    It is `gram_distance(M, M)`, read as the distance of a frame.

    Args:
        rows: M (K, d) with zero sum over classes.

    Returns:
        A number in [0, 2]; 0 at a simplex ETF, and at least `geometry.etf_floor(K, d)` where K > d + 1.

    Reference:
        Zhu et al. 2021 (arXiv 2105.02375), for W; Kothapalli 2023 (arXiv 2206.04041), for class means.

    Examples:
        >>> from neucollapse.geometry import simplex
        >>> etf_distance(simplex(4)) < 1e-12
        True
    """
    return gram_distance(rows, rows)


def orthogonal_frame_distance(rows: Float[Tensor, "K d"]) -> float:
    r"""Distance of the Gram matrix of (uncentred) rows to that of an orthogonal frame: target I / sqrt(K).

    What mean-squared error without bias, and non-negative features, converge to. Range [0, 2]; 0 at an orthogonal
    frame of equal norms, at least `geometry.orthogonal_frame_floor(K, d)` where K > d.

    Reference:
        Tirer, Bruna 2022 (arXiv 2202.08087).

    Examples:
        >>> orthogonal_frame_distance(3 * torch.eye(4, dtype=torch.float64)) < 1e-12
        True
    """
    return distance_to_target(rows, rows, lambda: [rows.T @ rows] * 2, simplex=False)


def gram_distance(left: Float[Tensor, "K d"], right: Float[Tensor, "K d"]) -> float:
    r"""|| A / ||A||_F - (I - 11^T/K)/sqrt(K-1) ||_F for A = left right^T: the form NC2 and NC3 papers share.

    For K <= d + 1, where it can be zero, the K x K matrix is formed. Beyond, it is far above zero: 2 - 2 cos loses no
    digits, and only (d, d) matrices are formed.

    Examples:
        >>> from neucollapse.geometry import simplex
        >>> gram_distance(simplex(3), 5 * simplex(3)) < 1e-12
        True
    """
    return distance_to_target(left, right, lambda: (left.T @ left, right.T @ right))


def distance_to_target(
    left: Tensor, right: Tensor, grams: Callable[[], Sequence[Tensor]], *, simplex: bool = True
) -> float:
    """|| A / ||A|| - T / ||T|| || for A = left right^T, and T the identity on all of R^K or on what is centred.

    `grams` gives left^T left and right^T right, where they are asked for.
    """
    K, d = left.shape
    size = math.sqrt(K - 1 if simplex else K)  # ||T||
    if K <= (d + 1 if simplex else d):
        A = left @ right.T
        target = (torch.eye(K, dtype=A.dtype) - (1 / K if simplex else 0)) / size
        return float(torch.linalg.matrix_norm(A / _nonzero(torch.linalg.matrix_norm(A)) - target))
    one, other = grams()
    norm = _nonzero((one * other).sum().sqrt())
    along = (left * right).sum() - (left.sum(0) @ right.sum(0) / K if simplex else 0)
    return float((2 - 2 * along / (size * norm)).sqrt())


def _nonzero(norm: Tensor) -> Tensor:
    if not bool(norm):
        raise Absent("the Gram matrix is zero and cannot be normalised")
    return norm


def _frame(rows: Rows, *, centred: bool, simplex: bool = True) -> float:
    M = rows.need_spread() if centred else rows.raw
    return distance_to_target(M, M, lambda: [rows.gram(centred=centred)] * 2, simplex=simplex)


def _condition(rows: Rows, *, centred: bool) -> float:
    K, d = rows.raw.shape
    s, could = rows.spread(centred=centred), min(K - centred, d)
    if len(s) < could:
        raise Absent(f"the rows span {len(s)} of the {could} directions that they could: the least one is not known")
    return float(s[0] / s[-1])


def floor(terms: Terms) -> float:
    """The least distance to a simplex that K rows in d dimensions can have."""
    return etf_floor(terms.K, terms.d)


FROM_FLOOR = Range(Bound("floor", etf_floor), 2)
_FROM_1 = Range(1, math.inf)

_MEASURED = (
    Metric(
        "nc2/equinorm", "spread of lengths", "std‖μ_k - μ_G‖ / mean‖μ_k - μ_G‖",
        "Coefficient of variation of the lengths of the centred rows.",
        lambda _, rows: equinorm(rows.need_spread()), "papyan2020", side="means", needs=("pairs",),
    ),
    Metric(
        "nc2/equinorm_uncentred", "spread of lengths, uncentred", "std‖μ_k‖ / mean‖μ_k‖",
        "Coefficient of variation of the lengths of the rows as they are.",
        lambda _, rows: equinorm(rows.raw), "papyan2020", side="means", needs=("pairs",),
    ),
    Metric(
        "nc2/equiangular", "distance from equal, widest angles", "mean |cos(μ_i - μ_G, μ_j - μ_G) + 1/(K-1)|",
        "Mean absolute difference of the cosines of centred rows from that of a simplex, -1/(K-1). Zero needs K <= d+1.",
        lambda _, rows: rows.centred_pairs.mean_absolute_off, "papyan2020",
        range=UP_TO_2, at_collapse="0 for K ≤ d+1 only", optimum=for_a_simplex, side="means", needs=("pairs",),
    ),
    Metric(
        "nc2/equiangular_std", "spread of angles", "std cos(μ_i - μ_G, μ_j - μ_G)",
        "Standard deviation over pairs of the cosines of centred rows.",
        lambda _, rows: math.sqrt(rows.centred_pairs.cosine_variance), "papyan2020",
        range=SHARE, at_collapse="0 for K ≤ d+1 only", optimum=for_a_simplex, side="means", needs=("pairs",),
    ),
    Metric(
        "nc2/etf_distance", "distance to a simplex", "‖MMᵀ/‖MMᵀ‖ - (I-11ᵀ/K)/√(K-1)‖",
        "Frobenius distance of the Gram matrix of centred rows to that of a simplex, both at unit norm. "
        "Where K > d+1 it cannot fall below nc2/etf_floor.",
        lambda _, rows: _frame(rows, centred=True), "kothapalli2023",
        range=FROM_FLOOR, at_collapse="nc2/etf_floor", optimum=floor, side="means", needs=("pairs",),
    ),
    Metric(
        "nc2/etf_distance_uncentred", "distance to a simplex, uncentred", "‖WWᵀ/‖WWᵀ‖ - (I-11ᵀ/K)/√(K-1)‖",
        "nc2/etf_distance without centring: a common offset of all rows, which softmax ignores, counts against it.",
        lambda _, rows: _frame(rows, centred=False), "zhu2021",
        range=FROM_FLOOR, at_collapse="0 if rows are centred", optimum=floor, side="means", needs=("pairs",),
    ),
    Metric(
        "nc2/orthogonal_frame_distance", "distance to an orthogonal frame", "‖MMᵀ/‖MMᵀ‖ - I/√K‖",
        "Frobenius distance of the Gram matrix of uncentred rows to a multiple of the identity, both at unit norm: what "
        "squared loss without bias converges to. A simplex is not one.",
        lambda _, rows: _frame(rows, centred=False, simplex=False), "tirer2022",
        range=Range(Bound("floor", orthogonal_frame_floor), 2), at_collapse="0 for an orthogonal frame",
        optimum=lambda terms: orthogonal_frame_floor(terms.K, terms.d), side="means", needs=("pairs",),
    ),
    Metric(
        "nc2/condition", "condition number", "σ_1(M) / σ_r(M), r = min(K-1, d)",
        "Largest over least singular value of the centred rows, of which there are min(K-1, d): 1 where all directions are "
        "used alike, whatever K and d.",
        lambda _, rows: _condition(rows, centred=True), "jacot2024",
        range=_FROM_1, at_collapse="1", side="means", needs=("pairs",),
    ),
    Metric(
        "nc2/condition_uncentred", "condition number, uncentred", "σ_1(M) / σ_r(M), r = min(K, d)",
        "Largest over least singular value of the rows as they are, of which there are min(K, d): 1 for an orthogonal frame "
        "(K ≤ d) or a tight one.",
        lambda _, rows: _condition(rows, centred=False), "jacot2024",
        range=_FROM_1, at_collapse="1 for an orthogonal frame", optimum=lambda _: 1.0, side="means", needs=("pairs",),
    ),
)  # fmt: skip

METRICS = (
    *_MEASURED,
    Metric(
        "nc2/etf_floor", "least possible distance to a simplex", "√(2 - 2√(d/(K-1))) for K > d+1, else 0",
        "The smallest nc2/etf_distance that K rows in d dimensions can have.", floor,
        range=Range(0, Bound("√2", lambda _, __: math.sqrt(2)), open_upper=True), at_collapse="itself", log=False,
        needs=("pairs",),
    ),
    *on_weight(_MEASURED),
)  # fmt: skip
