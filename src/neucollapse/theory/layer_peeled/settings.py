"""Settings of the layer-peeled model under imbalance."""

from dataclasses import dataclass
from typing import Literal

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class LayerPeeled(Settings):
    """Layer-peeled model under imbalance: beyond which ratio do the minority classes merge?

    Free features and a classifier without bias are minimised for a path of imbalance ratios, and once more by gradient
    descent at the largest one. Prediction: the convex relaxation, and a closed form for where minority classes merge.
    """

    classes: int = 10  # number of classes K.
    minority: int = 5  # how many of them are minority classes.
    dim: int = 10  # feature dimension d, at least K - 1 (cross-entropy) or K (mse), where the relaxation is exact.
    samples: int = 2  # of each minority class. A majority class has the ratio times as many.
    largest_ratio: float = 64.0  # where the path of ratios ends; it begins at 1.
    ratios: int = 19  # points of the path, evenly spaced in the logarithm.
    loss: Literal["ce", "mse"] = "ce"
    """ce, mean cross-entropy, or mse, half the mean squared distance to the one-hot label."""
    regularisation: Literal["decay", "budget"] = "decay"
    """decay, weight decay on classifier and on every feature; budget, bounds on mean squared norms (Fang et al.), where a
    class counts once however many samples it has."""
    decay_weight: float = 5e-3  # lambda_W: the objective has lambda_W / 2 times the sum of squares of the classifier.
    decay_features: float = 5e-3  # lambda_H: likewise of all features.
    budget_weight: float = 2.0  # E_W, the mean over classes of the squared norm of the classifier's rows.
    budget_features: float = 2.0  # E_H, the mean over classes of their mean squared feature norm.
    steps: int = 600  # of gradient descent at the largest ratio; 0 for none.
    lr: float = 1.0  # its step size.
    momentum: float = 0.9  # its momentum.

    name = "layer-peeled"
    title = "Layer-peeled model: minority collapse"
    question = "What do unequal classes change, and when do small ones merge?"
    citations = ("fang2021", "dang2023")
    rules = (
        at_least(3, "classes"),
        at_least(2, "minority", "ratios"),
        at_least(1, "dim", "samples"),
        at_least(1.0, "largest_ratio"),
        at_least(0, "steps"),
        positive("decay_weight", "decay_features", "budget_weight", "budget_features", "lr"),
        (("momentum",), "in [0, 1)", lambda value: 0 <= value < 1),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minority >= self.classes:
            raise InputError(f"expected fewer minority classes than classes={self.classes}, got {self.minority}")
        least = self.classes if self.loss == "mse" else self.classes - 1
        if self.dim < least:
            raise InputError(
                f"expected dim of at least {least} for {self.classes} classes with {self.loss}, where the convex relaxation is "
                f"exact, got {self.dim}"
            )
