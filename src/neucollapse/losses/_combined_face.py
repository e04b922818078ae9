"""The combined margin: the target angle multiplied and widened, and its cosine lowered."""

from torch import Tensor

from ._margins import CombinedMargin
from ._rows import Labels
from ._spherical import spherical_ce
from ._spherical_loss import SphericalLoss


def combined_face(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | Tensor = 64.0,
    margin: tuple[float, float, float] = (1.0, 0.3, 0.2),
    margin_grad: str = "exact",
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy of cosines with all three margins on the target (ArcFace's combined form, arXiv 1801.07698, equation 4).

    .. math:: \ell = -\log \frac{e^{s (\cos(m_1 \theta_y + m_2) - m_3)}}
              {e^{s (\cos(m_1 \theta_y + m_2) - m_3)} + \sum_{j \ne y} e^{s \cos\theta_j}}

    Past :math:`m_1 \theta_y + m_2 = \pi` the target goes on falling, see ``CombinedMargin``. Range: from 0 up; at exact
    collapse on the simplex :math:`\log(1 + (K-1) e^{-s(\cos m_2 - m_3 + 1/(K-1))})`.

    Args:
        features: ``(..., d)``, of any length.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        weight: ``(K, d)``, one row a class, of any length.
        scale: :math:`s`.
        margin: :math:`(m_1, m_2, m_3)`: a factor, an angle in radians, a part of the cosine.
        margin_grad: ``"exact"``, or ``"detached"``: the slope of the target cosine alone.
        reduction: ``"mean"``, ``"sum"``, ``"none"`` or ``"log_mean"``, as in ``spherical_ce``.
        ignore_index: label of samples that neither count nor receive a gradient.
        sample_weights: ``(...)``, at least 0, by which the loss of each sample is multiplied; 0 leaves it out.
        class_weights: ``(K,)``, at least 0: likewise, by the label.
        denominator: what a mean divides by; None for the number of samples that count, or the sum of their weights.

    Returns:
        A scalar, or losses of shape ``(...)`` for ``"none"``.

    Raises:
        InputError: as ``spherical_ce``, and for a margin out of range.

    Example:
        >>> import torch
        >>> x = torch.eye(2)
        >>> loss = combined_face(x, torch.tensor([0, 1]), x)  # log(1 + e^(-64 (cos 0.3 - 0.2)))
        >>> print(f"{loss.item():.1e}")
        1.0e-21
    """
    return spherical_ce(
        features,
        labels,
        weight,
        scale=scale,
        margin=CombinedMargin(*margin),
        margin_grad=margin_grad,
        reduction=reduction,
        ignore_index=ignore_index,
        sample_weights=sample_weights,
        class_weights=class_weights,
        denominator=denominator,
    )


class CombinedFace(SphericalLoss):
    """The combined margin: ``loss(features, labels, head=None)``. See :func:`combined_face`.

    Without a head it owns class directions, ``.weight`` ``(num_classes, dim)``, a parameter to be optimised; with one it uses
    ``head.weight``, and ``head.scale`` where the head has one.

    Example:
        >>> import torch
        >>> loss = CombinedFace(dim=3, num_classes=10, margin=(0.9, 0.4, 0.15))
        >>> loss.weight.shape, loss(torch.randn(4, 3), torch.tensor([0, 1, 2, 9])).shape
        (torch.Size([10, 3]), torch.Size([]))
    """

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float = 64.0,
        margin: tuple[float, float, float] = (1.0, 0.3, 0.2),
        margin_grad: str = "exact",
        reduction: str = "mean",
        ignore_index: int = -100,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(
            dim,
            num_classes,
            scale=scale,
            margin=CombinedMargin(*margin),
            margin_grad=margin_grad,
            reduction=reduction,
            ignore_index=ignore_index,
            class_weights=class_weights,
        )
