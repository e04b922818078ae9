"""Every loss: what this room exports, and how training names it, sets it and makes it. This module never imports torch.

A new loss has its names in ``EXPORTS`` and among the imports for type checkers; where it can be trained, it has its options.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from .._settings import Rule, check_settings

if TYPE_CHECKING:
    from torch import nn

    from ._ada_face import AdaFace as AdaFace
    from ._ada_face import ada_face as ada_face
    from ._arc_face import ArcFace as ArcFace
    from ._arc_face import arc_face as arc_face
    from ._attraction import HUGTerms as HUGTerms
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
    from ._focal import Focal as Focal
    from ._focal import focal_loss as focal_loss
    from ._hard_max import HardMax as HardMax
    from ._hard_max import hard_max as hard_max
    from ._hug import HUG as HUG
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

# By section of the reference: the names of each module, in the order in which they are shown.
EXPORTS: dict[str, dict[str, list[str]]] = {
    "On logits": {
        "_cross_entropy": ["cross_entropy", "CrossEntropy"],
        "_focal": ["focal_loss", "Focal"],
        "_label_smoothing": ["label_smoothing", "LabelSmoothing"],
        "_log_objective": ["log_cross_entropy", "LogCrossEntropy"],
        "_mse": ["mse", "mse_linear", "MSE"],
    },
    "On the sphere: one operation, many margins": {
        "_spherical": ["spherical_ce", "spherical_cross_entropy", "cosine_logits"],
        "_statistics": ["spherical_statistics"],
        "_norm_face": ["norm_face", "NormFace"],
        "_cos_face": ["cos_face", "CosFace"],
        "_arc_face": ["arc_face", "ArcFace"],
        "_sphere_face": ["sphere_face", "SphereFace"],
        "_combined_face": ["combined_face", "CombinedFace"],
        "_ada_face": ["ada_face", "AdaFace"],
        "_margins": ["Margin", "CosMargin", "ArcMargin", "SphereMargin", "CombinedMargin", "AdaMargin"],
    },
    "On the sphere: other contrasts": {
        "_ntce": ["ntce", "NTCE"],
        "_nonl": ["nonl", "NONL"],
        "_hard_max": ["hard_max", "HardMax"],
    },
    "Without logits": {
        "_hug": ["hug", "hug_terms", "HUG"],
        "_attraction": ["HUGTerms"],
        "_uniformity": ["uniformity", "Uniformity"],
        "_energy": ["riesz_energy"],
        "_separation": ["closest_distance"],
        "_determinant": ["log_determinant"],
        "_sup_con": ["sup_con", "SupCon"],
        "_dot_regression": ["dot_regression", "DotRegression"],
        "_centre": ["centre_loss", "Centre"],
    },
}

Kind = Literal["linear", "directions", "centres", "fixed", "means"]
"""Of a head: what its rows are. Trained rows with lengths, trained directions, several a class; a code; means of features."""
ON_SPHERE: tuple[Kind, ...] = ("directions", "centres", "fixed", "means")

_RULES: tuple[Rule, ...] = (
    (("margin", "gamma", "alpha", "beta"), "of at least 0 and finite", lambda value: 0 <= value < float("inf")),
    (("temperature",), "above 0 and finite", lambda value: 0 < value < float("inf")),
    (("smoothing",), "in [0, 1)", lambda value: 0 <= value < 1),
    (("margin_warmup",), "in [0, 1]", lambda value: 0 <= value <= 1),
)


def check_present(options: object, rules: tuple[Rule, ...]) -> None:
    """Check the types of a dataclass, and of all rules those about settings that it has."""
    of_these = [
        (tuple(name for name in names if hasattr(options, name)), words, holds) for names, words, holds in rules
    ]
    check_settings(options, tuple(of_these))


@dataclass(frozen=True)
class LossOptions:
    """Base of the options of a loss: a frozen dataclass that builds the module.

    Attributes:
        name: what the command line and a configuration call it.
        makes: the class of ``neucollapse.losses`` that is built.
        takes: the kinds of heads that it is trained with.
        why: the reason, where these are not all.
    """

    name: ClassVar[str]
    makes: ClassVar[str]
    takes: ClassVar[tuple[Kind, ...]] = ("linear", *ON_SPHERE)
    why: ClassVar[str] = ""

    @property
    def trained(self) -> bool:
        """Whether the loss itself has parameters."""
        return False

    def __post_init__(self) -> None:
        check_present(self, _RULES)

    def build(self, dim: int, num_classes: int) -> "nn.Module":
        """The loss, called as ``loss(features, labels, head)``, for features (B, d) and K classes."""
        from .. import losses

        del dim, num_classes
        settings = {name: value for name, value in asdict(self).items() if name != "margin_warmup"}
        return getattr(losses, self.makes)(**settings)

    def heads(self) -> tuple[tuple[Kind, ...], str]:
        """The kinds of heads that these options are trained with, and why no others."""
        return self.takes, self.why


@dataclass(frozen=True)
class CrossEntropyLoss(LossOptions):
    """Cross-entropy of the head's logits."""

    name, makes = "cross-entropy", "CrossEntropy"


@dataclass(frozen=True)
class LogLoss(LossOptions):
    """The logarithm of cross-entropy, whose gradient does not fade."""

    name, makes = "log", "LogCrossEntropy"


@dataclass(frozen=True)
class FocalLoss(LossOptions):
    """Cross-entropy that turns away from samples already right.

    Attributes:
        gamma: the exponent; 0 is cross-entropy.
    """

    name, makes = "focal", "Focal"
    gamma: float = 2.0


@dataclass(frozen=True)
class LabelSmoothingLoss(LossOptions):
    """Cross-entropy with smoothed labels.

    Attributes:
        smoothing: share of each label that is spread over all classes.
    """

    name, makes = "label-smoothing", "LabelSmoothing"
    smoothing: float = 0.1


@dataclass(frozen=True)
class MSELoss(LossOptions):
    """Squared error of the logits to one-hot targets."""

    name, makes = "mse", "MSE"


@dataclass(frozen=True)
class OnSphere(LossOptions):
    """Base of the losses that train directions."""

    takes = ON_SPHERE
    why = "it trains directions alone, and would leave the lengths and the bias of a linear head as they are"


@dataclass(frozen=True)
class NormFaceLoss(OnSphere):
    """Cross-entropy of cosines."""

    name, makes = "norm-face", "NormFace"


@dataclass(frozen=True)
class CosFaceLoss(OnSphere):
    """Cross-entropy of cosines with a margin on the target's cosine.

    Attributes:
        margin: what is taken from the cosine.
        margin_warmup: share of all steps over which the margin grows, in a line, from none.
    """

    name, makes = "cos-face", "CosFace"
    margin: float = 0.35
    margin_warmup: float = 0.0


@dataclass(frozen=True)
class ArcFaceLoss(OnSphere):
    """Cross-entropy of cosines with a margin on the target's angle.

    Attributes:
        margin: what is added to the angle, in radians.
        margin_warmup: share of all steps over which the margin grows, in a line, from none.
    """

    name, makes = "arc-face", "ArcFace"
    margin: float = 0.5
    margin_warmup: float = 0.0


@dataclass(frozen=True)
class SphereFaceLoss(OnSphere):
    """Cross-entropy of cosines with the target's angle multiplied.

    Attributes:
        margin: the factor, at least 1.
        margin_warmup: share of all steps over which the margin grows, in a line, from none.
    """

    name, makes = "sphere-face", "SphereFace"
    margin: float = 1.5
    margin_warmup: float = 0.0


@dataclass(frozen=True)
class CombinedFaceLoss(OnSphere):
    """Cross-entropy of cosines with the target's angle multiplied and widened, and its cosine lowered.

    Attributes:
        margin_warmup: share of all steps over which the margins grow, in a line, from none.
    """

    name, makes = "combined-face", "CombinedFace"
    margin_warmup: float = 0.0


@dataclass(frozen=True)
class AdaFaceLoss(OnSphere):
    """Cross-entropy of cosines with a margin by the length of the feature.

    Attributes:
        margin: its size.
        margin_warmup: share of all steps over which the margin grows, in a line, from none.
    """

    name, makes = "ada-face", "AdaFace"
    margin: float = 0.4
    margin_warmup: float = 0.0


@dataclass(frozen=True)
class NTCELoss(OnSphere):
    """A class direction contrasted with the samples of the batch."""

    name, makes = "ntce", "NTCE"


@dataclass(frozen=True)
class NONLLoss(OnSphere):
    """A class direction contrasted with the samples of other classes alone."""

    name, makes = "nonl", "NONL"


@dataclass(frozen=True)
class HardMaxLoss(OnSphere):
    """The largest lead of a wrong class."""

    name, makes = "hard-max", "HardMax"


@dataclass(frozen=True)
class HUGLoss(LossOptions):
    """The hyperspherical uniformity gap: proxies spread, samples gather at them.

    Attributes:
        uniformity: of the proxies: energy (mhe), separation (mhs) or determinant (mgd).
        proxy: where the proxies come from. learnable: from the head. With the others, which the loss owns or does without,
            the head is class-means, and serves to measure.
        alpha: weight of the uniformity.
        beta: weight of the attraction.
    """

    name, makes = "hug", "HUG"
    uniformity: Literal["mhe", "mhs", "mgd"] = "mhe"
    proxy: Literal["learnable", "static", "partial", "none"] = "learnable"
    alpha: float = 1.0
    beta: float = 1.0

    @property
    def trained(self) -> bool:
        """Partial proxies have their rotation."""
        return self.proxy == "partial"

    def build(self, dim: int, num_classes: int) -> "nn.Module":
        """HUG; with proxies of its own it does not look at the head."""
        from ._hug import HUG, Headless

        if self.proxy in ("static", "partial"):
            return Headless(HUG(dim, num_classes, **asdict(self)))
        return HUG(**asdict(self))

    def heads(self) -> tuple[tuple[Kind, ...], str]:
        """Those whose rows are the proxies, or none that is trained."""
        if self.proxy == "learnable":
            return (
                ("directions", "fixed"),
                "the rows of the head are its proxies (those of a fixed head are static ones)",
            )
        return ("means",), f"with {self.proxy} proxies no head is trained, and the means of the features are measured"


@dataclass(frozen=True)
class SupConLoss(LossOptions):
    """Samples contrasted with one another.

    Attributes:
        temperature: by which cosines are divided.
    """

    name, makes = "sup-con", "SupCon"
    takes, why = ("means",), "it trains the features alone, which are then measured with their means"
    temperature: float = 0.1


@dataclass(frozen=True)
class DotRegressionLoss(LossOptions):
    """Features drawn to a fixed code."""

    name, makes = "dot-regression", "DotRegression"
    takes, why = ("fixed",), "it pulls features to fixed points and pushes none apart"


@dataclass(frozen=True)
class CentreLoss(LossOptions):
    """Cross-entropy plus a small multiple of the centre loss.

    Attributes:
        beta: the multiple.
    """

    name, makes = "centre", "Centre"
    beta: float = 0.003

    @property
    def trained(self) -> bool:
        """It has its centres."""
        return True

    def build(self, dim: int, num_classes: int) -> "nn.Module":
        """Both together, as the paper of the centre loss trains them."""
        from ._centre import CrossEntropyAndCentre

        return CrossEntropyAndCentre(dim, num_classes, beta=self.beta)


AnyLoss = (
    CrossEntropyLoss
    | NormFaceLoss
    | CosFaceLoss
    | ArcFaceLoss
    | SphereFaceLoss
    | AdaFaceLoss
    | CombinedFaceLoss
    | FocalLoss
    | LabelSmoothingLoss
    | LogLoss
    | MSELoss
    | HUGLoss
    | SupConLoss
    | CentreLoss
    | DotRegressionLoss
    | NONLLoss
    | NTCELoss
    | HardMaxLoss
)
"""Options of any loss that can be trained."""
LOSSES: dict[str, type[LossOptions]] = {kind.name: kind for kind in get_args(AnyLoss)}
"""The options of each loss by its name in the command line and in configurations."""
