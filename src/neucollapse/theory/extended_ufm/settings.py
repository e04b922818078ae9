"""Settings of the extended and deep unconstrained features models with mean-squared error."""

from dataclasses import dataclass
from typing import Literal

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class ExtendedUFM(Settings):
    """Free features under several layers, linear or ReLU, with mean-squared error and weight decay: deep neural collapse.

    Attributes:
        classes: number of classes K.
        samples: samples of each class.
        dim: dimension of the features and width of every hidden layer; below K (K - 1 with bias) the optimum loses rank.
        layers: matrices multiplied, the features among them: 2 is the plain model, 3 the extended one, more are deeper.
        activation: between the matrices; with relu there is no bias.
        bias: whether the last layer has a bias, which does not decay.
        decay: of every weight matrix, as decay/2 times its squared norm.
        decay_features: of the features, the same way; by default that of the weights.
        steps: of gradient descent.
        lr: step size of gradient descent.
        starts: random starts from which the optimum is looked for.
        sweep: values of the decay, to both sides of the one at which everything collapses to zero. Linear layers only.
    """

    classes: int = 4
    samples: int = 5
    dim: int = 8
    layers: int = 4
    activation: Literal["linear", "relu"] = "linear"
    bias: bool = False
    decay: float = 0.01
    decay_features: float | None = None
    steps: int = 6000
    lr: float = 0.5
    starts: int = 6
    sweep: int = 16

    name = "extended-ufm"
    title = "Extended and deep unconstrained features"
    question = "What do more layers change, linear and ReLU?"
    citations = ("tirer2022", "dang2023", "sukenik2023", "sukenik2024")
    rules = (
        at_least(2, "classes", "layers"),
        at_least(1, "samples", "dim", "steps", "starts"),
        at_least(0, "sweep"),
        positive("decay", "decay_features", "lr"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activation == "relu" and self.bias:
            raise InputError("expected no bias with relu, where no optimum is known in closed form; got bias=True")
        if self.activation == "relu" and self.dim < self.classes:
            raise InputError(
                f"expected dim of at least {self.classes}, the number of classes, with relu; got {self.dim}. "
                "The orthogonal frame that is compared with needs one dimension a class"
            )

    def decays(self) -> tuple[float, ...]:
        """The decay of each matrix, the features first."""
        features = self.decay if self.decay_features is None else self.decay_features
        return features, *(self.decay,) * (self.layers - 1)
