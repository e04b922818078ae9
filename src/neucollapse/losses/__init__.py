r"""Losses that train towards collapse and keep their gradient after it is reached.

Once every training sample is right, the cross-entropy of a sample falls to :math:`10^{-7}` and far below, and the
usual form :math:`p_y - 1` of its gradient becomes exactly zero in float32: training stops where neural collapse
begins. Here the loss of a sample with logits :math:`z` and label :math:`y` is

.. math:: \ell = \log(1 + e^{m}), \qquad m = \log \sum_{j \ne y} e^{z_j} - z_y,

whose derivative, the sigmoid of :math:`m`, is formed without any subtraction.

On the sphere, with :math:`z_j = s \cos\theta_j`, every published margin changes the target alone, so that all these losses
are functions of two numbers a sample, the target cosine and the logarithm of the sum over the wrong classes:

- :func:`spherical_ce` takes any margin, smoothing, focal exponent and class weights;
  :func:`norm_face`, :func:`cos_face`, :func:`arc_face`, :func:`sphere_face`, :func:`combined_face` and :func:`ada_face` are
  the published choices. For many classes it works in tiles, and never holds the (B, K) logits.
- :func:`log_cross_entropy`, or ``reduction="log_mean"``, is the logarithm of the loss: its gradient is of order one when
  the loss is 1e-26, where an exact gradient of 1e-26 no longer moves a float32 weight.

On plain logits there are :func:`cross_entropy`, :func:`focal_loss`, :func:`label_smoothing` and :func:`mse`, which for many
classes needs no logits (:func:`mse_linear`).

Cosines without a cross-entropy of classes: :func:`ntce` and :func:`nonl` contrast each class direction with the samples of
the batch, :func:`hard_max` is the limit of small temperatures, the largest gap by which a wrong class leads.

Without logits: :class:`HUG` pulls features to proxies that :func:`uniformity` spreads over the sphere, :func:`sup_con`
contrasts samples with one another, :func:`dot_regression` and :func:`centre_loss` draw them to fixed codes and to centres.

Each loss is a pure function, and a module called as ``loss(features, labels, head)``. Each loss of samples takes
``reduction``, ``class_weights`` and ``ignore_index``, and at each call ``sample_weights`` and a ``denominator``. Labels may
be of any integer type, arrays and lists too; what is ignored touches no value and no gradient, even if it is NaN.

Example:
    >>> import torch
    >>> logits = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    >>> loss = cross_entropy(logits, torch.tensor([0]))  # torch.nn.functional.cross_entropy gives 0.0
    >>> print(f"{loss.item():.4e}")
    1.7513e-26
"""

from ._ada_face import AdaFace as AdaFace
from ._ada_face import ada_face as ada_face
from ._arc_face import ArcFace as ArcFace
from ._arc_face import arc_face as arc_face
from ._centre import Centre as Centre
from ._centre import centre_loss as centre_loss
from ._combined_face import CombinedFace as CombinedFace
from ._combined_face import combined_face as combined_face
from ._cos_face import CosFace as CosFace
from ._cos_face import cos_face as cos_face
from ._cross_entropy import CrossEntropy as CrossEntropy
from ._cross_entropy import cross_entropy as cross_entropy
from ._determinant import log_determinant as log_determinant
from ._dot_regression import DotRegression as DotRegression
from ._dot_regression import dot_regression as dot_regression
from ._energy import riesz_energy as riesz_energy
from ._focal import FocalLoss as FocalLoss
from ._focal import focal_loss as focal_loss
from ._hard_max import HardMax as HardMax
from ._hard_max import hard_max as hard_max
from ._hug import HUG as HUG
from ._hug import HUGTerms as HUGTerms
from ._hug import hug as hug
from ._hug import hug_terms as hug_terms
from ._label_smoothing import LabelSmoothing as LabelSmoothing
from ._label_smoothing import label_smoothing as label_smoothing
from ._log_objective import LogCrossEntropy as LogCrossEntropy
from ._log_objective import log_cross_entropy as log_cross_entropy
from ._margins import AdaMargin as AdaMargin
from ._margins import ArcMargin as ArcMargin
from ._margins import CombinedMargin as CombinedMargin
from ._margins import CosMargin as CosMargin
from ._margins import Margin as Margin
from ._margins import SphereMargin as SphereMargin
from ._mse import MSE as MSE
from ._mse import mse as mse
from ._mse import mse_linear as mse_linear
from ._nonl import NONL as NONL
from ._nonl import nonl as nonl
from ._norm_face import NormFace as NormFace
from ._norm_face import norm_face as norm_face
from ._ntce import NTCE as NTCE
from ._ntce import ntce as ntce
from ._separation import closest_distance as closest_distance
from ._sphere_face import SphereFace as SphereFace
from ._sphere_face import sphere_face as sphere_face
from ._spherical import cosine_logits as cosine_logits
from ._spherical import spherical_ce as spherical_ce
from ._spherical import spherical_cross_entropy as spherical_cross_entropy
from ._statistics import spherical_statistics as spherical_statistics
from ._sup_con import SupCon as SupCon
from ._sup_con import sup_con as sup_con
from ._uniformity import Uniformity as Uniformity
from ._uniformity import uniformity as uniformity

__all__ = [
    "HUG",
    "MSE",
    "NONL",
    "NTCE",
    "AdaFace",
    "AdaMargin",
    "ArcFace",
    "ArcMargin",
    "Centre",
    "CombinedFace",
    "CombinedMargin",
    "CosFace",
    "CosMargin",
    "CrossEntropy",
    "DotRegression",
    "FocalLoss",
    "HUGTerms",
    "HardMax",
    "LabelSmoothing",
    "LogCrossEntropy",
    "Margin",
    "NormFace",
    "SphereFace",
    "SphereMargin",
    "SupCon",
    "Uniformity",
    "ada_face",
    "arc_face",
    "centre_loss",
    "closest_distance",
    "combined_face",
    "cos_face",
    "cosine_logits",
    "cross_entropy",
    "dot_regression",
    "focal_loss",
    "hard_max",
    "hug",
    "hug_terms",
    "label_smoothing",
    "log_cross_entropy",
    "log_determinant",
    "mse",
    "mse_linear",
    "nonl",
    "norm_face",
    "ntce",
    "riesz_energy",
    "sphere_face",
    "spherical_ce",
    "spherical_cross_entropy",
    "spherical_statistics",
    "sup_con",
    "uniformity",
]
