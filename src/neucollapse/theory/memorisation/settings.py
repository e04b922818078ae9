"""Settings of the memorisation-dilation model."""

from dataclasses import dataclass

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class Memorisation(Settings):
    """Unconstrained features with flipped labels: what memorising them does to the classes, as it gets dearer."""

    classes: int = 3  # number of classes K.
    dim: int = 4
    """dimension d of the features, at least K - 1: below, the problem is not convex and nothing is predicted."""
    clean: int = 8  # samples of each class with the right label.
    flipped: int = 1  # samples of each class with the label of each other class; 0 for no noise.
    decay_weight: float = 0.005  # weight decay of the classifier, times |W|^2 / 2.
    decay_features: float = 0.005  # decay of the features, times the mean of |h|^2 / 2.
    prices: tuple[float, ...] = (0.0, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
    """of leaving the mean of the true class, times the mean of |h - its true class's mean|^2 / 2, one point of the curve
    each. 0 is the unconstrained model."""
    smoothing: float = 0.1  # share of each label that label smoothing spreads over all classes.

    name = "memorisation"
    title = "Memorisation-dilation: unconstrained features under label noise"
    question = "What do wrong labels do to collapse?"
    citations = ("nguyen2023",)
    rules = (
        at_least(2, "classes"),
        at_least(1, "clean", "dim"),
        at_least(0, "flipped"),
        positive("decay_weight", "decay_features"),
        (
            ("prices",),
            "with at least one price, all of at least 0 and finite",
            lambda prices: bool(prices) and all(0 <= price < float("inf") for price in prices),
        ),
        (("smoothing",), "above 0 and below 1", lambda smoothing: 0 < smoothing < 1),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim < self.classes - 1:
            raise InputError(
                f"expected a dim of at least classes - 1 = {self.classes - 1}, where the prediction holds, got {self.dim}"
            )
        if self.flipped >= self.clean:
            raise InputError(
                f"expected fewer flipped samples of a class with any one label than clean ones ({self.clean}), "
                f"got {self.flipped}"
            )
