"""SphereFace and SphereFace-R: the target angle multiplied."""

from torch import Tensor

from ._margins import SphereMargin
from ._rows import Labels
from ._spherical import spherical_ce
from ._spherical_loss import SphericalLoss


def sphere_face(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | Tensor | str = 30.0,
    margin: float = 1.5,
    margin_grad: str = "exact",
    version: str = "v1",
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy of cosines with the target angle multiplied (SphereFace-R, arXiv 2109.05565; arXiv 1704.08063).

    .. math:: \ell = -\log \frac{e^{s \psi(\theta_y)}}{e^{s \psi(\theta_y)} + \sum_{j \ne y} e^{s \cos\theta_j}}

    Version v1 has :math:`\psi = \cos(\min(m\theta_y, \pi))`, with features normalised to the length s (the paper's
    hard normalisation; its code also multiplies the loss by 50/s). At exact collapse the margin is gone, :math:`\psi(0) = 1`,
    so the loss is that of NormFace: :math:`\log(1 + (K-1) e^{-sK/(K-1)})` on the simplex.

    The first SphereFace (A-Softmax, arXiv 1704.08063, equation 7) keeps the length of each feature: its logits are
    :math:`|x| \psi(\theta_y)` and :math:`|x| \cos\theta_j`. It is ``scale="feature_norm", version="v0", margin=4``, without
    the paper's mixture with plain logits, which fades during its training.

    Args:
        features: ``(..., d)``, of any length.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        weight: ``(K, d)``, one row a class, of any length.
        scale: :math:`s`, or ``"feature_norm"``, the length of each feature.
        margin: :math:`m \ge 1`, a factor.
        margin_grad: ``"exact"``, or ``"detached"``, as SphereFace-R trains.
        version: ``"v1"`` is SphereFace-R, ``"v0"`` SphereFace; see ``SphereMargin``.
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
        >>> loss = sphere_face(x, torch.tensor([0, 1]), x)
        >>> print(f"{loss.item():.1e}")
        9.4e-14
    """
    return spherical_ce(
        features,
        labels,
        weight,
        scale=scale,
        margin=SphereMargin(margin, version),
        margin_grad=margin_grad,
        reduction=reduction,
        ignore_index=ignore_index,
        sample_weights=sample_weights,
        class_weights=class_weights,
        denominator=denominator,
    )


class SphereFace(SphericalLoss):
    """SphereFace: ``loss(features, labels, head=None)``. See :func:`sphere_face`.

    Without a head it owns class directions, ``.weight`` ``(num_classes, dim)``, a parameter to be optimised; with one it uses
    ``head.weight``, and ``head.scale`` where the head has one.

    Example:
        >>> import torch
        >>> loss = SphereFace(dim=3, num_classes=10)
        >>> loss.weight.shape, loss(torch.randn(4, 3), torch.tensor([0, 1, 2, 9])).shape
        (torch.Size([10, 3]), torch.Size([]))
    """

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float | str = 30.0,
        margin: float = 1.5,
        margin_grad: str = "exact",
        version: str = "v1",
        reduction: str = "mean",
        ignore_index: int = -100,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(
            dim,
            num_classes,
            scale=scale,
            margin=SphereMargin(margin, version),
            margin_grad=margin_grad,
            reduction=reduction,
            ignore_index=ignore_index,
            class_weights=class_weights,
        )
