"""Backbones, optimisers and imbalances that a configuration can choose; nothing imports torch before it is built."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from .._settings import Rule, check_settings

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from .backbones import Backbone

_RULES: tuple[Rule, ...] = (
    (("width", "depth"), "of at least 1", lambda value: value >= 1),
    (("momentum",), "in [0, 1)", lambda value: 0 <= value < 1),
    (("ratio",), "of at least 1 and finite", lambda value: 1 <= value < float("inf")),
)


@dataclass(frozen=True)
class _Checked:
    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_settings(self, _RULES)


@dataclass(frozen=True)
class BackboneOptions(_Checked):
    """Base of the backbones."""

    def build(self, input_shape: Sequence[int], dim: int | None) -> "Backbone":
        """The network up to features (B, d); ``InputError`` where it does not take such inputs."""
        from .backbones import build

        return build(self.name, input_shape, dim, **asdict(self))


@dataclass(frozen=True)
class MLPBackbone(BackboneOptions):
    """A multilayer perceptron.

    Attributes:
        width: units of a hidden layer.
        depth: number of hidden layers.
        batch_norm: whether there is batch norm before each ReLU.
    """

    name = "mlp"
    width: int = 128
    depth: int = 2
    batch_norm: bool = True


@dataclass(frozen=True)
class ConvNetBackbone(BackboneOptions):
    """A small convolutional network.

    Attributes:
        width: channels of the first block.
    """

    name = "convnet"
    width: int = 32


@dataclass(frozen=True)
class ResNet18Backbone(BackboneOptions):
    """ResNet-18 for small images.

    Attributes:
        width: channels of the stem.
    """

    name = "resnet18"
    width: int = 64


@dataclass(frozen=True)
class SGDOptimizer(_Checked):
    """Stochastic gradient descent.

    Attributes:
        momentum: share of the step before that is taken again.
    """

    name = "sgd"
    momentum: float = 0.9

    def build(self, groups: list[dict[str, Any]], lr: float | int, weight_decay: float | int) -> "Optimizer":
        """The optimiser of groups of parameters."""
        from torch.optim import SGD

        return SGD(groups, lr, self.momentum, weight_decay=weight_decay)


@dataclass(frozen=True)
class AdamOptimizer(_Checked):
    """Adam with decoupled weight decay."""

    name = "adam"

    def build(self, groups: list[dict[str, Any]], lr: float | int, weight_decay: float | int) -> "Optimizer":
        """The optimiser of groups of parameters."""
        from torch.optim import AdamW

        return AdamW(groups, lr, weight_decay=weight_decay)


@dataclass(frozen=True)
class ExpImbalance(_Checked):
    r"""Sizes of classes that fall exponentially from the first to the last: class k keeps $\rho^{-k/(K-1)}$ (arXiv 1901.05555).

    Attributes:
        ratio: $\rho$, samples of the largest class over those of the smallest.
    """

    name = "exp"
    ratio: float

    def shares(self, num_classes: int) -> list[float]:
        """What each class keeps, the largest 1."""
        return [self.ratio ** (-k / max(num_classes - 1, 1)) for k in range(num_classes)]


@dataclass(frozen=True)
class StepImbalance(_Checked):
    r"""The first half of the classes (rounded up) is large, the second $1 / \rho$ of that (arXiv 1710.05381).

    Attributes:
        ratio: $\rho$, samples of the largest class over those of the smallest.
    """

    name = "step"
    ratio: float

    def shares(self, num_classes: int) -> list[float]:
        """What each class keeps, the largest 1."""
        return [1.0 if 2 * k < num_classes else 1 / self.ratio for k in range(num_classes)]


AnyBackbone = MLPBackbone | ConvNetBackbone | ResNet18Backbone
AnyOptimizer = SGDOptimizer | AdamOptimizer
AnyImbalance = ExpImbalance | StepImbalance
