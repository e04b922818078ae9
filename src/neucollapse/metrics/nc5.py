"""NC5: features of data outside all classes become orthogonal to the class means."""

import torch
from torch import Tensor

from .._types import Float
from ._metric import Absent, Metric
from ._terms import Terms


def orthogonality_deviation(class_means: Float[Tensor, "K d"], ood_mean: Float[Tensor, "d"]) -> float:
    """Mean over classes of |cos(mu_k, mu_OOD)|. Range [0, 1], 0 at collapse. Ammar et al. 2024 (arXiv 2310.06823).

    Example:
        >>> means = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
        >>> orthogonality_deviation(means, torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64))
        0.0
    """
    norms = torch.linalg.vector_norm(class_means, dim=1) * torch.linalg.vector_norm(ood_mean)
    if bool((norms == 0).any()):
        raise Absent("a class mean or the out-of-distribution mean is zero and has no direction")
    return float(((class_means @ ood_mean) / norms).abs().mean())


def _deviation(terms: Terms, *, centred: bool) -> float:
    if terms.ood is None:
        raise Absent("needs out-of-distribution features: pass ood=")
    ood = terms.ood.global_mean("sample").cpu()
    if centred:
        return orthogonality_deviation(terms.means.centred, ood - terms.stats.global_mean().cpu())
    return orthogonality_deviation(terms.means.raw, ood)


METRICS = (
    Metric(
        "nc5/cosine",
        "alignment of out-of-distribution features",
        "mean_k |cos(μ_k, μ_OOD)|",
        "Absolute cosine of each class mean with the mean of out-of-distribution features; uncentred, as in NECO.",
        "[0, 1]",
        "0",
        lambda terms: _deviation(terms, centred=False),
        "ammar2024",
        log=True,
    ),
    Metric(
        "nc5/cosine_centred",
        "alignment of out-of-distribution features, centred",
        "mean_k |cos(μ_k - μ_G, μ_OOD - μ_G)|",
        "nc5/cosine with the mean of class means taken off both.",
        "[0, 1]",
        "0",
        lambda terms: _deviation(terms, centred=True),
        "ammar2024",
        log=True,
    ),
)
