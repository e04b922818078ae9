"""Every loss: what this room exports, and how training names it, sets it and makes it. This module never imports torch.

A new loss has its module among the imports for type checkers, its names in `EXPORTS`, and its options, which `AnyLoss` lists.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from .._settings import Rule, check_settings

if TYPE_CHECKING:
    from torch import nn

    from ._ada_face import *  # noqa: F403
    from ._attraction import *  # noqa: F403
    from ._centre import *  # noqa: F403
    from ._cross_entropy import *  # noqa: F403
    from ._determinant import *  # noqa: F403
    from ._dot_regression import *  # noqa: F403
    from ._energy import *  # noqa: F403
    from ._faces import *  # noqa: F403
    from ._focal import *  # noqa: F403
    from ._hard_max import *  # noqa: F403
    from ._hug import *  # noqa: F403
    from ._label_smoothing import *  # noqa: F403
    from ._log_objective import *  # noqa: F403
    from ._margins import *  # noqa: F403
    from ._module import *  # noqa: F403
    from ._mse import *  # noqa: F403
    from ._nonl import *  # noqa: F403
    from ._ntce import *  # noqa: F403
    from ._rows import *  # noqa: F403
    from ._separation import *  # noqa: F403
    from ._spherical import *  # noqa: F403
    from ._statistics import *  # noqa: F403
    from ._sup_con import *  # noqa: F403
    from ._uniformity import *  # noqa: F403

# By section of the reference: the names of each module, in the order in which they are shown.
EXPORTS = {
    "What every loss takes": {"_rows": "RowOptions", "_module": "ModuleOptions"},
    "On logits": {
        "_cross_entropy": "cross_entropy CrossEntropy",
        "_focal": "focal_loss Focal",
        "_label_smoothing": "label_smoothing LabelSmoothing",
        "_log_objective": "log_cross_entropy LogCrossEntropy",
        "_mse": "mse mse_linear MSE",
    },
    "On the sphere: one operation, many margins": {
        "_spherical": "spherical_ce SphericalLoss cosine_logits",
        "_statistics": "spherical_statistics",
        "_faces": "norm_face NormFace cos_face CosFace arc_face ArcFace sphere_face SphereFace combined_face CombinedFace",
        "_ada_face": "ada_face AdaFace",
        "_margins": "Margin CosMargin ArcMargin SphereMargin CombinedMargin AdaMargin",
    },
    "On the sphere: other contrasts": {"_ntce": "ntce NTCE", "_nonl": "nonl NONL", "_hard_max": "hard_max HardMax"},
    "Without logits": {
        "_hug": "hug hug_terms HUG",
        "_attraction": "HUGTerms",
        "_uniformity": "uniformity Uniformity",
        "_energy": "riesz_energy",
        "_separation": "closest_distance",
        "_determinant": "log_determinant",
        "_sup_con": "sup_con SupCon",
        "_dot_regression": "dot_regression DotRegression",
        "_centre": "centre_loss Centre",
    },
}

Kind = Literal["linear", "directions", "centres", "fixed", "means"]
"""Of a head: trained rows with lengths, trained directions, several of these a class, a fixed code, or means of features."""
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
    """Base of the options of a loss: a frozen dataclass that builds the module."""

    name: ClassVar[str]  # in the command line and in a configuration
    makes: ClassVar[str]  # the class of neucollapse.losses that is built
    takes: ClassVar[tuple[Kind, ...]] = ("linear", *ON_SPHERE)  # kinds of heads that it is trained with
    why: ClassVar[str] = ""  # no others

    @property
    def trained(self) -> bool:
        """Whether the loss itself has parameters."""
        return False

    def __post_init__(self) -> None:
        check_present(self, _RULES)

    def build(self, dim: int, num_classes: int) -> "nn.Module":
        """The loss, called as `loss(features, labels, head)`, for features (B, d) and K classes."""
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
    """Cross-entropy that turns away from samples already right, by the exponent `gamma`."""

    name, makes = "focal", "Focal"
    gamma: float = 2.0


@dataclass(frozen=True)
class LabelSmoothingLoss(LossOptions):
    """Cross-entropy with labels of which the share `smoothing` is spread over all classes."""

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
class MarginLoss(OnSphere):
    """Base of the cross-entropies of cosines with a margin.

    Attributes:
        margin: its size: what cos-face takes from the cosine and arc-face adds to the angle, in radians; the factor, at least
            1, of the angle in sphere-face; what ada-face gives a sample of average quality.
        margin_warmup: share of all steps over which the margin grows, in a line, from none.
    """

    margin: float
    margin_warmup: float = 0.0


@dataclass(frozen=True)
class CosFaceLoss(MarginLoss):
    """Cross-entropy of cosines with a margin on the target's cosine."""

    name, makes = "cos-face", "CosFace"
    margin: float = 0.35


@dataclass(frozen=True)
class ArcFaceLoss(MarginLoss):
    """Cross-entropy of cosines with a margin on the target's angle."""

    name, makes = "arc-face", "ArcFace"
    margin: float = 0.5


@dataclass(frozen=True)
class SphereFaceLoss(MarginLoss):
    """Cross-entropy of cosines with the target's angle multiplied."""

    name, makes = "sphere-face", "SphereFace"
    margin: float = 1.5


@dataclass(frozen=True)
class AdaFaceLoss(MarginLoss):
    """Cross-entropy of cosines with a margin by the length of the feature."""

    name, makes = "ada-face", "AdaFace"
    margin: float = 0.4


@dataclass(frozen=True)
class CombinedFaceLoss(OnSphere):
    """Cross-entropy of cosines, the target's angle multiplied and widened and its cosine lowered, as in `MarginLoss`."""

    name, makes = "combined-face", "CombinedFace"
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
        """HUG; one that owns its proxies does not look at the head."""
        from ._hug import HUG, Headless

        if self.proxy in ("static", "partial"):
            return Headless(HUG(dim, num_classes, **asdict(self)))
        return HUG(**asdict(self))

    def heads(self) -> tuple[tuple[Kind, ...], str]:
        """Those whose rows are the proxies, or none that is trained."""
        if self.proxy == "learnable":
            why = "the rows of the head are its proxies (those of a fixed head are static ones)"
            return ("directions", "fixed"), why
        return ("means",), f"with {self.proxy} proxies no head is trained, and the means of the features are measured"


@dataclass(frozen=True)
class SupConLoss(LossOptions):
    """Samples contrasted with one another, by cosines over the `temperature`."""

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
    """Cross-entropy plus `beta` times the centre loss."""

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
    CrossEntropyLoss | NormFaceLoss | CosFaceLoss | ArcFaceLoss | SphereFaceLoss | AdaFaceLoss | CombinedFaceLoss | FocalLoss
    | LabelSmoothingLoss | LogLoss | MSELoss | HUGLoss | SupConLoss | CentreLoss | DotRegressionLoss | NONLLoss | NTCELoss
    | HardMaxLoss
)  # fmt: skip
"""Options of any loss that can be trained."""
LOSSES: dict[str, type[LossOptions]] = {kind.name: kind for kind in get_args(AnyLoss)}
"""The options of each loss by its name in the command line and in configurations."""
