"""AdaFace: a margin that looks at the quality of a sample, by the length of its feature."""

from dataclasses import replace
from typing import Unpack, cast

import torch
from torch import Tensor

from .._errors import InputError
from .._names import names_options
from ._full_precision import KeepsFullPrecision
from ._margins import AdaMargin, Margin, norm_statistics
from ._module import HeadLike
from ._rows import CountedRows, Labels, RowOptions
from ._spherical import SphereLossOptions, SphereRowOptions, SphericalLoss, spherical_ce


@names_options
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
    **options: Unpack[SphereRowOptions],
) -> Tensor:
    r"""Cross-entropy of cosines with a margin by the quality of each sample (AdaFace, arXiv 2204.00964, equation 11).

    $$ \ell = -\log \frac{e^{s \psi}}{e^{s \psi} + \sum_{j \ne y} e^{s \cos\theta_j}}, \qquad
       \psi = \cos(\theta_y - m \hat z) - (m + m \hat z), \qquad
       \hat z = \mathrm{clip}\left(h \frac{|x| - \mu}{\sigma}, -1, 1\right) $$

    A long feature, of a sharp sample, has CosFace's margin; a short one ArcFace's. Range: from 0 up; at exact collapse on the
    simplex with features of one length ($\hat z = 0$) $\log(1 + (K-1) e^{-s(1 - m + 1/(K-1))})$.

    Args:
        features: `(..., d)`; their lengths are the quality, without a gradient.
        labels: `(...)`, in `[0, K)` or `ignore_index`.
        weight: `(K, d)`, one row a class, of any length.
        scale: $s$.
        margin: $m$.
        h: $h$, how fast quality leaves the average.
        norm_mean: $\mu$ and `norm_std`: $\sigma$; None for those of the samples of the batch that count.
        norm_std: see `norm_mean`.
        **options: see `RowOptions`; `"log_mean"` and `margin_grad`.

    Examples:
        >>> import torch
        >>> x = torch.eye(2)
        >>> loss = ada_face(x, torch.tensor([0, 1]), x)  # of one length: log(1 + e^(-64 (1 - 0.4)))
        >>> print(f"{loss.item():.1e}")
        2.1e-17
    """
    ada = AdaMargin(margin, h, norm_mean, norm_std)
    return spherical_ce(features, labels, weight, scale=scale, margin=ada, **options)


class AdaFace(KeepsFullPrecision, SphericalLoss):
    r"""AdaFace with running norms: `loss(features, labels, head=None)`. See `ada_face` and `SphericalLoss`.

    In training each call first moves the running mean and deviation of the features' lengths,
    $\mu \leftarrow \alpha \mu + (1 - \alpha) \mu_{\text{batch}}$, and then uses them; in evaluation (`loss.eval()`) they
    stay. The first batch counts in full (the official code starts at a mean of 20 and a deviation of 100, and moves both by
    the 1/100 that is the default here), and ignored samples do not move them. The norms are those of this process: of
    several ranks, DistributedDataParallel keeps those of the first.

    Args:
        dim: d, and `num_classes`: K, of a weight that the loss owns; neither, and a head is required.
        num_classes: see `dim`.
        scale: $s$, where the head has none.
        margin: $m$.
        h: $h$.
        momentum: $\alpha$ in [0, 1); 0 for the norms of each batch.
        **options: of every loss, see `ModuleOptions`; `"log_mean"` and `margin_grad`.

    Attributes:
        norm_mean: a buffer, a scalar; NaN, and every sample of average quality, before the first batch. In float32 always.
        norm_std: likewise.

    Raises:
        InputError: a momentum outside [0, 1).

    Examples:
        >>> import torch
        >>> loss = AdaFace(dim=2, num_classes=3, momentum=0.5)
        >>> for length in (10.0, 20.0):
        ...     _ = loss(torch.tensor([[length, 0.0], [0.0, length]]), torch.tensor([0, 1]))
        >>> loss.norm_mean
        tensor(15.)
    """

    formula = "the same, z_y = s (cos(θ_y − m ẑ) − (m + m ẑ)), ẑ the length of the feature against running lengths"
    couples, source = "as NormFace, and lengths of all samples so far", "arXiv 2204.00964, equation 11"
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
        **options: Unpack[SphereLossOptions],
    ) -> None:
        super().__init__(dim, num_classes, scale=scale, margin=AdaMargin(margin, h), **options)
        if not 0 <= momentum < 1:
            raise InputError(f"expected momentum from 0 to below 1, got {momentum}")
        self.momentum = momentum
        self.register_buffer("norm_mean", torch.tensor(torch.nan))
        self.register_buffer("norm_std", torch.tensor(torch.nan))

    def _value(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> Tensor:
        if self.training:
            self._follow(features, labels)
        return super()._value(features, labels, head, options)

    def margin_of(self, head: HeadLike | None) -> Margin | None:
        """The margin of the current norms."""
        own = cast(AdaMargin, super().margin_of(head))
        return replace(own, norm_mean=self.norm_mean.clone(), norm_std=self.norm_std.clone())

    @torch.no_grad()
    def _follow(self, features: Tensor, labels: Labels) -> None:
        rows = CountedRows(features, labels, None, {"ignore_index": self.ignore_index})
        norms = torch.linalg.vector_norm(rows.take(features), dim=1).where(rows.used, torch.nan)
        for running, found in zip((self.norm_mean, self.norm_std), norm_statistics(norms), strict=True):
            moved = (self.momentum * running + (1 - self.momentum) * found).where(~running.isnan(), found)
            running.copy_(moved.where(rows.used.any(), running))
