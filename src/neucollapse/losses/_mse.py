"""Mean squared error of logits to rescaled one-hot targets; for many classes without any logits."""

from collections.abc import Iterator
from typing import Any, Unpack, cast

import torch
from torch import Tensor, nn

from .._errors import InputError
from .._names import names_options
from .._types import Float, Int
from ._log_odds import rows_of_logits
from ._module import HeadLike, LogitLoss, ModuleOptions
from ._rows import Labels, RowOptions, result_type, rows_of

_TILE = 2**18  # numbers of a block of weight rows in float64: 2 MB


@names_options
def mse(
    logits: Tensor,
    labels: Labels,
    *,
    kappa: float | int = 1.0,
    target: float | int = 1.0,
    over_classes: str = "mean",
    **options: Unpack[RowOptions],
) -> Tensor:
    r"""Squared error of logits to the target M of the true class and 0 of all others.

    $$ \ell_i = c \Big[ \kappa \, (z_{i y_i} - M)^2 + \sum_{j \ne y_i} z_{ij}^2 \Big],
       \qquad c = \tfrac1K \text{ or } \tfrac12 $$

    With $\kappa = M = 1$ and the mean over classes it is `torch.nn.functional.mse_loss` to one-hot targets. Hui and
    Belkin raise both for many classes, where the true class would be one term among K; Han et al. have half the sum.

    Range: from 0, reached when the logits are M times one-hot, up; $c \kappa M^2$ at zero logits. Classes masked with
    a logit of -inf are no classes: they are left out of the sum, and of K.

    The residuals of given logits are exact. Logits themselves, as a float32 product, have an absolute error of about 1e-7:
    near collapse `mse_linear`, from features and weight, has the digits that they have lost.

    Args:
        logits: `(..., K)`, floating. Half precision is computed, and returned, in float32.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        kappa: $\kappa > 0$, the weight of the true class; an `InputError` for another.
        target: M, the logit wanted of the true class.
        over_classes: `"mean"`, c = 1/K, or `"half"`, c = 1/2.
        **options: of every loss of samples, see `RowOptions`.

    References:
        Hui and Belkin, "Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy in Classification
        Tasks", arXiv 2006.07322; Han, Papyan and Donoho, arXiv 2106.02073.

    Examples:
        >>> import torch
        >>> mse(torch.tensor([[0.5, 0.0, 1.0]]), torch.tensor([2]), target=2.0)  # (1 + 0.25) / 3
        tensor(0.4167)
    """
    rows = rows_of_logits(logits, labels, options)
    _check(kappa, over_classes)
    z, y = rows.take(logits), rows.labels
    own = z.gather(1, y[:, None]).squeeze(1)
    there = z > -torch.inf
    others = z.scatter(1, y[:, None], 0).where(there, 0).square().sum(dim=1)
    factor = 1 / there.sum(dim=1).clamp(min=1).to(z.dtype) if over_classes == "mean" else 0.5
    return rows.reduce(factor * (kappa * (own - target).square() + others))


@names_options
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
    **options: Unpack[RowOptions],
) -> Tensor:
    r"""The squared error `mse` of the logits $z_j = \langle w_j, x \rangle + b_j$, accumulated in float64.

    The sum over classes needs no logits:

    $$ \sum_{j \ne y} z_j^2 = \tilde x^\top G \tilde x - z_y^2, \qquad G = \sum_j \tilde w_j \tilde w_j^\top,
       \quad \tilde x = (x, 1), \quad \tilde w_j = (w_j, b_j) $$

    This Gram form costs $d^2 (K + B)$ products instead of $d K B$, and holds a (d + 1, d + 1) matrix and a block
    of weight rows, never (B, K) logits. `"auto"` takes it where it costs less, which it does for K > d and a batch B > d
    as large.

    Its difference of two numbers of size $z_y^2$ is rounded at 1e-16 of them. With logits of size 1 and residuals r the
    gradient is therefore right to about 5e-17 / r, 1e-4 at r = 1e-12, but the value, of size $r^2$, only to about
    5e-18 absolute: to 1e-4 of itself down to a loss of 1e-13, and of any sign below 1e-17. `"logits"` has no such
    difference. Either is more exact near collapse than float32 logits, whose rounding of 1e-7 is the whole gradient where
    residuals are as small.

    Args:
        features: `(..., d)`, floating.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        weight: `(K, d)`, one row a class.
        bias: `(K,)`, or None.
        kappa: $\kappa > 0$, the weight of the true class.
        target: M, the logit wanted of the true class.
        over_classes: `"mean"` or `"half"`, see `mse`.
        form: `"gram"`, `"logits"`, or `"auto"`.
        **options: of every loss of samples, see `RowOptions`.

    Returns:
        A scalar, or losses `(...)` with 0 at ignored samples for `"none"`; of the type of features and weight, at least
        float32.

    Raises:
        InputError: shapes that do not fit, labels out of range, a kappa that is not positive, an unknown option.

    Examples:
        >>> import torch
        >>> x, W, y = torch.randn(5, 3), torch.randn(9, 3), torch.tensor([0, 3, 8, 3, 1])
        >>> bool(torch.isclose(mse_linear(x, y, W, form="gram"), mse(x @ W.T, y)))
        True
    """
    rows = rows_of(features, labels, weight, options)
    if bias is not None and bias.shape != weight.shape[:1]:
        raise InputError(f"expected a bias of shape ({len(weight)},), one a class, got {tuple(bias.shape)}")
    _check(kappa, over_classes, form)
    K, d = weight.shape
    x, y = rows.take(features).double(), rows.labels
    b = weight.new_zeros(K) if bias is None else bias.to(weight.dtype)
    if form == "gram" or (form == "auto" and d * (K + len(x)) < K * len(x)):
        own, others = _OwnAndOthers.apply(torch.cat([x, x.new_ones(len(x), 1)], dim=1), weight, b, y)
    else:
        z = x @ weight.double().mT + b
        own = z.gather(1, y[:, None]).squeeze(1)
        others = z.scatter(1, y[:, None], 0).square().sum(dim=1)
    losses = (1 / K if over_classes == "mean" else 0.5) * (kappa * (own - target).square() + others)
    return rows.reduce(losses).to(result_type(features, weight))


class _OwnAndOthers(torch.autograd.Function):
    r"""$z_y$ and $\sum_{j \ne y} z_j^2$, each (n,) in float64, by the Gram matrix of rows $(w_j, b_j)$.

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


@names_options
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


def _check(kappa: float | int, over_classes: str, form: str = "auto") -> None:
    if not 0 < kappa < torch.inf:
        raise InputError(f"expected a finite kappa above 0, the weight of the true class, got {kappa}")
    if over_classes not in ("mean", "half"):
        raise InputError(f"expected over_classes 'mean' or 'half', got {over_classes!r}")
    if form not in ("auto", "gram", "logits"):
        raise InputError(f"expected form 'auto', 'gram' or 'logits', got {form!r}")


class MSE(LogitLoss):
    r"""Squared error of a head's logits: `loss(features, labels, head)`. See `mse`.

    Of a linear head, `heads.Linear` or `torch.nn.Linear`, it reads weight and bias and takes `mse_linear`; of any other,
    which normalises features, it takes the logits.

    Args:
        kappa: $\kappa$, the weight of the true class.
        target: M, the logit wanted of the true class.
        over_classes: `"mean"` or `"half"`.
        form: `"auto"`, `"gram"` or `"logits"`, for a linear head.
        **options: of every loss, see `ModuleOptions`.

    Examples:
        >>> import torch, neucollapse.heads as heads
        >>> head = heads.Linear(2, 2, bias=False)
        >>> _ = head.weight.data.copy_(torch.eye(2))
        >>> MSE()(torch.eye(2), torch.tensor([0, 1]), head).item()
        0.0
    """

    title = "the squared error"
    formula, couples = "c [κ (z_y − M)² + Σ_{j≠y} z_j²], c = 1/K (or 1/2)", "each logit with its target alone"
    source = "arXiv 2006.07322, 2106.02073"

    def __init__(
        self,
        *,
        kappa: float | int = 1.0,
        target: float | int = 1.0,
        over_classes: str = "mean",
        form: str = "auto",
        **options: Unpack[ModuleOptions],
    ) -> None:
        super().__init__(**options)
        _check(kappa, over_classes, form)
        self.kappa, self.target, self.over_classes, self.form = kappa, target, over_classes, form

    def _value(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> Tensor:
        linear = isinstance(head, nn.Linear)
        if linear or not getattr(head, "normalize", True):
            weight, bias = (head.weight, head.bias) if linear else cast(Any, head).linear_map()
            squares: dict[str, Any] = {"target": self.target, "over_classes": self.over_classes, "form": self.form}
            return mse_linear(features, labels, weight, bias=bias, kappa=self.kappa, **squares, **options)
        if head is not None and self.form == "gram":
            raise InputError(
                f"form 'gram' expected a linear head, got {type(head).__name__}, which normalises features"
            )
        return super()._value(features, labels, head, options)

    def _of_logits(self, logits: Tensor, labels: Labels, options: RowOptions) -> Tensor:
        return mse(logits, labels, kappa=self.kappa, target=self.target, over_classes=self.over_classes, **options)
