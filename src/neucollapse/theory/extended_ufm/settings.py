"""Settings of the extended and deep unconstrained features models with mean-squared error."""

from dataclasses import dataclass
from typing import Literal

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class ExtendedUFM(Settings):
    """Free features under several layers, linear or ReLU, with mean-squared error and weight decay: deep neural collapse."""

    classes: int = 4  # number of classes K.
    samples: int = 5  # samples of each class.
    dim: int = 8
    """dimension of the features and width of every hidden layer; below K (K - 1 with bias) the optimum loses rank."""
    layers: int = 4
    """matrices multiplied, the features among them: 2 is the plain model, 3 the extended one, more are deeper."""
    activation: Literal["linear", "relu"] = "linear"  # between the matrices; with relu there is no bias.
    bias: bool = False  # whether the last layer has a bias, which does not decay.
    decay: float = 0.01  # of every weight matrix, as decay/2 times its squared norm.
    decay_features: float | None = None  # of the features, the same way; by default that of the weights.
    steps: int = 6000  # of gradient descent.
    lr: float = 0.5  # step size of gradient descent.
    starts: int = 6  # random starts from which the optimum is looked for.
    sweep: int = 16
    """values of the decay, to both sides of the one at which everything collapses to zero. Linear layers only."""

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
