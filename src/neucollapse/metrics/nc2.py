"""NC2, convergence to a simplex: class means (or classifier rows) of one length, at one angle to one another.

It has a meaning for K <= d + 1 only. Beyond, no simplex fits, the distance to one has a floor above zero, and the
question to ask is GNC2: how far apart are the classes, against the best possible (``gnc.py``).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .._types import Float
from ..geometry import etf_floor, orthogonal_frame_floor
from ._linear_algebra import gram_eigenvalues
from ._metric import Absent, Metric, on_weight
from ._terms import Rows, Terms


def equinorm(rows: Float[Tensor, "K d"]) -> float:
    """Coefficient of variation of the lengths of rows: std / mean over classes (divided by K, not K - 1).

    Range [0, inf), 0 at collapse. Papyan, Han, Donoho 2020 (arXiv 2008.08186), Figure 2: class means less the global
    mean, and classifier rows.

    Example:
        >>> equinorm(torch.tensor([[3.0, 0.0], [0.0, 1.0]], dtype=torch.float64))
        0.5
    """
    norms = torch.linalg.vector_norm(rows, dim=1)
    if not bool(norms.any()):
        raise Absent("all rows are zero and have no lengths to compare")
    return float(norms.std(correction=0) / norms.mean())


def etf_distance(rows: Float[Tensor, "K d"]) -> float:
    r"""Distance of the Gram matrix of centred rows to that of a simplex ETF, both at unit Frobenius norm.

    .. math:: \Big\lVert \frac{M M^\top}{\lVert M M^\top \rVert_F} - \frac{I - 11^\top / K}{\sqrt{K - 1}} \Big\rVert_F

    Both matrices vanish on the vector of ones and the second is a multiple of the identity elsewhere, so the distance
    is that of the eigenvalues: no K x K matrix is formed, and nothing is subtracted from two.

    Args:
        rows: M (K, d) with zero sum over classes.

    Returns:
        A number in [0, 2]; 0 at a simplex ETF, and at least ``geometry.etf_floor(K, d)`` where K > d + 1.

    Reference:
        Zhu et al. 2021 (arXiv 2105.02375), for W; Kothapalli 2023 (arXiv 2206.04041), for class means.

    Example:
        >>> from neucollapse.geometry import simplex
        >>> etf_distance(simplex(4)) < 1e-12
        True
    """
    return _spectral_distance(gram_eigenvalues(rows), len(rows) - 1)


def orthogonal_frame_distance(rows: Float[Tensor, "K d"]) -> float:
    r"""Distance of the Gram matrix of (uncentred) rows to that of an orthogonal frame: target I / sqrt(K).

    What mean-squared error without bias, and non-negative features, converge to. Range [0, 2]; 0 at an orthogonal
    frame of equal norms, at least ``geometry.orthogonal_frame_floor(K, d)`` where K > d.

    Reference:
        Tirer, Bruna 2022 (arXiv 2202.08087).

    Example:
        >>> orthogonal_frame_distance(3 * torch.eye(4, dtype=torch.float64)) < 1e-12
        True
    """
    return _spectral_distance(gram_eigenvalues(rows), len(rows))


def gram_distance(left: Float[Tensor, "K d"], right: Float[Tensor, "K d"]) -> float:
    r"""|| A / ||A||_F - (I - 11^T/K)/sqrt(K-1) ||_F for A = left right^T: the form NC2 and NC3 papers share.

    For K <= d + 1 the K x K matrix is formed. Beyond, the distance is far above zero, and 2 - 2 cos is exact enough.

    Example:
        >>> from neucollapse.geometry import simplex
        >>> gram_distance(simplex(3), 5 * simplex(3)) < 1e-12
        True
    """
    return shared_gram_distance(left, right, lambda rows: rows.T @ rows)


def shared_gram_distance(left: Tensor, right: Tensor, inner: Callable[[Tensor], Tensor]) -> float:
    """``gram_distance``, with the (d, d) inner products of columns from ``inner``, which may remember them."""
    K, d = left.shape
    if K <= d + 1:
        A = left @ right.T
        norm = torch.linalg.matrix_norm(A)
        target = (torch.eye(K, dtype=A.dtype) - 1 / K) / math.sqrt(K - 1)
        return float(torch.linalg.matrix_norm(A / _nonzero(norm) - target))
    norm = (inner(left) * inner(right)).sum().sqrt()
    aligned = ((left * right).sum() - left.sum(0) @ right.sum(0) / K) / math.sqrt(K - 1)
    return float((2 - 2 * aligned / _nonzero(norm)).sqrt())


def _nonzero(norm: Tensor) -> Tensor:
    if not bool(norm):
        raise Absent("the Gram matrix is zero and cannot be normalised")
    return norm


def _spectral_distance(eigenvalues: Tensor, dimension: int) -> float:
    """Distance of a positive semidefinite matrix at unit norm to I / sqrt(dimension) on a space of that dimension."""
    largest = eigenvalues[-min(dimension, len(eigenvalues)) :]
    target = 1 / math.sqrt(dimension)
    scaled = largest / _nonzero(torch.linalg.vector_norm(eigenvalues))
    missing = (dimension - len(largest)) * target**2  # eigenvalues that the dimension d leaves at zero
    return math.sqrt(float((scaled - target).square().sum()) + missing)


def _rows(metric: Callable[[Tensor], float], *, centred: bool) -> Callable[[Rows], float]:
    return lambda rows: metric(rows.centred if centred else rows.raw)


def _equiangular(rows: Rows) -> float:
    return rows.centred_pairs.mean_absolute_off


def _equiangular_std(rows: Rows) -> float:
    return math.sqrt(rows.centred_pairs.cosine_variance)


def _on(side: str, read: Callable[[Rows], float]) -> Callable[[Terms], float]:
    def compute(terms: Terms) -> float:
        terms.need_pairs()
        return read(getattr(terms, side))

    return compute


_READ: dict[str, Callable[[Rows], float]] = {
    "nc2/equinorm": _rows(equinorm, centred=True),
    "nc2/equinorm_uncentred": _rows(equinorm, centred=False),
    "nc2/equiangular": _equiangular,
    "nc2/equiangular_std": _equiangular_std,
    "nc2/etf_distance": lambda rows: _spectral_distance(rows.eigenvalues(centred=True), len(rows.raw) - 1),
    "nc2/etf_distance_uncentred": lambda rows: shared_gram_distance(rows.raw, rows.raw, rows.inner),
    "nc2/orthogonal_frame_distance": lambda rows: _spectral_distance(rows.eigenvalues(centred=False), len(rows.raw)),
}


def _metric(name: str, title: str, symbol: str, definition: str, citation: str = "papyan2020", **more) -> Metric:
    values = {"range": "[0, ∞)", "at_collapse": "0", "log": True, **more}
    return Metric(name, title, symbol, definition, citation=citation, compute=_on("means", _READ[name]), **values)


_MEASURED = (
    _metric(
        "nc2/equinorm", "spread of lengths", "std‖μ_k - μ_G‖ / mean‖μ_k - μ_G‖",
        "Coefficient of variation of the lengths of the centred rows.",
    ),
    _metric(
        "nc2/equinorm_uncentred", "spread of lengths, uncentred", "std‖μ_k‖ / mean‖μ_k‖",
        "Coefficient of variation of the lengths of the rows as they are.",
    ),
    _metric(
        "nc2/equiangular", "distance from equal, widest angles", "mean |cos(μ_i - μ_G, μ_j - μ_G) + 1/(K-1)|",
        "Mean absolute difference of the cosines of centred rows from that of a simplex, -1/(K-1). Zero needs K <= d+1.",
        range="[0, 2]", at_collapse="0 for K ≤ d+1 only",
    ),
    _metric(
        "nc2/equiangular_std", "spread of angles", "std cos(μ_i - μ_G, μ_j - μ_G)",
        "Standard deviation over pairs of the cosines of centred rows.",
        range="[0, 1]", at_collapse="0 for K ≤ d+1 only",
    ),
    _metric(
        "nc2/etf_distance", "distance to a simplex", "‖MMᵀ/‖MMᵀ‖ - (I-11ᵀ/K)/√(K-1)‖",
        "Frobenius distance of the Gram matrix of centred rows to that of a simplex, both at unit norm. "
        "Where K > d+1 it cannot fall below nc2/etf_floor.",
        "kothapalli2023", range="[floor, 2]", at_collapse="nc2/etf_floor",
        optimum=lambda terms: etf_floor(terms.K, terms.d),
    ),
    _metric(
        "nc2/etf_distance_uncentred", "distance to a simplex, uncentred", "‖WWᵀ/‖WWᵀ‖ - (I-11ᵀ/K)/√(K-1)‖",
        "nc2/etf_distance without centring: a common offset of all rows, which softmax ignores, counts against it.",
        "zhu2021", range="[floor, 2]", at_collapse="0 if rows are centred",
        optimum=lambda terms: etf_floor(terms.K, terms.d),
    ),
    _metric(
        "nc2/orthogonal_frame_distance", "distance to an orthogonal frame", "‖MMᵀ/‖MMᵀ‖ - I/√K‖",
        "Frobenius distance of the Gram matrix of uncentred rows to a multiple of the identity, both at unit norm: what "
        "squared loss without bias converges to. A simplex is not one.",
        "tirer2022", range="[floor, 2]", at_collapse="0 for an orthogonal frame",
        optimum=lambda terms: orthogonal_frame_floor(terms.K, terms.d),
    ),
)  # fmt: skip

_FLOOR = Metric(
    "nc2/etf_floor",
    "least possible distance to a simplex",
    "√(2 - 2√(d/(K-1))) for K > d+1, else 0",
    "The smallest nc2/etf_distance that K rows in d dimensions can have.",
    "[0, √2)",
    "itself",
    _on("means", lambda rows: etf_floor(*rows.raw.shape)),
)

METRICS = (
    *_MEASURED,
    _FLOOR,
    *on_weight(_MEASURED, lambda metric: _on("weight", _READ[metric.name])),
)
