"""Settings of the supervised contrastive model."""

from dataclasses import dataclass

from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class SupCon(Settings):
    """Supervised contrastive loss of free unit features, beside the cross-entropy of the sphere.

    Attributes:
        classes: number of classes K.
        dim: dimension d of the features, at least 2: in one, unit features are +1 and -1, which no gradient moves. Below
            K - 1 no simplex fits, and nothing is predicted: an exploration.
        samples: samples of each class in the batch, at least 2: without a positive there is no anchor.
        temperature: what cosines are divided by, in both losses.
        steps: steps of gradient descent whose trajectory is shown.
        lr: step size of gradient descent; of the loss summed over samples, so that it is a step of each sample.
        starts: starts of the solver: the first from where gradient descent ends, the others random. The best is kept.
    """

    classes: int = 10
    dim: int = 16
    samples: int = 4
    temperature: float = 0.5
    steps: int = 400
    lr: float = 0.5
    starts: int = 4

    name = "supcon"
    title = "Supervised contrastive loss of free unit features"
    question = "Where does the supervised contrastive loss end?"
    citations = ("graf2021", "khosla2020")
    rules = (
        at_least(2, "classes", "samples"),
        (
            ("dim",),
            "of at least 2 (in one dimension unit features are +1 and -1, which no gradient moves)",
            lambda d: d >= 2,
        ),
        at_least(1, "steps", "starts"),
        positive("lr"),
        at_least(0.02, "temperature"),
    )
