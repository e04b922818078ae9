r"""The published cross-entropies of the sphere, by their names: `spherical_ce` with one margin each.

$$ \ell = -\log \frac{e^{s \psi(\theta_y)}}{e^{s \psi(\theta_y)} + \sum_{j \ne y} e^{s \cos\theta_j}} $$

Every function takes `features` `(..., d)` and `weight` `(K, d)` of any length, and `labels` `(...)` of any integer type; it
returns a scalar, or losses `(...)` for the reduction `"none"`, at least float32. Every module is called as
`loss(features, labels, head)`; see `SphericalLoss`.
"""

from typing import Unpack

from torch import Tensor

from .._names import names_options
from ._margins import ArcMargin, CombinedMargin, CosMargin, SphereMargin
from ._module import ModuleOptions
from ._rows import Labels, RowOptions
from ._spherical import SphereLossOptions, SphereRowOptions, SphericalLoss, spherical_ce


@names_options
def norm_face(
    features: Tensor, labels: Labels, weight: Tensor, *, scale: float | Tensor = 16.0, **options: Unpack[RowOptions]
) -> Tensor:
    r"""Cross-entropy of scaled cosines (NormFace, arXiv 1704.06369, equation 6): $\psi = \cos\theta$.

    As $s \to \infty$ its minimisers tend to softmax codes, the codes of largest one-vs-rest margin, for any K and d (arXiv
    2310.05351); at K <= d + 1 that is the simplex. Range: up to rounding from $\log(1 + (K-1) e^{-2s})$, which K = 2 reaches,
    to $\log(1 + (K-1) e^{2s})$; at exact collapse on the simplex $\log(1 + (K-1) e^{-sK/(K-1)})$.

    Args:
        features: `(..., d)`, of any length.
        labels: `(...)`, in `[0, K)` or `ignore_index`.
        weight: `(K, d)`, one row a class, of any length.
        scale: $s$, the inverse temperature.
        **options: of every loss of samples, see `RowOptions`, and the reduction `"log_mean"`.

    Examples:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> loss = norm_face(x, torch.tensor([0, 1]), x, scale=64.0)  # log(1 + e^-64)
        >>> print(f"{loss.item():.4e}")
        1.6038e-28
    """
    return spherical_ce(features, labels, weight, scale=scale, **options)


class NormFace(SphericalLoss):
    """NormFace, as a module; see `norm_face`.

    Examples:
        >>> import torch
        >>> loss = NormFace(dim=3, num_classes=10)
        >>> loss.weight.shape, loss(torch.randn(4, 3), torch.tensor([0, 1, 2, 9])).shape
        (torch.Size([10, 3]), torch.Size([]))
    """

    formula, source = "log(1 + e^m), z_j = s cos θ_j", "arXiv 1704.06369, equation 6"
    couples = "a sample with all class directions"

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float = 16.0,
        **options: Unpack[ModuleOptions],
    ) -> None:
        super().__init__(dim, num_classes, scale=scale, **options)


@names_options
def cos_face(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | Tensor = 64.0,
    margin: float = 0.35,
    **options: Unpack[SphereRowOptions],
) -> Tensor:
    r"""Cross-entropy of cosines, the target lowered by a constant (CosFace, arXiv 1801.09414, eq. 4): $\psi = \cos\theta - m$.

    The margin couples scale and loss: $\ell$ is NormFace with $e^{sm}$ times as many wrong classes. At exact collapse on the
    simplex it is $\log(1 + (K-1) e^{-s(K/(K-1) - m)})$.

    Args:
        features: `(..., d)`, of any length.
        labels: `(...)`, in `[0, K)` or `ignore_index`.
        weight: `(K, d)`, one row a class, of any length.
        scale: $s$.
        margin: $m$, from 0 to 2.
        **options: see `RowOptions`; `"log_mean"` and `margin_grad`, whose two values agree here, as the margin is a constant.

    Examples:
        >>> import torch
        >>> x = torch.eye(2)
        >>> loss = cos_face(x, torch.tensor([0, 1]), x, margin=0.25)
        >>> print(f"{loss.item():.1e}")
        1.4e-21
    """
    return spherical_ce(features, labels, weight, scale=scale, margin=CosMargin(margin), **options)


class CosFace(SphericalLoss):
    """CosFace, as a module; see `cos_face`."""

    formula, source = "the same, z_y = s (cos θ_y − margin)", "arXiv 1801.09414, equation 4"

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float = 64.0,
        margin: float = 0.35,
        **options: Unpack[SphereLossOptions],
    ) -> None:
        super().__init__(dim, num_classes, scale=scale, margin=CosMargin(margin), **options)


@names_options
def arc_face(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | Tensor = 64.0,
    margin: float = 0.5,
    **options: Unpack[SphereRowOptions],
) -> Tensor:
    r"""Cross-entropy of cosines with the target angle widened (ArcFace, arXiv 1801.07698, equation 3): $\psi = \cos(\theta + m)$.

    Past $\theta_y = \pi - m$ the target goes on falling, see `ArcMargin`. The gradient in the angle is finite, and exact, down
    to $\theta_y = 0$: no `acos` is taken. At exact collapse on the simplex the loss is
    $\log(1 + (K-1) e^{-s(\cos m + 1/(K-1))})$.

    Args:
        features: `(..., d)`, of any length.
        labels: `(...)`, in `[0, K)` or `ignore_index`.
        weight: `(K, d)`, one row a class, of any length.
        scale: $s$.
        margin: $m$, in radians, from 0 to pi.
        **options: see `RowOptions`; `"log_mean"` and `margin_grad`: `"detached"`, as the official code trains.

    Examples:
        >>> import torch
        >>> x = torch.eye(2)
        >>> loss = arc_face(x, torch.tensor([0, 1]), x)
        >>> print(f"{loss.item():.1e}")
        4.1e-25
    """
    return spherical_ce(features, labels, weight, scale=scale, margin=ArcMargin(margin), **options)


class ArcFace(SphericalLoss):
    """ArcFace, as a module; see `arc_face`."""

    formula, source = "the same, z_y = s cos(θ_y + margin)", "arXiv 1801.07698, equation 3"

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float = 64.0,
        margin: float = 0.5,
        **options: Unpack[SphereLossOptions],
    ) -> None:
        super().__init__(dim, num_classes, scale=scale, margin=ArcMargin(margin), **options)


@names_options
def sphere_face(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | Tensor | str = 30.0,
    margin: float = 1.5,
    version: str = "v1",
    **options: Unpack[SphereRowOptions],
) -> Tensor:
    r"""Cross-entropy of cosines with the target angle multiplied (SphereFace-R, arXiv 2109.05565; arXiv 1704.08063).

    Version v1 has $\psi = \cos(\min(m\theta_y, \pi))$, with features normalised to the length s (the paper's hard
    normalisation; its code also multiplies the loss by 50/s). At exact collapse the margin is gone, $\psi(0) = 1$, so the loss
    is that of NormFace: $\log(1 + (K-1) e^{-sK/(K-1)})$ on the simplex.

    The first SphereFace (A-Softmax, arXiv 1704.08063, equation 7) keeps the length of each feature: its logits are
    $|x| \psi(\theta_y)$ and $|x| \cos\theta_j$. It is `scale="feature_norm", version="v0", margin=4`, without the paper's
    mixture with plain logits, which fades during its training.

    Args:
        features: `(..., d)`, of any length.
        labels: `(...)`, in `[0, K)` or `ignore_index`.
        weight: `(K, d)`, one row a class, of any length.
        scale: $s$, or `"feature_norm"`, the length of each feature.
        margin: $m \ge 1$, a factor.
        version: `"v1"` is SphereFace-R, `"v0"` SphereFace; see `SphereMargin`.
        **options: see `RowOptions`; `"log_mean"` and `margin_grad`: `"detached"`, as SphereFace-R trains.

    Examples:
        >>> import torch
        >>> x = torch.eye(2)
        >>> loss = sphere_face(x, torch.tensor([0, 1]), x)
        >>> print(f"{loss.item():.1e}")
        9.4e-14
    """
    return spherical_ce(features, labels, weight, scale=scale, margin=SphereMargin(margin, version), **options)


class SphereFace(SphericalLoss):
    """SphereFace, as a module; see `sphere_face`."""

    formula, source = "the same, z_y = s cos(min(margin · θ_y, π))", "arXiv 2109.05565, 1704.08063"

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float | str = 30.0,
        margin: float = 1.5,
        version: str = "v1",
        **options: Unpack[SphereLossOptions],
    ) -> None:
        super().__init__(dim, num_classes, scale=scale, margin=SphereMargin(margin, version), **options)


@names_options
def combined_face(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | Tensor = 64.0,
    margin: tuple[float, float, float] = (1.0, 0.3, 0.2),
    **options: Unpack[SphereRowOptions],
) -> Tensor:
    r"""Cross-entropy of cosines with all three margins (arXiv 1801.07698, eq. 4): $\psi = \cos(m_1 \theta + m_2) - m_3$.

    Past $m_1 \theta_y + m_2 = \pi$ the target goes on falling, see `CombinedMargin`. Range: from 0 up; at exact collapse on the
    simplex $\log(1 + (K-1) e^{-s(\cos m_2 - m_3 + 1/(K-1))})$.

    Args:
        features: `(..., d)`, of any length.
        labels: `(...)`, in `[0, K)` or `ignore_index`.
        weight: `(K, d)`, one row a class, of any length.
        scale: $s$.
        margin: $(m_1, m_2, m_3)$: a factor, an angle in radians, a part of the cosine.
        **options: see `RowOptions`; `"log_mean"` and `margin_grad`.

    Examples:
        >>> import torch
        >>> x = torch.eye(2)
        >>> loss = combined_face(x, torch.tensor([0, 1]), x)  # log(1 + e^(-64 (cos 0.3 - 0.2)))
        >>> print(f"{loss.item():.1e}")
        1.0e-21
    """
    return spherical_ce(features, labels, weight, scale=scale, margin=CombinedMargin(*margin), **options)


class CombinedFace(SphericalLoss):
    """The combined margin, as a module; see `combined_face`."""

    formula, source = "the same, z_y = s (cos(m₁ θ_y + m₂) − m₃)", "arXiv 1801.07698, equation 4"

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float = 64.0,
        margin: tuple[float, float, float] = (1.0, 0.3, 0.2),
        **options: Unpack[SphereLossOptions],
    ) -> None:
        super().__init__(dim, num_classes, scale=scale, margin=CombinedMargin(*margin), **options)
