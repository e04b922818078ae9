"""Dot-regression loss: features are drawn to fixed class directions, and pushed by none."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .._errors import InputError
from ._module import Loss
from ._rows import Labels, Rows
from ._unit_rows import unit_rows

if TYPE_CHECKING:
    from ..heads import Head


def dot_regression(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    weight_energy: float | int = 1.0,
    feature_energy: float | int = 1.0,
    normalise: bool = True,
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""Squared distance of the target's inner product from the largest it can be.

    .. math:: \ell_i = \frac{1}{2 \sqrt{E_W E_H}} \left( \langle w_{y_i}, h_i \rangle - \sqrt{E_W E_H} \right)^2,
              \qquad |w_c|^2 = E_W, \quad |h_i|^2 \le E_H

    With the codes fixed at a simplex no class needs to be pushed away: the gradient has the pull alone, however
    imbalanced the classes are. Where features are normalised, the inner product is formed from the chord,

    .. math:: \ell_i = \frac{\sqrt{E_W E_H}}{8} \, | \hat h_i - \hat w_{y_i} |^4,

    which is the same, and exact where the cosine is 1 to rounding.

    It is of fourth order in the angle :math:`\theta` to the code: its pull, :math:`\theta^3 / 2`, fades long before the code is
    reached. Plain gradient descent at rate :math:`\eta` closes as :math:`1 - \cos\theta \approx |x|^2 / (2 \eta t)` after t
    steps of the sum, where cross-entropy or a squared chord closes exponentially.

    Range: from 0, reached at collapse on the code, to :math:`2\sqrt{E_W E_H}` for normalised features, opposite to their
    codes.

    Args:
        features: ``(..., d)``.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        weight: the code ``(K, d)``, of any length: its rows are given the length :math:`\sqrt{E_W}`.
        weight_energy: :math:`E_W`.
        feature_energy: :math:`E_H`.
        normalise: give features the length :math:`\sqrt{E_H}`, as the paper trains; a zero row has product 0 and no
            gradient. Otherwise they are taken as they are.
        reduction: ``"mean"`` over the samples not ignored (NaN when there are none), ``"sum"`` or ``"none"``.
        ignore_index: label of samples that do not count.
        sample_weights: ``(...)``, at least 0, by which the loss of each sample is multiplied; 0 leaves it out.
        class_weights: ``(K,)``, at least 0: likewise, by the label.
        denominator: what ``"mean"`` divides by; None for the number of samples that count, or the sum of their weights.

    Returns:
        A scalar, or losses ``(...)`` with 0 at ignored samples for ``"none"``; at least float32.

    Raises:
        InputError: shapes that do not fit, labels out of range, energies that are not positive, an unknown reduction.

    References:
        Yang et al., "Inducing Neural Collapse in Imbalanced Learning: Do We Really Need a Learnable Classifier at the
        End of Deep Neural Network?", arXiv 2203.09081. Their code divides by :math:`\sqrt{E_H}` alone, which is the same
        at :math:`E_W = 1`.

    Example:
        >>> import torch
        >>> code = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> dot_regression(torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), torch.tensor([0, 0, 1]), code, reduction="none")
        tensor([0.0000, 0.5000, 2.0000])
    """
    if weight.dim() != 2 or features.dim() < 1 or features.shape[-1] != weight.shape[1]:
        raise InputError(
            f"expected features (..., d) and weight (K, d) with one d, "
            f"got {tuple(features.shape)} and {tuple(weight.shape)}"
        )
    if not features.is_floating_point() or not weight.is_floating_point():
        raise InputError(f"expected floating features and weight, got {features.dtype} and {weight.dtype}")
    if not (0 < weight_energy < torch.inf and 0 < feature_energy < torch.inf):
        raise InputError(
            f"expected finite energies above 0, got weight_energy={weight_energy}, feature_energy={feature_energy}"
        )
    weights = sample_weights, class_weights
    rows = Rows(labels, features.shape[:-1], len(weight), ignore_index, *weights, device=features.device)
    result = torch.promote_types(torch.promote_types(features.dtype, weight.dtype), torch.float32)
    x, code = rows.take(features).to(result), unit_rows(weight.to(result))[rows.labels]
    largest = (weight_energy * feature_energy) ** 0.5
    if normalise:
        unit = unit_rows(x)
        # A zero row has the product 0: half its squared chord, 1 of the code alone, is made 1 as well.
        zero = (unit == 0).all(dim=1)
        gap = (0.5 * (unit - code).square().sum(dim=1)).where(~zero, 1)
    else:
        gap = 1 - (x * code).sum(dim=1) / feature_energy**0.5
    return rows.reduce(0.5 * largest * gap.square(), reduction, denominator)


class DotRegression(Loss):
    r"""Dot-regression loss for a fixed code: ``loss(features, labels, head)``. See :func:`dot_regression`.

    The code is the weight of the head, or ``code`` where none is given. It receives no gradient.

    Args:
        code: ``(K, d)``, kept as a buffer; None to take a head at each call.
        weight_energy: :math:`E_W`.
        feature_energy: :math:`E_H`.
        normalise: whether features are given the length :math:`\sqrt{E_H}`.
        ignore_index: label of samples that do not count.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        class_weights: ``(K,)``, or None; weights of samples and a denominator are given at each call.

    Example:
        >>> import torch
        >>> loss = DotRegression(torch.eye(3))
        >>> loss(5 * torch.eye(3), torch.arange(3)).item()
        0.0
    """

    weight: Tensor | None

    def __init__(
        self,
        code: Tensor | None = None,
        *,
        weight_energy: float | int = 1.0,
        feature_energy: float | int = 1.0,
        normalise: bool = True,
        ignore_index: int = -100,
        reduction: str = "mean",
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(reduction=reduction, ignore_index=ignore_index, class_weights=class_weights)
        self.register_buffer("weight", None if code is None else code.detach().clone())
        self.weight_energy, self.feature_energy, self.normalise = weight_energy, feature_energy, normalise

    def forward(
        self,
        features: Tensor,
        labels: Labels,
        head: "Head | None" = None,
        *,
        sample_weights: Tensor | None = None,
        denominator: float | int | Tensor | None = None,
    ) -> Tensor:
        """The loss of ``features`` ``(..., d)`` with ``labels`` ``(...)``."""
        code = self.weight if head is None else head.weight.detach()
        if code is None:
            raise InputError("the dot-regression loss without a code expected a head, whose weight is the code")
        energies = {"weight_energy": self.weight_energy, "feature_energy": self.feature_energy}
        options = self.row_options(sample_weights, denominator)
        return dot_regression(features, labels, code, **energies, normalise=self.normalise, **options)
