"""Settings of the supervised contrastive model."""

from dataclasses import dataclass

from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class SupCon(Settings):
    """Supervised contrastive loss of free unit features, beside the cross-entropy of the sphere."""

    classes: int = 10  # number of classes K.
    dim: int = 16
    """dimension d of the features, at least 2: in one, unit features are +1 and -1, which no gradient moves. Below K - 1 no
    simplex fits, and nothing is predicted: an exploration."""
    samples: int = 4  # samples of each class in the batch, at least 2: without a positive there is no anchor.
    temperature: float = 0.5  # what cosines are divided by, in both losses.
    steps: int = 400  # steps of gradient descent whose trajectory is shown.
    lr: float = 0.5
    """step size of gradient descent; of the loss summed over samples, so that it is a step of each sample."""
    starts: int = 4
    """starts of the solver: the first from where gradient descent ends, the others random. The best is kept."""

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
