"""NormFace: cross-entropy of cosines, without a margin."""

from torch import Tensor

from ._rows import Labels
from ._spherical import spherical_ce
from ._spherical_loss import SphericalLoss


def norm_face(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | Tensor = 16.0,
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy of scaled cosines (NormFace, arXiv 1704.06369, equation 6).

    .. math:: \ell = -\log \frac{e^{s \cos\theta_y}}{e^{s \cos\theta_y} + \sum_{j \ne y} e^{s \cos\theta_j}}

    As :math:`s \to \infty` its minimisers tend to softmax codes, for any K and d (arXiv 2310.05351). At exact collapse on the
    simplex it is :math:`\log(1 + (K-1) e^{-sK/(K-1)})`. The same function as ``spherical_cross_entropy``.

    Args:
        features: ``(..., d)``, of any length.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        weight: ``(K, d)``, one row a class, of any length.
        scale: :math:`s`.
        reduction: ``"mean"``, ``"sum"``, ``"none"`` or ``"log_mean"``, as in ``spherical_ce``.
        ignore_index: label of samples that neither count nor receive a gradient.
        sample_weights: ``(...)``, at least 0, by which the loss of each sample is multiplied; 0 leaves it out.
        class_weights: ``(K,)``, at least 0: likewise, by the label.
        denominator: what a mean divides by; None for the number of samples that count, or the sum of their weights.

    Returns:
        A scalar, or losses of shape ``(...)`` for ``"none"``.

    Raises:
        InputError: as ``spherical_ce``.

    Example:
        >>> import torch
        >>> x = torch.eye(2)
        >>> loss = norm_face(x, torch.tensor([0, 1]), x)
        >>> print(f"{loss.item():.1e}")
        1.1e-07
    """
    return spherical_ce(
        features,
        labels,
        weight,
        scale=scale,
        reduction=reduction,
        ignore_index=ignore_index,
        sample_weights=sample_weights,
        class_weights=class_weights,
        denominator=denominator,
    )


class NormFace(SphericalLoss):
    """NormFace: ``loss(features, labels, head=None)``. See :func:`norm_face`.

    Without a head it owns class directions, ``.weight`` ``(num_classes, dim)``, a parameter to be optimised; with one it uses
    ``head.weight``, and ``head.scale`` where the head has one.

    Example:
        >>> import torch
        >>> loss = NormFace(dim=3, num_classes=10)
        >>> loss.weight.shape, loss(torch.randn(4, 3), torch.tensor([0, 1, 2, 9])).shape
        (torch.Size([10, 3]), torch.Size([]))
    """

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float = 16.0,
        reduction: str = "mean",
        ignore_index: int = -100,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(
            dim,
            num_classes,
            scale=scale,
            reduction=reduction,
            ignore_index=ignore_index,
            class_weights=class_weights,
        )
