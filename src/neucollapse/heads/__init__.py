"""Classifier heads: modules from features `(..., d)` to logits `(..., K)`.

Every head is an `nn.Module` whose forward is its logits, and has `.logits(features)` and `.weight` `(K, d)`,
one row a class. Losses take a head as their third argument: `loss(features, labels, head)`.

- Trained: `Linear`, `Cosine` (the scale fixed, learned or annealed), `SubCentre`.
- Not trained: `Fixed`, any code, and `FixedSimplex`, `FixedHadamard`, `FixedKerdock`, whose
  structure saves memory and time; `ClassMeanFeatures`, a running mean of the features, and for evaluation
  `NearestClassMean`.

A training loop calls `head.update(features, labels)` before the loss: heads that follow the features do so there. Any
head leaves as a plain `nn.Linear` by `head.to_linear()`, and as an ONNX file by `save_onnx`.

Examples:
    >>> import torch
    >>> from neucollapse.heads import Cosine
    >>> head = Cosine(dim=3, num_classes=10, scale=5.0)
    >>> head(torch.randn(4, 3)).shape, head.weight.shape
    (torch.Size([4, 10]), torch.Size([10, 3]))
"""

from typing import TYPE_CHECKING

import lazy_loader

from ._registry import EXPORTS, HEADS

if TYPE_CHECKING:
    from ._registry import *  # noqa: F403

_NAMES = {module: names.split() for section in EXPORTS.values() for module, names in section.items()}
_OPTIONS = [kind.__name__ for kind in HEADS.values()]

__getattr__, __dir__, _ = lazy_loader.attach(__name__, submod_attrs={**_NAMES, "_registry": _OPTIONS})
__all__ = sorted(name for names in _NAMES.values() for name in names)  # pyright: ignore[reportUnsupportedDunderAll]
