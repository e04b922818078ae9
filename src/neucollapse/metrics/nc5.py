"""NC5: features of data outside all classes become orthogonal to the class means."""

from torch import Tensor

from .._types import Float
from ._absent import Absent
from ._metric import Metric
from ._range import SHARE
from ._rows import directions
from ._terms import Terms


def orthogonality_deviation(class_means: Float[Tensor, "K d"], ood_mean: Float[Tensor, "d"]) -> float:
    """Mean over classes of |cos(mu_k, mu_OOD)|. Range [0, 1], 0 at collapse. Ammar et al. 2024 (arXiv 2310.06823).

    Examples:
        >>> import torch
        >>> means = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
        >>> orthogonality_deviation(means, torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64))
        0.0
    """
    if not bool(class_means.any(dim=1).all() and ood_mean.any()):
        raise Absent("a class mean or the out-of-distribution mean is zero and has no direction")
    return float((directions(class_means) @ directions(ood_mean[None])[0]).abs().mean())


def _deviation(terms: Terms, *, centred: bool) -> float:
    assert terms.ood is not None  # noqa: S101 - the metric needs it
    ood = terms.ood.global_mean("sample").cpu()
    terms.means.need_nonzero(centred=centred)
    return orthogonality_deviation(
        terms.means.of(centred=centred), ood - terms.stats.global_mean().cpu() if centred else ood
    )


def _fits(terms: Terms) -> float | None:
    """0 where a simplex leaves a direction free, K <= d."""
    return 0.0 if terms.d >= terms.K else None


METRICS = (
    Metric(
        "nc5/cosine", "alignment of out-of-distribution features", "mean_k |cos(μ_k, μ_OOD)|",
        "Absolute cosine of each class mean with the mean of out-of-distribution features; uncentred, as in NECO.",
        lambda terms: _deviation(terms, centred=False), "ammar2024",
        range=SHARE, at_collapse="0 for K ≤ d only", optimum=_fits, needs=("outside",),
    ),
    Metric(
        "nc5/cosine_centred", "alignment of out-of-distribution features, centred", "mean_k |cos(μ_k - μ_G, μ_OOD - μ_G)|",
        "nc5/cosine with the mean of class means taken off both.",
        lambda terms: _deviation(terms, centred=True), "ammar2024",
        range=SHARE, at_collapse="0 for K ≤ d only", optimum=_fits, needs=("outside",),
    ),
)  # fmt: skip
