"""Dot-regression loss: features are drawn to fixed class directions, and pushed by none."""

from typing import Unpack

import torch
from torch import Tensor

from .._errors import InputError
from .._names import names_options
from ._module import HeadLike, Loss, ModuleOptions
from ._normalised import normalised
from ._rows import Labels, RowOptions, result_type, rows_of


@names_options
def dot_regression(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    weight_energy: float | int = 1.0,
    feature_energy: float | int = 1.0,
    normalise: bool = True,
    **options: Unpack[RowOptions],
) -> Tensor:
    r"""Squared distance of the target's inner product from the largest it can be.

    $$ \ell_i = \frac{1}{2 \sqrt{E_W E_H}} \left( \langle w_{y_i}, h_i \rangle - \sqrt{E_W E_H} \right)^2,
       \qquad |w_c|^2 = E_W, \quad |h_i|^2 \le E_H $$

    With the codes fixed at a simplex no class needs to be pushed away: the gradient has the pull alone, however
    imbalanced the classes are. Where features are normalised, the inner product is formed from the chord,

    $$ \ell_i = \frac{\sqrt{E_W E_H}}{8} \, | \hat h_i - \hat w_{y_i} |^4, $$

    which is the same, and exact where the cosine is 1 to rounding.

    It is of fourth order in the angle $\theta$ to the code: its pull, $\theta^3 / 2$, fades long before the code is
    reached. Plain gradient descent at rate $\eta$ closes as $1 - \cos\theta \approx |x|^2 / (2 \eta t)$ after t
    steps of the sum, where cross-entropy or a squared chord closes exponentially.

    Range: from 0, reached at collapse on the code, to $2\sqrt{E_W E_H}$ for normalised features, opposite to their
    codes.

    Args:
        features: `(..., d)`.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        weight: the code `(K, d)`, of any length: its rows are given the length $\sqrt{E_W}$.
        weight_energy: $E_W$.
        feature_energy: $E_H$.
        normalise: give features the length $\sqrt{E_H}$, as the paper trains; a zero row has product 0 and no
            gradient. Otherwise their lengths count.
        **options: of every loss of samples, see `RowOptions`.

    Raises:
        InputError: shapes that do not fit, labels out of range, energies that are not positive, an unknown reduction.

    References:
        Yang et al., "Inducing Neural Collapse in Imbalanced Learning: Do We Really Need a Learnable Classifier at the
        End of Deep Neural Network?", arXiv 2203.09081. Their code divides by $\sqrt{E_H}$ alone, which is the same
        at $E_W = 1$.

    Examples:
        >>> import torch
        >>> code = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> dot_regression(torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), torch.tensor([0, 0, 1]), code, reduction="none")
        tensor([0.0000, 0.5000, 2.0000])
    """
    rows = rows_of(features, labels, weight, options)
    if not (0 < weight_energy < torch.inf and 0 < feature_energy < torch.inf):
        raise InputError(
            f"expected finite energies above 0, got weight_energy={weight_energy}, feature_energy={feature_energy}"
        )
    result = result_type(features, weight)
    x, code = rows.take(features).to(result), normalised(weight.to(result))[rows.labels]
    largest = (weight_energy * feature_energy) ** 0.5
    if normalise:
        unit = normalised(x)
        # A zero row has the product 0: half its squared chord, 1 of the code alone, is made 1 as well.
        zero = (unit == 0).all(dim=1)
        gap = (0.5 * (unit - code).square().sum(dim=1)).where(~zero, 1)
    else:
        gap = 1 - (x * code).sum(dim=1) / feature_energy**0.5
    return rows.reduce(0.5 * largest * gap.square())


class DotRegression(Loss):
    r"""Dot-regression loss for a fixed code: `loss(features, labels, head)`. See `dot_regression`.

    The code is the weight of the head, or `code` where no head is given. It receives no gradient.

    Args:
        code: `(K, d)`, kept as a buffer; None to take a head at each call.
        weight_energy: $E_W$.
        feature_energy: $E_H$.
        normalise: whether features are given the length $\sqrt{E_H}$.
        **options: of every loss, see `ModuleOptions`.

    Examples:
        >>> import torch
        >>> loss = DotRegression(torch.eye(3))
        >>> loss(5 * torch.eye(3), torch.arange(3)).item()
        0.0
    """

    formula = "(⟨w_y, h⟩ − √(E_W E_H))² / (2 √(E_W E_H)), ‖w‖² = E_W, ‖h‖² = E_H"
    couples, source = "a sample with its code alone", "arXiv 2203.09081"
    weight: Tensor | None

    def __init__(
        self,
        code: Tensor | None = None,
        *,
        weight_energy: float | int = 1.0,
        feature_energy: float | int = 1.0,
        normalise: bool = True,
        **options: Unpack[ModuleOptions],
    ) -> None:
        super().__init__(**options)
        self.register_buffer("weight", None if code is None else code.detach().clone())
        self.weight_energy, self.feature_energy, self.normalise = weight_energy, feature_energy, normalise

    def _value(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> Tensor:
        code = self.weight if head is None else head.weight.detach()
        if code is None:
            raise InputError("the dot-regression loss without a code expected a head, whose weight is the code")
        energies = {"weight_energy": self.weight_energy, "feature_energy": self.feature_energy}
        return dot_regression(features, labels, code, **energies, normalise=self.normalise, **options)
