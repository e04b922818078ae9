"""Mean squared error of logits to rescaled one-hot targets; for many classes without any logits."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .._errors import InputError
from .._types import Float, Int
from ._log_odds import rows_of_logits
from ._module import LogitLoss
from ._rows import Labels, RowOptions, Rows

if TYPE_CHECKING:
    from ..heads import Head

_TILE = 2**18  # numbers of a block of weight rows in float64: 2 MB
OVER_CLASSES = ("mean", "half")
FORMS = ("auto", "gram", "logits")


def mse(
    logits: Tensor,
    labels: Labels,
    *,
    kappa: float | int = 1.0,
    target: float | int = 1.0,
    over_classes: str = "mean",
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""Squared error of logits to the target M of the true class and 0 of all others.

    .. math:: \ell_i = c \Big[ \kappa \, (z_{i y_i} - M)^2 + \sum_{j \ne y_i} z_{ij}^2 \Big],
              \qquad c = \tfrac1K \text{ or } \tfrac12

    With :math:`\kappa = M = 1` and the mean over classes it is ``torch.nn.functional.mse_loss`` to one-hot targets. Hui and
    Belkin raise both for many classes, where the true class would be one term among K; Han et al. have half the sum.

    Range: from 0, reached when the logits are M times one-hot, up; :math:`c \kappa M^2` at zero logits. Classes masked with
    a logit of -inf are no classes: they are left out of the sum, and of K.

    The residuals of given logits are exact. Logits themselves, as a float32 product, have an absolute error of about 1e-7:
    near collapse :func:`mse_linear`, from features and weight, has the digits that they have lost.

    Args:
        logits: ``(..., K)``, floating. Half precision is computed, and returned, in float32.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        kappa: :math:`\kappa > 0`, the weight of the true class.
        target: M, the logit wanted of the true class.
        over_classes: ``"mean"``, c = 1/K, or ``"half"``, c = 1/2.
        reduction: ``"mean"`` over the samples not ignored (NaN when there are none), ``"sum"`` or ``"none"``.
        ignore_index: label of samples that neither count nor receive a gradient, whatever their logits.
        sample_weights: ``(...)``, at least 0, by which the loss of each sample is multiplied; 0 leaves it out.
        class_weights: ``(K,)``, at least 0: likewise, by the label.
        denominator: what ``"mean"`` divides by; None for the number of samples that count, or the sum of their weights.

    Returns:
        A scalar, or losses ``(...)`` with 0 at ignored samples for ``"none"``.

    Raises:
        InputError: logits that are not floating, labels that do not fit, a kappa that is not positive, an unknown option.

    References:
        Hui and Belkin, "Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy in Classification
        Tasks", arXiv 2006.07322; Han, Papyan and Donoho, arXiv 2106.02073.

    Example:
        >>> import torch
        >>> mse(torch.tensor([[0.5, 0.0, 1.0]]), torch.tensor([2]), target=2.0)  # (1 + 0.25) / 3
        tensor(0.4167)
    """
    rows = rows_of_logits(logits, labels, ignore_index, sample_weights, class_weights)
    _check(kappa, over_classes)
    z, y = rows.take(logits), rows.labels
    own = z.gather(1, y[:, None]).squeeze(1)
    there = z > -torch.inf
    others = z.scatter(1, y[:, None], 0).where(there, 0).square().sum(dim=1)
    factor = 1 / there.sum(dim=1).clamp(min=1).to(z.dtype) if over_classes == "mean" else 0.5
    return rows.reduce(factor * (kappa * (own - target).square() + others), reduction, denominator)


def mse_linear(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    bias: Tensor | None = None,
    kappa: float | int = 1.0,
    target: float | int = 1.0,
    over_classes: str = "mean",
    form: str = "auto",
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""The squared error :func:`mse` of the logits :math:`z_j = \langle w_j, x \rangle + b_j`, accumulated in float64.

    The sum over classes needs no logits:

    .. math:: \sum_{j \ne y} z_j^2 = \tilde x^\top G \tilde x - z_y^2, \qquad G = \sum_j \tilde w_j \tilde w_j^\top,
              \quad \tilde x = (x, 1), \quad \tilde w_j = (w_j, b_j)

    This Gram form costs :math:`d^2 (K + B)` products instead of :math:`d K B`, and holds a (d + 1, d + 1) matrix and a block
    of weight rows, never (B, K) logits. ``"auto"`` takes it where it costs less, which it does for K > d and a batch B > d
    as large.

    Its difference of two numbers of size :math:`z_y^2` is rounded at 1e-16 of them. With logits of size 1 and residuals r the
    gradient is therefore right to about 5e-17 / r, 1e-4 at r = 1e-12, but the value, of size :math:`r^2`, only to about
    5e-18 absolute: to 1e-4 of itself down to a loss of 1e-13, and of any sign below 1e-17. ``"logits"`` has no such
    difference. Either is more exact near collapse than float32 logits, whose rounding of 1e-7 is the whole gradient where
    residuals are as small.

    Args:
        features: ``(..., d)``, floating.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        weight: ``(K, d)``, one row a class.
        bias: ``(K,)``, or None.
        kappa: :math:`\kappa > 0`, the weight of the true class.
        target: M, the logit wanted of the true class.
        over_classes: ``"mean"`` or ``"half"``, see :func:`mse`.
        form: ``"gram"``, ``"logits"``, or ``"auto"``.
        reduction: ``"mean"`` over the samples not ignored (NaN when there are none), ``"sum"`` or ``"none"``.
        ignore_index: label of samples that neither count nor receive a gradient, whatever their features.
        sample_weights: ``(...)``, at least 0, by which the loss of each sample is multiplied; 0 leaves it out.
        class_weights: ``(K,)``, at least 0: likewise, by the label.
        denominator: what ``"mean"`` divides by; None for the number of samples that count, or the sum of their weights.

    Returns:
        A scalar, or losses ``(...)`` with 0 at ignored samples for ``"none"``; of the type of features and weight, at least
        float32.

    Raises:
        InputError: shapes that do not fit, labels out of range, a kappa that is not positive, an unknown option.

    Example:
        >>> import torch
        >>> x, W, y = torch.randn(5, 3), torch.randn(9, 3), torch.tensor([0, 3, 8, 3, 1])
        >>> bool(torch.isclose(mse_linear(x, y, W, form="gram"), mse(x @ W.T, y)))
        True
    """
    fit = weight.dim() == 2 and features.dim() >= 1 and features.shape[-1] == weight.shape[1]
    if not fit or not features.is_floating_point() or not weight.is_floating_point():
        raise InputError(
            f"expected floating features (..., d), labels, then weight (K, d) with one d, "
            f"got {features.dtype} of {tuple(features.shape)} and {weight.dtype} of {tuple(weight.shape)}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise InputError(f"expected a bias of shape ({len(weight)},), one a class, got {tuple(bias.shape)}")
    if form not in FORMS:
        raise InputError(f"expected form {', '.join(map(repr, FORMS))}, got {form!r}")
    _check(kappa, over_classes)
    K, d = weight.shape
    weights = sample_weights, class_weights
    rows = Rows(labels, features.shape[:-1], K, ignore_index, *weights, device=features.device)
    result = torch.promote_types(torch.promote_types(features.dtype, weight.dtype), torch.float32)
    x, y = rows.take(features).double(), rows.labels
    b = weight.new_zeros(K) if bias is None else bias.to(weight.dtype)
    if form == "gram" or (form == "auto" and d * (K + len(x)) < K * len(x)):
        own, others = _OwnAndOthers.apply(torch.cat([x, x.new_ones(len(x), 1)], dim=1), weight, b, y)
    else:
        z = x @ weight.double().mT + b
        own = z.gather(1, y[:, None]).squeeze(1)
        others = z.scatter(1, y[:, None], 0).square().sum(dim=1)
    losses = (1 / K if over_classes == "mean" else 0.5) * (kappa * (own - target).square() + others)
    return rows.reduce(losses, reduction, denominator).to(result)


class _OwnAndOthers(torch.autograd.Function):
    r""":math:`z_y` and :math:`\sum_{j \ne y} z_j^2`, each (n,) in float64, by the Gram matrix of rows :math:`(w_j, b_j)`.

    Not by autograd: it would round the two parts of a gradient of the weight to float32, each of the size of the
    features, before they cancel. The backward is made of differentiable steps: second derivatives are right.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, weight, bias, y)
        own = (x * _rows(weight, bias, y)).sum(dim=1)
        return own, ((x @ _gram(weight, bias)) * x).sum(dim=1) - own.square()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, y = ctx.saved_tensors
        present, place = y.unique(return_inverse=True)
        own_rows = _rows(weight, bias, y)
        of_others = 2 * gradients[1][:, None] * x
        of_own = (gradients[0] - 2 * gradients[1] * (x * own_rows).sum(dim=1))[:, None]
        scatter = of_others.mT @ x
        of_rows = torch.cat([(rows @ scatter).to(weight.dtype) for rows in _blocks(weight, bias)])
        own_part = torch.zeros_like(x[: len(present)]).index_add(0, place, of_own * x)
        exact = _rows(weight, bias, present) @ scatter + own_part
        of_rows = of_rows.index_copy(0, present, exact.to(weight.dtype))
        of_x = 2 * gradients[1][:, None] * (x @ _gram(weight, bias)) + of_own * own_rows
        return of_x, of_rows[:, :-1], of_rows[:, -1], None


def _rows(weight: Float[Tensor, "K d"], bias: Float[Tensor, " K"], y: Int[Tensor, " n"]) -> Float[Tensor, "n e"]:
    """Rows (w_y, b_y) in float64, e = d + 1."""
    return torch.cat([weight.index_select(0, y), bias.index_select(0, y)[:, None]], dim=1).double()


def _blocks(weight: Float[Tensor, "K d"], bias: Float[Tensor, " K"]) -> Iterator[Float[Tensor, "k e"]]:
    """All rows (w_j, b_j), some at a time, in float64."""
    block = max(1, _TILE // weight.shape[1])
    for rows, b in zip(weight.split(block), bias.split(block), strict=True):
        yield torch.cat([rows, b[:, None]], dim=1).double()


def _gram(weight: Float[Tensor, "K d"], bias: Float[Tensor, " K"]) -> Float[Tensor, "e e"]:
    total = torch.zeros((), dtype=torch.float64, device=weight.device)
    for rows in _blocks(weight, bias):
        total = total + rows.mT @ rows
    return total


def _check(kappa: float | int, over_classes: str) -> None:
    if not 0 < kappa < torch.inf:
        raise InputError(f"expected a finite kappa above 0, the weight of the true class, got {kappa}")
    if over_classes not in OVER_CLASSES:
        raise InputError(f"expected over_classes {' or '.join(map(repr, OVER_CLASSES))}, got {over_classes!r}")


class MSE(LogitLoss):
    r"""Squared error of a head's logits: ``loss(features, labels, head)``. See :func:`mse`.

    Of a linear head, ``heads.Linear`` or ``torch.nn.Linear``, it reads weight and bias and takes :func:`mse_linear`; of any
    other, which normalises features, it takes the logits.

    Args:
        kappa: :math:`\kappa`, the weight of the true class.
        target: M, the logit wanted of the true class.
        over_classes: ``"mean"`` or ``"half"``.
        form: ``"auto"``, ``"gram"`` or ``"logits"``, for a linear head.
        ignore_index: label of samples that do not count.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        class_weights: ``(K,)``, or None; weights of samples and a denominator are given at each call.

    Raises:
        InputError: when a kappa is not positive or an option unknown; when called without a head.

    Example:
        >>> import torch, neucollapse.heads as heads
        >>> head = heads.Linear(2, 2, bias=False)
        >>> _ = head.weight.data.copy_(torch.eye(2))
        >>> MSE()(torch.eye(2), torch.tensor([0, 1]), head).item()
        0.0
    """

    title = "the squared error"

    def __init__(
        self,
        *,
        kappa: float | int = 1.0,
        target: float | int = 1.0,
        over_classes: str = "mean",
        form: str = "auto",
        ignore_index: int = -100,
        reduction: str = "mean",
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(reduction=reduction, ignore_index=ignore_index, class_weights=class_weights)
        _check(kappa, over_classes)
        if form not in FORMS:
            raise InputError(f"expected form {', '.join(map(repr, FORMS))}, got {form!r}")
        self.kappa, self.target, self.over_classes, self.form = kappa, target, over_classes, form

    def forward(
        self,
        features: Tensor,
        labels: Labels,
        head: "Head | nn.Linear | None" = None,
        *,
        sample_weights: Tensor | None = None,
        denominator: float | int | Tensor | None = None,
    ) -> Tensor:
        """The loss of ``features`` ``(..., d)`` with ``labels`` ``(...)``."""
        options = self.row_options(sample_weights, denominator)
        if isinstance(head, nn.Linear) or (head is not None and not head.normalize):
            weight, bias = (head.weight, head.bias) if isinstance(head, nn.Linear) else head.linear_map()
            squares = {"target": self.target, "over_classes": self.over_classes, "form": self.form}
            return mse_linear(features, labels, weight, bias=bias, kappa=self.kappa, **squares, **options)
        if head is not None and self.form == "gram":
            raise InputError(
                f"form 'gram' expected a linear head, got {type(head).__name__}, which normalises features"
            )
        return super().forward(features, labels, head, sample_weights=sample_weights, denominator=denominator)

    def of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        """The squared error of logits ``(..., K)``."""
        return mse(logits, labels, kappa=self.kappa, target=self.target, over_classes=self.over_classes, **options)
