"""Settings of unconstrained features with unequal classes: SELI and general orthogonal frames."""

from dataclasses import dataclass
from typing import Literal

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class SELI(Settings):
    """Unequal classes, decay towards 0: simplex-encoded labels (cross-entropy) or a general orthogonal frame (mse).

    Free features and a classifier are minimised along a path of falling weight decays, each solve from a random start.
    Prediction: the optimum at every decay, and the geometry it tends to.
    """

    classes: int = 10  # number of classes K.
    dim: int = 10  # feature dimension d; with cross-entropy at least K - 1.
    imbalance: Literal["step", "exp", "none"] = "step"
    """step, a majority and a minority size; exp, sizes that fall geometrically; none, equal sizes."""
    ratio: float = 10.0  # largest over smallest class size.
    minority: int = 5  # number of small classes of a step imbalance.
    samples: int = 1  # of the smallest class.
    loss: Literal["ce", "mse"] = "ce"
    """ce, mean cross-entropy, or mse, half the mean squared distance to the one-hot label."""
    bias: bool = False  # whether there is a bias without decay (mse alone).
    largest_decay: float = 1e-2  # where the path begins. Every decay acts on classifier and features alike.
    smallest_decay: float = 1e-8  # where it ends.
    decays: int = 13  # points of the path, evenly spaced in the logarithm.

    name = "seli"
    title = "Unequal classes: SELI and general orthogonal frames"
    question = "Which shape replaces the simplex when classes are unequal?"
    citations = ("thrampoulidis2022", "dang2023")
    rules = (
        at_least(2, "classes", "decays"),
        at_least(1, "dim", "minority", "samples"),
        at_least(1.0, "ratio"),
        positive("largest_decay", "smallest_decay"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.imbalance == "step" and self.minority >= self.classes:
            raise InputError(f"expected fewer minority classes than classes={self.classes}, got {self.minority}")
        if self.smallest_decay >= self.largest_decay:
            raise InputError(
                f"expected smallest_decay below largest_decay={self.largest_decay:g}, got {self.smallest_decay:g}"
            )
        if self.bias and self.loss == "ce":
            raise InputError(
                "expected no bias with ce, whose limit is stated without one; choose --loss mse for a bias"
            )
        if self.loss == "ce" and self.dim < self.classes - 1:
            raise InputError(
                f"expected dim of at least {self.classes - 1} for the simplex-encoded labels of {self.classes} classes, "
                f"whose rank that is, got {self.dim}"
            )
