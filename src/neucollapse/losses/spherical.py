"""Cross-entropy of cosine logits: features and class directions on the unit sphere, sharpened by a scale."""

import math

import torch
from torch import Tensor

from .._errors import InputError
from ._labels import check_labels, reduce
from ._statistics import ImplicitWeight, negatives
from ._unit_rows import unit_rows as unit_rows
from .cross_entropy import softplus
from .focal import check_gamma, focal_factor
from .label_smoothing import check_smoothing
from .log_objective import log_mean, log_softplus
from .margins import Margin, sine


def _check(features: Tensor, weight: Tensor | ImplicitWeight, scale: float | Tensor) -> None:
    shape = tuple(weight.shape) if isinstance(weight, Tensor) else (weight.num_classes, weight.dim)
    if len(shape) != 2 or features.dim() < 1 or features.shape[-1] != shape[1]:
        raise InputError(
            f"expected features (..., d) and weight (K, d) with one d, got {tuple(features.shape)} and {shape}"
        )
    if not isinstance(scale, Tensor) and not 0 < scale < math.inf:
        raise InputError(f"expected a scale above 0 (the inverse of the temperature), got {scale}")


def cosine_logits(features: Tensor, weight: Tensor, scale: float | Tensor) -> Tensor:
    r"""Logits :math:`z_{ij} = s \langle x_i / |x_i|,\; w_j / |w_j| \rangle`.

    Args:
        features: ``(..., d)``, of any length; a zero row gives zero logits and no gradient.
        weight: ``(K, d)``, of any length.
        scale: :math:`s > 0`, the inverse temperature; a number or a scalar tensor, which may be trained.

    Returns:
        ``(..., K)``, each in ``[-s, s]`` up to rounding.

    Raises:
        InputError: shapes that do not fit, or a scale that is a number and not positive and finite.

    Example:
        >>> import torch
        >>> cosine_logits(torch.tensor([[3.0, 4.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0]]), scale=10.0)
        tensor([[6., 8.]])
    """
    _check(features, weight, scale)
    return scale * (unit_rows(features) @ unit_rows(weight).mT)


def spherical_ce(
    features: Tensor,
    weight: Tensor | ImplicitWeight,
    labels: Tensor,
    scale: float | Tensor,
    margin: Margin | None = None,
    margin_grad: str = "exact",
    smoothing: float = 0.0,
    focal: float = 0.0,
    class_weights: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    implementation: str = "auto",
) -> Tensor:
    r"""The cross-entropy of the sphere with everything that is put on it: margins, focus, smoothing, class weights.

    .. math:: \ell_i = v_{y_i} \left[ \sigma(m_i)^\gamma \log(1 + e^{m_i})
                + \epsilon \, (z_{i y_i} - \bar z_i) \right], \qquad
              m_i = \log \sum_{j \ne y_i} e^{z_{ij}} - z_{i y_i}

    with :math:`z_{ij} = s \cos(x_i, w_j)` for the wrong classes and :math:`z_{iy} = s\,\psi(\cos(x_i, w_y))` for the right
    one, :math:`\psi` the margin (none: the cosine itself) and :math:`\bar z_i` the mean of a sample's K logits.
    Rows are normalised inside. The losses of the literature are choices of these: ``norm_face``, ``cos_face``, ``arc_face``,
    ``sphere_face``.

    Exact in the terminal phase: every gradient is formed from :math:`\sigma(m)`, and never from :math:`p_y - 1`. With
    ``"tiled"`` there is no (B, K) buffer: memory beyond the gradients is a tile of 4 MB and O(B d).

    Range: from 0 up without smoothing; at exact collapse on the simplex with :math:`\gamma = \epsilon = 0` and v = 1 it is
    :math:`\log(1 + (K-1) e^{-s (\psi(1) + 1/(K-1))})`.

    Args:
        features: ``(..., d)``, of any length. Half precision is computed, and returned, in float32.
        weight: ``(K, d)``, one row a class, of any length; or a fixed head of known structure (``FixedKerdock``), whose
            weight is then never written out.
        labels: ``(...)``, integers in ``[0, K)`` or ``ignore_index``.
        scale: :math:`s > 0`; a number or a scalar tensor, which may be trained.
        margin: one of :mod:`neucollapse.losses.margins`, or None.
        margin_grad: ``"exact"``, or ``"detached"``: the margin's own slope is left out of the gradient.
        smoothing: :math:`\epsilon` in ``[0, 1)``, with the margin in the target's share, too.
        focal: :math:`\gamma \ge 0`.
        class_weights: :math:`v` ``(K,)``, at least 0; they multiply a sample's whole loss, the smoothed part included
            (torch weights that part by class), and ``"mean"`` divides by their sum, as torch does.
        reduction: ``"mean"``, ``"sum"``, ``"none"``, or ``"log_mean"``, the logarithm of the mean, whose gradient
            does not vanish with the loss (see ``log_cross_entropy``).
        ignore_index: label of samples that neither count nor receive a gradient, whatever their features.
        implementation: ``"auto"``, ``"reference"`` (any number of derivatives) or ``"tiled"`` (one derivative);
            see ``spherical_statistics``. A batch of up to 2^18 logits is ``"reference"`` by default.

    Returns:
        A scalar, or losses of shape ``(...)`` for ``"none"``.

    Raises:
        InputError: for shapes, labels, or options outside what is said here; for focal and smoothing at once, which no
            paper combines; for the logarithm of a smoothed loss, which is never small.

    Example:
        >>> import torch
        >>> from neucollapse.losses.margins import ArcMargin
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> loss = spherical_ce(x, x, torch.tensor([0, 1]), 64.0, ArcMargin(0.5))  # log(1 + e^(-64 cos 0.5))
        >>> print(f"{loss.item():.1e}")
        4.1e-25
    """
    _check(features, weight, scale)
    check_smoothing(smoothing)
    check_gamma(focal)
    if smoothing and (focal or reduction == "log_mean"):
        raise InputError("expected smoothing without focal and without reduction 'log_mean', got both")
    K = len(weight) if isinstance(weight, Tensor) else weight.num_classes
    counted = check_labels(labels, features.shape[:-1], K, ignore_index)
    flat, y = counted.reshape(-1), labels.where(counted, 0).reshape(-1).long()
    sample_weights = _sample_weights(class_weights, K, y, flat)

    # Masked rows, not a mask on the losses alone: 0 times the gradient of a NaN row would be NaN.
    x_raw = _single(features).reshape(-1, features.shape[-1]).where(flat[:, None], 0)
    W = weight
    if isinstance(W, Tensor):
        W = _single(W)
        x_raw, W = x_raw.to(torch.promote_types(x_raw.dtype, W.dtype)), W.to(torch.promote_types(x_raw.dtype, W.dtype))
    x, s = unit_rows(x_raw), torch.as_tensor(scale, dtype=x_raw.dtype, device=x_raw.device)
    rows, lse, direction_sum = negatives(x, W, y, s, implementation)
    w_y = unit_rows(rows)
    cos_y = psi = (x * w_y).sum(dim=1)
    if margin is not None:
        norms = torch.linalg.vector_norm(x_raw.detach(), dim=1).where(flat, torch.nan)
        psi = margin.target(cos_y, norms, margin_grad, sine(x, w_y))

    m = lse - s * psi
    if reduction == "log_mean":
        log_losses = log_softplus(m) - focal * softplus(-m) if focal else log_softplus(m)
        if sample_weights is None:
            return log_mean(log_losses, flat)
        used = flat & (sample_weights > 0)
        logs = sample_weights.where(used, 1).log()
        return log_mean(log_losses + logs, used) - log_mean(logs, used)
    losses = softplus(m)
    if focal:
        losses = focal_factor(m, focal) * losses
    if smoothing:
        mean = ((x * direction_sum).sum(dim=1) + (psi - cos_y)) / K
        losses = losses + smoothing * s * (psi - mean)
    if sample_weights is None:
        return reduce(losses.where(flat, 0).reshape(labels.shape), counted, reduction)
    return reduce((losses * sample_weights).where(flat, 0).reshape(labels.shape), sample_weights, reduction)


def _single(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _sample_weights(class_weights: Tensor | None, K: int, y: Tensor, counted: Tensor) -> Tensor | None:
    if class_weights is None:
        return None
    if class_weights.shape != (K,):
        raise InputError(f"expected class_weights of shape ({K},), one a class, got {tuple(class_weights.shape)}")
    return _single(class_weights)[y].where(counted, 0)


def spherical_cross_entropy(
    features: Tensor,
    weight: Tensor,
    labels: Tensor,
    scale: float | Tensor,
    reduction: str = "mean",
    ignore_index: int = -100,
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
        weight: ``(K, d)``, one row a class.
        labels: ``(...)``, integers in ``[0, K)`` or ``ignore_index``.
        scale: :math:`s`, the inverse temperature.
        reduction: as in :func:`cross_entropy`.
        ignore_index: as in :func:`cross_entropy`.

    Returns:
        A scalar, or losses of shape ``(...)`` for ``reduction="none"``.

    Raises:
        InputError: as :func:`cosine_logits` and :func:`cross_entropy`.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> loss = spherical_cross_entropy(x, x, torch.tensor([0, 1]), scale=64.0)  # log(1 + e^-64)
        >>> print(f"{loss.item():.4e}")
        1.6038e-28
    """
    return spherical_ce(features, weight, labels, scale, reduction=reduction, ignore_index=ignore_index)
