r"""Losses that train towards collapse and keep their gradient after it is reached.

Once every training sample is right, the cross-entropy of a sample falls to :math:`10^{-7}` and far below, and the
usual form :math:`p_y - 1` of its gradient becomes exactly zero in float32: training stops where neural collapse
begins. Here the loss of a sample with logits :math:`z` and label :math:`y` is

.. math:: \ell = \log(1 + e^{m}), \qquad m = \log \sum_{j \ne y} e^{z_j} - z_y,

whose derivative, the sigmoid of :math:`m`, is formed without any subtraction.

Each loss is a pure function, and a module called as ``loss(features, labels, head)``.

Example:
    >>> import torch
    >>> logits = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    >>> loss = cross_entropy(logits, torch.tensor([0]))  # torch.nn.functional.cross_entropy gives 0.0
    >>> print(f"{loss.item():.4e}")
    1.7513e-26
"""

from .cross_entropy import CrossEntropy as CrossEntropy
from .cross_entropy import cross_entropy as cross_entropy
from .spherical import cosine_logits as cosine_logits
from .spherical import spherical_cross_entropy as spherical_cross_entropy

__all__ = ["CrossEntropy", "cosine_logits", "cross_entropy", "spherical_cross_entropy"]
