"""Every head: what this room exports, and how training names it, sets it and makes it. This module never imports torch.

A new head has its module among the imports for type checkers, its name in `EXPORTS`, and its options, which `AnyHead` lists.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, get_args

from .._errors import FileFormatError, InputError
from .._settings import Rule
from ..losses._registry import Kind, LossOptions, check_present

if TYPE_CHECKING:
    from torch import Tensor

    from ._class_mean_features import *  # noqa: F403
    from ._cosine import *  # noqa: F403
    from ._export import *  # noqa: F403
    from ._fixed import *  # noqa: F403
    from ._head import Head as Head
    from ._linear import *  # noqa: F403
    from ._nearest_class_mean import *  # noqa: F403
    from ._structured import *  # noqa: F403
    from ._sub_centre import *  # noqa: F403

# By section of the reference: the names of each module, in the order in which they are shown.
EXPORTS = {
    "What every head is": {"_head": "Head"},
    "Trained": {
        "_linear": "Linear",
        "_cosine": "Cosine ArcMargin CosMargin SphereMargin CombinedMargin AdaMargin",
        "_sub_centre": "SubCentre",
    },
    "Fixed": {"_fixed": "Fixed", "_structured": "FixedSimplex FixedHadamard FixedKerdock StructuredHead"},
    "From the features": {"_class_mean_features": "ClassMeanFeatures", "_nearest_class_mean": "NearestClassMean"},
    "For other programs": {"_export": "save_onnx"},
}

_RULES: tuple[Rule, ...] = (
    (("centres", "reassign_every"), "of at least 1", lambda value: value >= 1),
    (("scale", "scale_start"), "above 0 and finite", lambda value: 0 < value < float("inf")),
    (("momentum",), "in [0, 1)", lambda value: 0 <= value < 1),
    (("scale_over",), "in [0, 1]", lambda value: 0 <= value <= 1),
)


@dataclass(frozen=True)
class HeadOptions:
    """Base of the options of a head: a frozen dataclass that builds the module."""

    name: ClassVar[str]  # in the command line and in a configuration
    makes: ClassVar[str]  # the class of neucollapse.heads that is built
    kind: ClassVar[Kind]  # of its rows, by which a loss takes it

    @property
    def trained(self) -> bool:
        """Whether the head has parameters."""
        return self.kind not in ("fixed", "means")

    def __post_init__(self) -> None:
        check_present(self, _RULES)

    def build(self, dim: int, num_classes: int) -> "Head":
        """The head of features (B, d) and K classes; `InputError` where it does not fit these sizes."""
        from .. import heads

        return getattr(heads, self.makes)(dim, num_classes, **asdict(self))


@dataclass(frozen=True)
class LinearHead(HeadOptions):
    """Trained inner products, as `torch.nn.Linear` has them.

    Attributes:
        bias: whether there is a bias.
    """

    name, makes, kind = "linear", "Linear", "linear"
    bias: bool = True


@dataclass(frozen=True)
class ScaledHead(HeadOptions):
    """Base of the heads whose logits are cosines times a scale.

    Attributes:
        scale: inverse temperature.
    """

    scale: float = 16.0


@dataclass(frozen=True)
class CosineHead(HeadOptions):
    """Trained directions: logits are cosines times a scale.

    Attributes:
        scale: inverse temperature, at the end of training.
        learn_scale: whether it is trained.
        scale_start: scale at the first step, from where it grows geometrically; None for `scale`.
        scale_over: share of all steps over which it grows.
    """

    name, makes, kind = "cosine", "Cosine", "directions"
    scale: float = 16.0
    learn_scale: bool = False
    scale_start: float | None = None
    scale_over: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learn_scale and self.scale_start is not None:
            raise InputError("expected learn_scale or scale_start, got both: the scale is either trained or annealed")

    def build(self, dim: int, num_classes: int) -> "Head":
        """The head; training anneals its scale."""
        from ._cosine import Cosine

        return Cosine(dim, num_classes, scale=self.scale, learn_scale=self.learn_scale, scale_start=self.scale_start)


@dataclass(frozen=True)
class SubCentreHead(ScaledHead):
    """Several trained directions a class, of which the nearest counts.

    Attributes:
        centres: directions a class.
    """

    name, makes, kind = "sub-centre", "SubCentre", "centres"
    centres: int = 3


@dataclass(frozen=True)
class FixedHead(ScaledHead):
    """A code that is not trained.

    Attributes:
        code: file of the code, as `neucollapse code -o` writes it; None for the best that is known without a search.
        reassign_every: epochs after which the points are given to the classes anew, as they lie closest to the means of
            their features; None for never.
    """

    name, makes, kind = "fixed", "Fixed", "fixed"
    code: str | None = None
    reassign_every: int | None = None

    def build(self, dim: int, num_classes: int) -> "Head":
        """The head of the code; `FileFormatError` where the file of the code cannot be used."""
        from ._fixed import Fixed

        points = self._points(dim, num_classes)
        return Fixed(points, scale=self.scale, learn_assignment=self.reassign_every is not None)

    def _points(self, dim: int, num_classes: int) -> "Tensor":
        from ..data import load_weight
        from ..geometry import best_code

        if self.code is None:
            # Without a search, which ends after a time and not after a number of steps: a run would not repeat itself.
            return best_code(num_classes, dim, budget=0, progress=False).points
        points = load_weight(self.code, transpose=False).weight  # rows of a code are its points
        if points.shape != (num_classes, dim):
            raise FileFormatError(
                self.code,
                f"expected a code of {num_classes} classes in {dim} dimensions, found {tuple(points.shape)}; "
                f"neucollapse code --classes {num_classes} --dim {dim} -o FILE makes one",
            )
        return points


@dataclass(frozen=True)
class FixedSimplexHead(ScaledHead):
    """The simplex, not trained and not stored, for up to d + 1 classes."""

    name, makes, kind = "fixed-simplex", "FixedSimplex", "fixed"


@dataclass(frozen=True)
class FixedHadamardHead(ScaledHead):
    """Rows of a Hadamard matrix and their opposites, not trained and not stored, for up to 2d classes."""

    name, makes, kind = "fixed-hadamard", "FixedHadamard", "fixed"


@dataclass(frozen=True)
class FixedKerdockHead(ScaledHead):
    """A Kerdock code, not trained and not stored, for up to d(d + 2) classes."""

    name, makes, kind = "fixed-kerdock", "FixedKerdock", "fixed"


@dataclass(frozen=True)
class ClassMeansHead(ScaledHead):
    """Running means of the features, not trained.

    Attributes:
        momentum: of the means.
    """

    name, makes, kind = "class-means", "ClassMeanFeatures", "means"
    momentum: float = 0.9


AnyHead = (
    LinearHead | CosineHead | FixedHead | ClassMeansHead | SubCentreHead | FixedSimplexHead | FixedHadamardHead
    | FixedKerdockHead
)  # fmt: skip
"""Options of any head that can be trained with."""
HEADS: dict[str, type[HeadOptions]] = {kind.name: kind for kind in get_args(AnyHead)}
"""The options of each head by its name in the command line and in configurations."""


def check_pair(loss: LossOptions, head: HeadOptions) -> None:
    """Raise `InputError` for a head that a loss is not trained with, and name those that it takes."""
    takes, why = loss.heads()
    if head.kind not in takes:
        known = " or ".join(name for name, kind in HEADS.items() if kind.kind in takes)
        raise InputError(f"{loss.name} expected the head {known}, got {head.name}: {why}")
