"""Settings of the law of separation."""

from dataclasses import dataclass
from typing import Literal

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class LayerSeparation(Settings):
    """The law of separation across layers: a deep network trained here, beside what no linear network can reach."""

    data: Literal["digits", "clusters"] = "digits"
    """`digits`, or `clusters`: classes of two Gaussian clusters each, which no linear map separates well."""
    classes: int = 10  # of the clusters; digits have 10.
    samples: int = 50  # of a class; of each digit there are 138.
    inputs: int = 32  # dimensions: the first principal components of digits (at most 60), or those of the clusters.
    noise: float = 0.5  # standard deviation of a cluster in every direction; its centre has 1.
    random_labels: float = 0.0  # share of the labels that are drawn anew.
    depth: int = 5  # hidden layers.
    width: int = 100  # of each.
    gain: float = 2.0
    """variance of the initial weights, times the number of inputs of a layer; 2 keeps the scale through ReLUs."""
    optimiser: Literal["adam", "momentum"] = "adam"
    """`adam`, or gradient descent with `momentum` 0.9, which wants a larger step."""
    steps: int = 200  # of full-batch descent on the cross-entropy.
    lr: float = 0.001  # step size.
    threshold: float = 0.02  # share of errors of the nearest class mean that ends the effective depth.
    share: float = 0.98  # of the last layer's accuracy from which on the tunnel begins.

    name = "separation"
    title = "The law of separation across layers"
    question = "How does separation grow from layer to layer?"
    citations = ("he2023", "masarczyk2023", "galanti2022depth")
    rules = (
        at_least(2, "classes", "samples", "inputs", "depth", "width"),
        at_least(1, "steps"),
        positive("lr", "noise", "gain"),
        (("random_labels", "threshold", "share"), "in [0, 1]", lambda value: 0 <= value <= 1),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.inputs, self.width) < self.classes - 1:
            raise InputError(
                f"expected inputs and width of at least classes - 1 = {self.classes - 1}: in fewer dimensions later layers have "
                f"directions of rounding alone, and S_B no inverse there; got {self.inputs} and {self.width}"
            )
        if self.classes * (self.samples - 1) < self.inputs:
            raise InputError(
                f"expected classes * (samples - 1) of at least inputs={self.inputs}: with fewer samples a linear map puts every "
                f"class on one point, and there is no floor; got {self.classes} * {self.samples - 1}"
            )
        if self.data == "digits" and not (self.classes == 10 and self.samples <= 138 and self.inputs <= 60):
            raise InputError(
                "expected classes of 10, samples of at most 138 and inputs of at most 60 for the digits, "
                f"got {self.classes}, {self.samples} and {self.inputs}"
            )
