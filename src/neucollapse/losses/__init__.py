r"""Losses that train towards collapse and keep their gradient after it is reached.

Once every training sample is right, the cross-entropy of a sample falls to $10^{-7}$ and far below, and the
usual form $p_y - 1$ of its gradient becomes exactly zero in float32: training stops where neural collapse
begins. Here the loss of a sample with logits $z$ and label $y$ is

$$ \ell = \log(1 + e^{m}), \qquad m = \log \sum_{j \ne y} e^{z_j} - z_y, $$

whose derivative, the sigmoid of $m$, is formed without any subtraction.

On the sphere, with $z_j = s \cos\theta_j$, every published margin changes the target alone, so that all these losses
are functions of two numbers a sample, the target cosine and the logarithm of the sum over the wrong classes:

- `spherical_ce` takes any margin, smoothing, focal exponent and class weights;
  `norm_face`, `cos_face`, `arc_face`, `sphere_face`, `combined_face` and `ada_face` are
  the published choices. For many classes it works in tiles, and never holds the (B, K) logits.
- `log_cross_entropy`, or `reduction="log_mean"`, is the logarithm of the loss: its gradient is of order one when
  the loss is 1e-26, where an exact gradient of 1e-26 no longer moves a float32 weight.

On plain logits there are `cross_entropy`, `focal_loss`, `label_smoothing` and `mse`, which for many
classes needs no logits (`mse_linear`).

Cosines without a cross-entropy of classes: `ntce` and `nonl` contrast each class direction with the samples of
the batch, `hard_max` is the limit of small temperatures, the largest gap by which a wrong class leads.

Without logits: `HUG` pulls features to proxies that `uniformity` spreads over the sphere, `sup_con`
contrasts samples with one another, `dot_regression` and `centre_loss` draw them to fixed codes and to centres.

Each loss is a pure function, and a module called as `loss(features, labels, head)`. Each loss of samples takes
`reduction`, `class_weights` and `ignore_index`, and at each call `sample_weights` and a `denominator`. Labels may
be of any integer type, arrays and lists too; an ignored sample touches no value and no gradient, even where it is NaN.

Examples:
    >>> import torch
    >>> from neucollapse.losses import cross_entropy
    >>> logits = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    >>> loss = cross_entropy(logits, torch.tensor([0]))  # torch.nn.functional.cross_entropy gives 0.0
    >>> print(f"{loss.item():.4e}")
    1.7513e-26
"""

from typing import TYPE_CHECKING

import lazy_loader

from ._registry import EXPORTS, LOSSES

if TYPE_CHECKING:
    from ._registry import *  # noqa: F403

_NAMES = {module: names.split() for section in EXPORTS.values() for module, names in section.items()}
_OPTIONS = [kind.__name__ for kind in LOSSES.values()]

__getattr__, __dir__, _ = lazy_loader.attach(__name__, submod_attrs={**_NAMES, "_registry": _OPTIONS})
__all__ = sorted(name for names in _NAMES.values() for name in names)  # pyright: ignore[reportUnsupportedDunderAll]
