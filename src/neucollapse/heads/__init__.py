"""Classifier heads: modules from features ``(..., d)`` to logits ``(..., K)``.

Every head is an ``nn.Module`` whose forward is its logits, and has ``.logits(features)`` and ``.weight`` ``(K, d)``,
one row a class. Losses take a head as their third argument: ``loss(features, labels, head)``.

- Trained: :class:`Linear`, :class:`Cosine` (the scale fixed, learned or annealed), :class:`SubCentre`.
- Not trained: :class:`Fixed`, any code, and :class:`FixedSimplex`, :class:`FixedHadamard`, :class:`FixedKerdock`, whose
  structure saves memory and time; :class:`ClassMeanFeatures`, a running mean of the features, and for evaluation
  :class:`NearestClassMean`.

A training loop calls ``head.update(features, labels)`` before the loss: heads that follow the features do so there. Any
head leaves as a plain ``nn.Linear`` by ``head.to_linear()``, and as an ONNX file by :func:`save_onnx`.

Example:
    >>> import torch
    >>> from neucollapse.heads import Cosine
    >>> head = Cosine(dim=3, num_classes=10, scale=5.0)
    >>> head(torch.randn(4, 3)).shape, head.weight.shape
    (torch.Size([4, 10]), torch.Size([10, 3]))
"""

from typing import TYPE_CHECKING

import lazy_loader

from ._registry import EXPORTS, HEADS, MARGINS

if TYPE_CHECKING:
    from ._registry import *  # noqa: F403

_NAMES = {module: names for section in EXPORTS.values() for module, names in section.items()}
_OPTIONS = [kind.__name__ for kind in HEADS.values()]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__, submod_attrs={**_NAMES, "_registry": _OPTIONS, "_cosine": ["Cosine", *MARGINS]}
)
__all__ = sorted([*MARGINS, *(name for names in _NAMES.values() for name in names)])
