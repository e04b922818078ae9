"""CosFace: a margin on the target cosine."""

from torch import Tensor

from ._margins import CosMargin
from ._rows import Labels
from ._spherical import spherical_ce
from ._spherical_loss import SphericalLoss


def cos_face(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | Tensor = 64.0,
    margin: float = 0.35,
    margin_grad: str = "exact",
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy of cosines with the target lowered by a constant (CosFace, arXiv 1801.09414, equation 4).

    .. math:: \ell = -\log \frac{e^{s (\cos\theta_y - m)}}{e^{s (\cos\theta_y - m)} + \sum_{j \ne y} e^{s \cos\theta_j}}

    The margin couples scale and loss: :math:`\ell` is NormFace with :math:`e^{sm}` times as many wrong classes. At exact collapse
    on the simplex it is :math:`\log(1 + (K-1) e^{-s(K/(K-1) - m)})`.

    Args:
        features: ``(..., d)``, of any length.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        weight: ``(K, d)``, one row a class, of any length.
        scale: :math:`s`.
        margin: :math:`m`, from 0 to 2.
        margin_grad: ``"exact"``, or ``"detached"``; the two agree here, the margin being a constant.
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
        >>> loss = cos_face(x, torch.tensor([0, 1]), x, margin=0.25)
        >>> print(f"{loss.item():.1e}")
        1.4e-21
    """
    return spherical_ce(
        features,
        labels,
        weight,
        scale=scale,
        margin=CosMargin(margin),
        margin_grad=margin_grad,
        reduction=reduction,
        ignore_index=ignore_index,
        sample_weights=sample_weights,
        class_weights=class_weights,
        denominator=denominator,
    )


class CosFace(SphericalLoss):
    """CosFace: ``loss(features, labels, head=None)``. See :func:`cos_face`.

    Without a head it owns class directions, ``.weight`` ``(num_classes, dim)``, a parameter to be optimised; with one it uses
    ``head.weight``, and ``head.scale`` where the head has one.

    Example:
        >>> import torch
        >>> loss = CosFace(dim=3, num_classes=10)
        >>> loss.weight.shape, loss(torch.randn(4, 3), torch.tensor([0, 1, 2, 9])).shape
        (torch.Size([10, 3]), torch.Size([]))
    """

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float = 64.0,
        margin: float = 0.35,
        margin_grad: str = "exact",
        reduction: str = "mean",
        ignore_index: int = -100,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(
            dim,
            num_classes,
            scale=scale,
            margin=CosMargin(margin),
            margin_grad=margin_grad,
            reduction=reduction,
            ignore_index=ignore_index,
            class_weights=class_weights,
        )
