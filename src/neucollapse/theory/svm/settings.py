"""Settings of `svm`."""

from dataclasses import dataclass
from typing import Literal

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class SVM(Settings):
    """Cross-entropy without decay: its gradient flow turns towards the hard-margin multi-class SVM (Ji et al., Gao et al.)."""

    classes: int = 10  # K.
    dim: int = 16  # d, of the features.
    samples: int = 1  # n of each class, where no counts are given.
    counts: tuple[int, ...] = ()
    """samples of each class, for classes of unequal size: K numbers. Empty for `samples` of each."""
    features: Literal["free", "fixed"] = "free"
    """whether features are `free` and move with the classifier (the layer-peeled model), or random and `fixed` (a linear
    classifier; it needs dim of at least the number of samples, so that they can be separated)."""
    drop: float = 1000.0
    """how far the flow is followed: by how many nats the loss falls. 1000 is a loss of about 1e-434."""
    points: int = 50  # how often it is measured, geometrically spaced in the logarithm of the loss.
    init: float = 0.3  # standard deviation of everything that moves, at the start.
    descent_steps: int = 10000  # of plain gradient descent from the same start, shown beside the flow.
    descent_lr: float = 1.0  # its step size.

    name = "svm"
    title = "From cross-entropy to the hard-margin SVM"
    question = "Where does cross-entropy go without any regularisation?"
    citations = ("ji2022", "gao2023margins")
    rules = (
        at_least(2, "classes", "points"),
        at_least(1, "dim", "samples"),
        at_least(0, "descent_steps"),
        positive("drop", "init", "descent_lr"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.counts and len(self.counts) != self.classes:
            raise InputError(f"expected counts of {self.classes} classes, got {len(self.counts)}: {self.counts}")
        if self.counts and min(self.counts) < 1:
            raise InputError(f"expected every class to have a sample, got counts {self.counts}; drop the empty class")
        if self.features == "free" and self.dim == 1 and self.classes > 2:
            raise InputError(
                f"expected dim of at least 2 for {self.classes} classes: in one dimension no classifier without bias tells more "
                "than two apart"
            )
        total = sum(self.counts) or self.classes * self.samples
        if self.features == "fixed" and self.dim < total:
            raise InputError(
                f"expected dim of at least the number of samples, {total}, so that random fixed features can be separated, "
                f"got {self.dim}"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Samples of each class."""
        return self.counts or (self.samples,) * self.classes
