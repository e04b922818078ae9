"""Cross-entropy of cosine logits: features and class directions on the unit sphere, sharpened by a scale."""

import torch
from torch import Tensor

from .._errors import InputError
from ._focal import check_gamma, focal_factor
from ._label_smoothing import check_smoothing
from ._log_objective import log_softplus
from ._log_odds import softplus
from ._margins import Margin, sine
from ._rows import Labels, Rows, at_least_float32, check_reduction
from ._scale import FEATURE_NORM, check_scale
from ._statistics import ImplicitWeight, negatives
from ._unit_rows import unit_rows as unit_rows

REDUCTIONS = ("mean", "sum", "none", "log_mean")


def _check(features: Tensor, weight: Tensor | ImplicitWeight, scale: float | Tensor | str) -> int:
    """The number of classes."""
    shape = tuple(weight.shape) if isinstance(weight, Tensor) else (weight.num_classes, weight.dim)
    if len(shape) != 2 or features.dim() < 1 or features.shape[-1] != shape[1]:
        raise InputError(
            f"expected features (..., d), labels, then weight (K, d) with one d, got features {tuple(features.shape)} "
            f"and weight {shape}"
        )
    if not features.is_floating_point():
        raise InputError(f"expected floating features, got {features.dtype}")
    if not isinstance(scale, str):
        kind = torch.promote_types(features.dtype, weight.dtype) if isinstance(weight, Tensor) else features.dtype
        check_scale(scale, kind)
    elif scale != FEATURE_NORM:
        raise InputError(f"expected a scale above 0 or {FEATURE_NORM!r}, the length of each feature, got {scale!r}")
    return shape[0]


def cosine_logits(features: Tensor, weight: Tensor, scale: float | Tensor) -> Tensor:
    r"""Logits :math:`z_{ij} = s \langle x_i / |x_i|,\; w_j / |w_j| \rangle`.

    Args:
        features: ``(..., d)``, of any length; a zero row gives zero logits and no gradient.
        weight: ``(K, d)``, of any length.
        scale: :math:`s > 0`, the inverse temperature; a number or a scalar tensor, which may be trained.

    Returns:
        ``(..., K)``, each in ``[-s, s]`` up to rounding.

    Raises:
        InputError: shapes that do not fit, or a scale that is not positive, or beyond what the type can compute.

    Example:
        >>> import torch
        >>> cosine_logits(torch.tensor([[3.0, 4.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0]]), scale=10.0)
        tensor([[6., 8.]])
    """
    _check(features, weight, scale)
    return scale * (unit_rows(features) @ unit_rows(weight).mT)


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
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    implementation: str = "auto",
) -> Tensor:
    r"""The cross-entropy of the sphere with everything that is put on it: margins, focus, smoothing, class weights.

    .. math:: \ell_i = v_i \left[ \sigma(m_i)^\gamma \log(1 + e^{m_i})
                + \epsilon \, (z_{i y_i} - \bar z_i) \right], \qquad
              m_i = \log \sum_{j \ne y_i} e^{z_{ij}} - z_{i y_i}

    with :math:`z_{ij} = s \cos(x_i, w_j)` for the wrong classes and :math:`z_{iy} = s\,\psi(\cos(x_i, w_y))` for the right
    one, :math:`\psi` the margin (none: the cosine itself) and :math:`\bar z_i` the mean of a sample's K logits.
    Rows are normalised inside. The losses of the literature are choices of these: ``norm_face``, ``cos_face``, ``arc_face``,
    ``sphere_face``, ``combined_face``, ``ada_face``. With ``scale="feature_norm"`` the length of each feature is its own
    scale, :math:`z_{ij} = |x_i| \cos(x_i, w_j)`, as the first SphereFace trains.

    Exact in the terminal phase: every gradient is formed from :math:`\sigma(m)`, and never from :math:`p_y - 1`. With
    ``"tiled"`` there is no (B, K) buffer: memory beyond the gradients is a tile of 4 MB and O(B d).

    Range: from 0 up without smoothing (0, without a gradient, where K = 1); at exact collapse on the simplex with
    :math:`\gamma = \epsilon = 0` and v = 1 it is :math:`\log(1 + (K-1) e^{-s (\psi(1) + 1/(K-1))})`.

    Args:
        features: ``(..., d)``, of any length. Half precision is computed, and returned, in float32.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        weight: ``(K, d)``, one row a class, of any length; or a fixed head of known structure (``FixedKerdock``), whose
            weight is then never written out.
        scale: :math:`s > 0`; a number or a scalar tensor, which may be trained; or ``"feature_norm"``. In float32 up to
            1.8e+19, the root of its largest number.
        margin: one of the margins of `neucollapse.losses`, or None.
        margin_grad: ``"exact"``, or ``"detached"``: the margin's own slope is left out of the gradient.
        smoothing: :math:`\epsilon` in ``[0, 1)``, with the margin in the target's share, too.
        focal: :math:`\gamma \ge 0`.
        sample_weights: :math:`u` ``(...)``, at least 0; with class weights c, :math:`v_i = u_i c_{y_i}`. 0 leaves a sample out.
        class_weights: :math:`c` ``(K,)``, at least 0; they multiply a sample's whole loss, the smoothed part included
            (torch weights that part by class), and ``"mean"`` divides by the sum of the :math:`v_i`, as torch does.
        denominator: what ``"mean"`` and ``"log_mean"`` divide by instead, such as the samples of several batches together.
        reduction: ``"mean"``, ``"sum"``, ``"none"``, or ``"log_mean"``, the logarithm of the mean, whose gradient
            does not vanish with the loss (see ``log_cross_entropy``).
        ignore_index: label of samples that neither count nor receive a gradient, whatever their features.
        implementation: ``"auto"``, ``"reference"`` (any number of derivatives) or ``"tiled"`` (one derivative);
            see ``spherical_statistics``. A batch of up to 2^18 logits is ``"reference"`` by default.

    Returns:
        A scalar, or losses of shape ``(...)`` for ``"none"``.

    Raises:
        InputError: for shapes, labels, weights or options outside what is said here; for focal and smoothing at once, and
            smoothing with ``"feature_norm"``, which no paper combines; for the logarithm of a smoothed loss, which is never
            small.

    Example:
        >>> import torch
        >>> from neucollapse.losses import ArcMargin
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> loss = spherical_ce(x, torch.tensor([0, 1]), x, scale=64.0, margin=ArcMargin(0.5))  # log(1 + e^(-64 cos 0.5))
        >>> print(f"{loss.item():.1e}")
        4.1e-25
    """
    K = _check(features, weight, scale)
    check_smoothing(smoothing)
    check_gamma(focal)
    check_reduction(reduction, REDUCTIONS)
    if smoothing and (focal or reduction == "log_mean" or isinstance(scale, str)):
        raise InputError(f"expected smoothing without focal, reduction 'log_mean' and scale {FEATURE_NORM!r}, got both")
    rows = Rows(labels, features.shape[:-1], K, ignore_index, sample_weights, class_weights, device=features.device)
    y, x_raw, W = rows.labels, rows.take(features), weight
    if isinstance(W, Tensor):
        kind = torch.promote_types(x_raw.dtype, at_least_float32(W).dtype)
        x_raw, W = x_raw.to(kind), W.to(kind)
    x = unit_rows(x_raw)
    inner, s, each = _scaled(x_raw, x, scale)
    target_rows, lse, direction_sum = negatives(inner, W, y, s, implementation)
    w_y = unit_rows(target_rows)
    cos_y = psi = (x * w_y).sum(dim=1)
    if margin is not None:
        norms = torch.linalg.vector_norm(x_raw.detach(), dim=1).where(rows.used, torch.nan)
        psi = margin.target(cos_y, norms, margin_grad, sine(x, w_y))

    m = lse - each * psi
    if reduction == "log_mean":
        log_losses = log_softplus(m)
        if focal:
            log_losses = log_losses - focal * softplus(-m)
        return rows.log_reduce(log_losses, "mean", denominator)
    losses = softplus(m)
    if focal:
        losses = focal_factor(m, focal) * losses
    if smoothing:
        mean = ((x * direction_sum).sum(dim=1) + (psi - cos_y)) / K
        losses = losses + smoothing * s * (psi - mean)
    return rows.reduce(losses, reduction, denominator)


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


def spherical_cross_entropy(
    features: Tensor,
    labels: Labels,
    weight: Tensor,
    *,
    scale: float | Tensor,
    reduction: str = "mean",
    ignore_index: int = -100,
    sample_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    denominator: float | int | Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy of cosine logits (NormFace), exact in the terminal phase.

    .. math:: \ell_i = -\log \frac{\exp(s \cos(x_i, w_{y_i}))}{\sum_j \exp(s \cos(x_i, w_j))}

    Both the features and the class directions are normalised inside, and gradients flow to both through the
    normalisation. As :math:`s \to \infty` its minimisers tend to softmax codes, the codes of largest one-vs-rest
    margin, for any number of classes (arXiv 2310.05351); at K <= d + 1 that is the simplex.

    Range: up to rounding from :math:`\log(1 + (K-1) e^{-2s})`, which K = 2 reaches, to
    :math:`\log(1 + (K-1) e^{2s})`. At the simplex it is :math:`\log(1 + (K-1) e^{-sK/(K-1)})`.

    Near collapse the feature gradient is the small tangential part of an almost radial vector. In float32 its
    relative error is then about 1e-7 over the relative distance of a feature to its class direction.

    This is :func:`spherical_ce` without a margin.

    Args:
        features: ``(..., d)``.
        labels: ``(...)``, of any integer type, in ``[0, K)`` or ``ignore_index``.
        weight: ``(K, d)``, one row a class.
        scale: :math:`s`, the inverse temperature.
        reduction: as in :func:`cross_entropy`.
        ignore_index: as in :func:`cross_entropy`, and so the weights and the denominator.
        sample_weights: ``(...)``.
        class_weights: ``(K,)``.
        denominator: of ``"mean"``.

    Returns:
        A scalar, or losses of shape ``(...)`` for ``reduction="none"``.

    Raises:
        InputError: as :func:`cosine_logits` and :func:`cross_entropy`.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> loss = spherical_cross_entropy(x, torch.tensor([0, 1]), x, scale=64.0)  # log(1 + e^-64)
        >>> print(f"{loss.item():.4e}")
        1.6038e-28
    """
    return spherical_ce(
        features,
        labels,
        weight,
        scale=scale,
        reduction=reduction,
        ignore_index=ignore_index,
        sample_weights=sample_weights,
        class_weights=class_weights,
        denominator=denominator,
    )
