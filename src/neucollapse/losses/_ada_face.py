"""AdaFace: a margin that looks at the quality of a sample, by the length of its feature."""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from .._errors import InputError
from ._full_precision import KeepsFullPrecision
from ._margins import AdaMargin, Margin, norm_statistics
from ._rows import Labels, Rows
from ._spherical import spherical_ce
from ._spherical_loss import SphericalLoss

if TYPE_CHECKING:
    from ..heads import Head


def ada_face(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | Tensor = 64.0,
    margin: float = 0.4,
    h: float = 0.333,
    norm_mean: float | Tensor | None = None,
    norm_std: float | Tensor | None = None,
    margin_grad: str = "exact",
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy of cosines with a margin by the quality of each sample (AdaFace, arXiv 2204.00964, equation 11).

    .. math:: \ell = -\log \frac{e^{s \psi}}{e^{s \psi} + \sum_{j \ne y} e^{s \cos\theta_j}}, \qquad
              \psi = \cos(\theta_y - m \hat z) - (m + m \hat z), \qquad
              \hat z = \mathrm{clip}\left(h \frac{|x| - \mu}{\sigma}, -1, 1\right)

    A long feature, of a sharp sample, has CosFace's margin; a short one ArcFace's. Range: from 0 up; at exact collapse on the
    simplex with features of one length (:math:`\hat z = 0`) :math:`\log(1 + (K-1) e^{-s(1 - m + 1/(K-1))})`.

    Args:
        features: ``(..., d)``; their lengths are the quality, without a gradient.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        weight: ``(K, d)``, one row a class, of any length.
        scale: :math:`s`.
        margin: :math:`m`.
        h: :math:`h`, how fast quality leaves the average.
        norm_mean: :math:`\mu` and ``norm_std``: :math:`\sigma`; None for those of the samples of the batch that count.
        norm_std: see ``norm_mean``.
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
        >>> loss = ada_face(x, torch.tensor([0, 1]), x)  # of one length: log(1 + e^(-64 (1 - 0.4)))
        >>> print(f"{loss.item():.1e}")
        2.1e-17
    """
    return spherical_ce(
        features,
        labels,
        weight,
        scale=scale,
        margin=AdaMargin(margin, h, norm_mean, norm_std),
        margin_grad=margin_grad,
        reduction=reduction,
        ignore_index=ignore_index,
        sample_weights=sample_weights,
        class_weights=class_weights,
        denominator=denominator,
    )


class AdaFace(KeepsFullPrecision, SphericalLoss):
    r"""AdaFace with running norms: ``loss(features, labels, head=None)``. See :func:`ada_face`.

    In training each call first moves the running mean and deviation of the features' lengths,
    :math:`\mu \leftarrow \alpha \mu + (1 - \alpha) \mu_{\text{batch}}`, and then uses them; in evaluation (``loss.eval()``) they
    stay. The first batch counts in full. The norms are those of this process: of several ranks, DistributedDataParallel keeps
    those of the first.

    Args:
        dim: d, and ``num_classes``: K, of a weight of its own; neither, and a head is required.
        num_classes: see ``dim``.
        scale: :math:`s`, where no head brings its own.
        margin: :math:`m`.
        h: :math:`h`.
        momentum: :math:`\alpha` in [0, 1); 0 for the norms of each batch.
        margin_grad: ``"exact"`` or ``"detached"``.
        reduction: ``"mean"``, ``"sum"``, ``"none"`` or ``"log_mean"``.
        ignore_index: label of samples that do not count, nor move the norms.
        class_weights: ``(K,)``, or None; weights of samples and a denominator are given at each call.

    Attributes:
        norm_mean: a buffer, a scalar; NaN, and every sample of average quality, before the first batch. In float32 always.
        norm_std: likewise.

    Raises:
        InputError: a momentum outside [0, 1), a margin out of range, and as the other losses of the sphere.

    Example:
        >>> import torch
        >>> loss = AdaFace(dim=2, num_classes=3, momentum=0.5)
        >>> for length in (10.0, 20.0):
        ...     _ = loss(torch.tensor([[length, 0.0], [0.0, length]]), torch.tensor([0, 1]))
        >>> loss.norm_mean
        tensor(15.)
    """

    norm_mean: Tensor
    norm_std: Tensor
    full_precision = ("norm_mean", "norm_std")

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float = 64.0,
        margin: float = 0.4,
        h: float = 0.333,
        momentum: float = 0.99,
        margin_grad: str = "exact",
        reduction: str = "mean",
        ignore_index: int = -100,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(
            dim,
            num_classes,
            scale=scale,
            margin=AdaMargin(margin, h),
            margin_grad=margin_grad,
            reduction=reduction,
            ignore_index=ignore_index,
            class_weights=class_weights,
        )
        if not 0 <= momentum < 1:
            raise InputError(f"expected momentum from 0 to below 1, got {momentum}")
        self.momentum = momentum
        self.register_buffer("norm_mean", torch.tensor(torch.nan))
        self.register_buffer("norm_std", torch.tensor(torch.nan))

    def forward(
        self,
        features: Tensor,
        labels: Labels,
        head: "Head | None" = None,
        *,
        sample_weights: Tensor | None = None,
        denominator: float | int | Tensor | None = None,
    ) -> Tensor:
        """The loss of features ``(..., d)`` with labels ``(...)``, after these have moved the norms in training."""
        if self.training:
            self._follow(features, labels)
        return super().forward(features, labels, head, sample_weights=sample_weights, denominator=denominator)

    def margin_of(self, head: "Head | None") -> Margin | None:
        """The margin of the current norms."""
        own = cast(AdaMargin, super().margin_of(head))
        return replace(own, norm_mean=self.norm_mean.clone(), norm_std=self.norm_std.clone())

    @torch.no_grad()
    def _follow(self, features: Tensor, labels: Labels) -> None:
        rows = Rows(labels, features.shape[:-1], None, self.ignore_index, device=features.device)
        norms = torch.linalg.vector_norm(rows.take(features), dim=1).where(rows.used, torch.nan)
        for running, found in zip((self.norm_mean, self.norm_std), norm_statistics(norms), strict=True):
            moved = (self.momentum * running + (1 - self.momentum) * found).where(~running.isnan(), found)
            running.copy_(moved.where(rows.used.any(), running))
