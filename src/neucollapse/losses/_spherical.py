"""Cross-entropy of cosine logits: features and class directions on the unit sphere, sharpened by a scale."""

from typing import Unpack

import torch
from torch import Tensor, nn

from .._errors import InputError
from .._names import names_options
from ._focal import check_gamma, focal_factor
from ._label_smoothing import check_smoothing
from ._log_odds import log_softplus, softplus
from ._margins import Margin, sine
from ._module import DirectionLoss, HeadLike, ModuleOptions
from ._normalised import normalised
from ._rows import Labels, RowOptions, check_fit, result_type, rows_of
from ._scale import FEATURE_NORM, check_scale
from ._statistics import ImplicitWeight, negatives
from ._stepped_weight import StepsInBackward

REDUCTIONS = ("mean", "sum", "none", "log_mean")


class SphereRowOptions(RowOptions, total=False):
    """Options of the losses of the sphere with a margin.

    Attributes:
        margin_grad: `"exact"`, or `"detached"`, as some official codes train: the slope of the target cosine alone.
    """

    margin_grad: str


class SphereLossOptions(ModuleOptions, total=False):
    """Options of the modules of the losses of the sphere with a margin.

    Attributes:
        margin_grad: `"exact"` or `"detached"`.
    """

    margin_grad: str


@names_options
def cosine_logits(features: Tensor, weight: Tensor, scale: float | Tensor) -> Tensor:
    r"""Logits $z_{ij} = s \langle x_i / |x_i|,\; w_j / |w_j| \rangle$.

    Args:
        features: `(..., d)`, of any length; a zero row gives zero logits and no gradient.
        weight: `(K, d)`, of any length.
        scale: $s > 0$, the inverse temperature; a number or a scalar tensor, which may be trained. An `InputError` where it
            is beyond what the type can compute, or the shapes do not fit.

    Returns:
        `(..., K)`, each in `[-s, s]` up to rounding.

    Examples:
        >>> import torch
        >>> cosine_logits(torch.tensor([[3.0, 4.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0]]), scale=10.0)
        tensor([[6., 8.]])
    """
    check_fit(features, weight)
    check_scale(scale, torch.promote_types(features.dtype, weight.dtype))
    return scale * (normalised(features) @ normalised(weight).mT)


@names_options
def spherical_ce(
    features: Tensor,
    labels: Labels,
    weight: Tensor | ImplicitWeight,
    *,
    scale: float | Tensor | str,
    margin: Margin | None = None,
    margin_grad: str = "exact",
    smoothing: float = 0.0,
    focal: float = 0.0,
    implementation: str = "auto",
    **options: Unpack[RowOptions],
) -> Tensor:
    r"""The cross-entropy of the sphere with everything that is put on it: margins, focus, smoothing, class weights.

    $$ \ell_i = v_i \left[ \sigma(m_i)^\gamma \log(1 + e^{m_i}) + \epsilon \, (z_{i y_i} - \bar z_i) \right], \qquad
       m_i = \log \sum_{j \ne y_i} e^{z_{ij}} - z_{i y_i} $$

    with $z_{ij} = s \cos(x_i, w_j)$ for the wrong classes and $z_{iy} = s\,\psi(\cos(x_i, w_y))$ for the right one, $\psi$ the
    margin (none: the cosine itself), $\bar z_i$ the mean of a sample's K logits, and $v_i$ its weight. Rows are normalised
    inside. The losses of the literature are choices of these: `norm_face`, `cos_face`, `arc_face`, `sphere_face`,
    `combined_face`, `ada_face`. With `scale="feature_norm"` each feature's length is its scale,
    $z_{ij} = |x_i| \cos(x_i, w_j)$, as the first SphereFace trains.

    Exact in the terminal phase: every gradient is formed from $\sigma(m)$, and never from $p_y - 1$. With `"tiled"` there is
    no (B, K) buffer: memory beyond the gradients is a tile of 4 MB and O(B d). Near collapse the feature gradient is the
    small tangential part of an almost radial vector: in float32 its relative error is then about 1e-7 over the relative
    distance of a feature to its class direction.

    Range: from 0 up without smoothing (0, without a gradient, where K = 1); at exact collapse on the simplex with
    $\gamma = \epsilon = 0$ and v = 1 it is $\log(1 + (K-1) e^{-s (\psi(1) + 1/(K-1))})$.

    Args:
        features: `(..., d)`, of any length. Half precision is computed, and returned, in float32.
        labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
        weight: `(K, d)`, one row a class, of any length; or a fixed head of known structure (`FixedKerdock`), whose weight is
            then never written out.
        scale: $s > 0$; a number or a scalar tensor, which may be trained; or `"feature_norm"`. In float32 up to 1.8e+19, the
            root of its largest number.
        margin: one of the margins, or None.
        margin_grad: `"exact"`, or `"detached"`: the slope of the margin is left out of the gradient.
        smoothing: $\epsilon$ in `[0, 1)`, with the margin in the target's share, too.
        focal: $\gamma \ge 0$.
        implementation: `"auto"`, `"reference"` (any number of derivatives) or `"tiled"` (one derivative); see
            `spherical_statistics`. A batch of up to 2^18 logits is `"reference"` by default.
        **options: of every loss of samples, see `RowOptions`. The reduction may be `"log_mean"`, the logarithm of the mean,
            whose gradient does not vanish with the loss (see `log_cross_entropy`). Class weights multiply the smoothed part
            too (torch weights that part by class).

    Raises:
        InputError: for shapes, labels, weights or options that do not fit; for focal and smoothing at once, and
            smoothing with `"feature_norm"`, which no paper combines; for the logarithm of a smoothed loss, which is never
            small.

    Examples:
        >>> import torch
        >>> from neucollapse.losses import ArcMargin
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> loss = spherical_ce(x, torch.tensor([0, 1]), x, scale=64.0, margin=ArcMargin(0.5))  # log(1 + e^(-64 cos 0.5))
        >>> print(f"{loss.item():.1e}")
        4.1e-25
    """
    # Of a weight that is not written out the shape counts alone.
    like = weight if isinstance(weight, Tensor) else features.new_empty(weight.num_classes, weight.dim, device="meta")
    rows = rows_of(features, labels, like, options, reductions=REDUCTIONS)
    check_scale(scale, torch.promote_types(features.dtype, like.dtype), keeps_norms=True)
    check_smoothing(smoothing)
    check_gamma(focal)
    if smoothing and (focal or rows.reduction == "log_mean" or isinstance(scale, str)):
        raise InputError(f"expected smoothing without focal, reduction 'log_mean' and scale {FEATURE_NORM!r}, got both")
    kind = result_type(features, like)
    y, x_raw, W = rows.labels, rows.take(features).to(kind), weight.to(kind) if isinstance(weight, Tensor) else weight
    x = normalised(x_raw)
    inner, s, each = _scaled(x_raw, x, scale)
    target_rows, lse, direction_sum = negatives(inner, W, y, s, implementation)
    w_y = normalised(target_rows)
    cos_y = psi = (x * w_y).sum(dim=1)
    if margin is not None:
        norms = torch.linalg.vector_norm(x_raw.detach(), dim=1).where(rows.used, torch.nan)
        psi = margin.target(cos_y, norms, margin_grad, sine(x, w_y))

    m = lse - each * psi
    if rows.reduction == "log_mean":
        log_losses = log_softplus(m)
        return rows.log_reduce(log_losses - focal * softplus(-m) if focal else log_losses)
    losses = softplus(m)
    if focal:
        losses = focal_factor(m, focal) * losses
    if smoothing:
        mean = ((x * direction_sum).sum(dim=1) + (psi - cos_y)) / len(like)
        losses = losses + smoothing * s * (psi - mean)
    return rows.reduce(losses)


def _scaled(x_raw: Tensor, x: Tensor, scale: float | Tensor | str) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of length at most 1, their common scale, and the scale of each row."""
    if not isinstance(scale, str):
        s = torch.as_tensor(scale, dtype=x.dtype, device=x.device).reshape(())
        return x, s, s
    # Lengths of features, without their squares. The longest is the common scale, so that rows stay in the unit ball.
    norms = (x_raw * x).sum(dim=1)
    longest = norms.detach().amax() if len(norms) else norms.new_zeros(())
    longest = longest.where(longest > 0, 1)
    return x_raw / longest, longest, norms


class SphericalLoss(StepsInBackward, DirectionLoss):
    """`loss(features, labels, head=None)`: `spherical_ce` with a margin, and class directions of a head or of the loss.

    Base of the published losses of the sphere. Without a head it has class directions, `.weight` `(num_classes, dim)`, a
    parameter to be optimised; with one it uses `head.weight`, and `head.scale` where the head has one.

    Args:
        dim: d, and `num_classes`: K, of a weight that the loss owns, used where no head is given; neither, and a head is
            required.
        num_classes: see `dim`.
        scale: $s$, where the head has none; or `"feature_norm"`, the length of each feature, for any head.
        margin: what is subtracted from the target; None is NormFace, or the margin of the head.
        margin_grad: `"exact"` or `"detached"`.
        **options: of every loss, see `ModuleOptions`; the reduction `"log_mean"` keeps the gradient of order one.

    Attributes:
        weight: the parameter `(K, d)`, or None. Only the directions of its rows count.
    """

    keeps_norms = True
    reductions = REDUCTIONS
    formula, couples, source = "log(1 + e^m), z_y = s ψ(θ_y) for any margin ψ", "as NormFace", "—"

    def __init__(
        self,
        dim: int | None = None,
        num_classes: int | None = None,
        *,
        scale: float | str = 64.0,
        margin: Margin | None = None,
        margin_grad: str = "exact",
        **options: Unpack[ModuleOptions],
    ) -> None:
        super().__init__(dim, num_classes, scale=scale, **options)
        self.margin, self.margin_grad = margin, margin_grad

    def _value(self, features: Tensor, labels: Labels, head: HeadLike | None, options: RowOptions) -> Tensor:
        margin = self.margin_of(head)
        weight = _implicit(self if head is None else head)
        return spherical_ce(
            features,
            labels,
            self.directions(head) if weight is None else weight,
            scale=self.scale if isinstance(self.scale, str) else self.scale_of(head),
            margin=margin,
            margin_grad=self.margin_grad,
            **options,
        )

    def margin_of(self, head: HeadLike | None) -> Margin | None:
        """The margin of the loss, or that of the head."""
        given = getattr(head, "margin", None)
        if self.margin is not None and given is not None:
            raise InputError(f"expected a margin of the loss or of the head, got both: {self.margin} and {given}")
        return given if self.margin is None else self.margin

    def extra_repr(self) -> str:
        """Sizes, scale and margin, for `repr`."""
        return f"{super().extra_repr()}, margin={self.margin}"


def _implicit(source: nn.Module | HeadLike) -> ImplicitWeight | None:
    """What stands for the weight where it is never written out, or moved in backward."""
    return source if isinstance(source, ImplicitWeight) else getattr(source, "stepped_weight", None)
