"""The nearest class mean: the classifier that neural collapse ends in, for evaluation."""

import torch
from torch import Tensor

from .._errors import InputError
from .._types import Float
from ._head import Head, at_least_float32


class NearestClassMean(Head):
    r"""Logits $z_k = \tfrac12 |x - c|^2 - \tfrac12 |x - \mu_k|^2$: how much nearer a feature is to a class mean.

    The largest is that of the nearest class mean. $c$ is the mean of the class means; the same number is taken from
    every logit of a feature, which makes them linear,

    $$ z_k = \langle \mu_k - c,\, x - c \rangle - \tfrac12 |\mu_k - c|^2, $$

    and so they are computed: exact also where the means lie far from the origin and near each other. At neural collapse
    (NC4) these decisions are those of the trained classifier.

    For evaluation: the means are a buffer, and nothing is trained. They are the `class_means` of `ClassStatistics`.

    Args:
        class_means: $\mu$ (K, d), floating. A row of NaN is an absent class, which is never chosen: its logit is -inf.

    Attributes:
        weight: the class means, a buffer (K, d).

    Raises:
        InputError: class means that are no floating matrix, or without a class that is present.

    Examples:
        >>> import torch
        >>> head = NearestClassMean(torch.tensor([[0.0, 0.0], [4.0, 0.0]]))
        >>> head.logits(torch.tensor([[1.0, 7.0], [3.0, 0.0]]))
        tensor([[ 0., -4.],
                [-4.,  0.]])
    """

    weight: Tensor
    normalize = False

    def __init__(self, class_means: Tensor) -> None:
        if class_means.dim() != 2 or not class_means.is_floating_point():
            raise InputError(
                f"expected floating class means (K, d), got {class_means.dtype} of shape {tuple(class_means.shape)}"
            )
        if class_means.isnan().any(dim=1).all():
            raise InputError("expected at least one class mean without NaN, got none")
        super().__init__(class_means.shape[1], class_means.shape[0])
        self.register_buffer("weight", class_means.detach().clone())

    def logits(self, features: Tensor) -> Tensor:
        """Logits `(..., K)` of features `(..., d)`, of which the largest is that of the nearest class mean."""
        rows, bias, centre = self._centred()
        dtype = torch.promote_types(at_least_float32(features).dtype, rows.dtype)
        with torch.autocast(features.device.type, enabled=False):
            return (features.to(dtype) - centre) @ rows.to(dtype).mT + bias

    def linear_map(self) -> tuple[Tensor, Tensor | None]:
        """Centred means, and the bias that belongs to them."""
        rows, bias, centre = self._centred()
        return rows, bias - rows @ centre

    def _centred(self) -> tuple[Float[Tensor, "K d"], Float[Tensor, " K"], Float[Tensor, " d"]]:
        """Class means about their mean, minus half their squared lengths, and their mean; zero and -inf where absent."""
        means = at_least_float32(self.weight)
        absent = means.isnan().any(dim=1)
        centre = means[~absent].mean(dim=0)
        rows = (means - centre).where(~absent[:, None], 0)
        return rows, (-0.5 * rows.square().sum(dim=1)).where(~absent, -torch.inf), centre
