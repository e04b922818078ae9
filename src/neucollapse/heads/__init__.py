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
    >>> head = Cosine(dim=3, num_classes=10, scale=5.0)
    >>> head(torch.randn(4, 3)).shape, head.weight.shape
    (torch.Size([4, 10]), torch.Size([10, 3]))
"""

from ..losses._margins import AdaMargin as AdaMargin
from ..losses._margins import ArcMargin as ArcMargin
from ..losses._margins import CombinedMargin as CombinedMargin
from ..losses._margins import CosMargin as CosMargin
from ..losses._margins import SphereMargin as SphereMargin
from ._class_mean_features import ClassMeanFeatures as ClassMeanFeatures
from ._cosine import Cosine as Cosine
from ._export import save_onnx as save_onnx
from ._fixed import Fixed as Fixed
from ._head import Head as Head
from ._linear import Linear as Linear
from ._nearest_class_mean import NearestClassMean as NearestClassMean
from ._structured import FixedHadamard as FixedHadamard
from ._structured import FixedKerdock as FixedKerdock
from ._structured import FixedSimplex as FixedSimplex
from ._structured import StructuredHead as StructuredHead
from ._sub_centre import SubCentre as SubCentre

__all__ = [
    "AdaMargin",
    "ArcMargin",
    "ClassMeanFeatures",
    "CombinedMargin",
    "CosMargin",
    "Cosine",
    "Fixed",
    "FixedHadamard",
    "FixedKerdock",
    "FixedSimplex",
    "Head",
    "Linear",
    "NearestClassMean",
    "SphereMargin",
    "StructuredHead",
    "SubCentre",
    "save_onnx",
]
