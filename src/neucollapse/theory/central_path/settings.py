"""Settings of `central-path`."""

from dataclasses import dataclass
from typing import Literal

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class CentralPath(Settings):
    """Squared loss with the least-squares classifier: exact dynamics of the signal-to-noise ratio (Han et al.)."""

    classes: int = 5  # K.
    dim: int = 12  # d, of the features.
    samples: int = 10  # n of each class. The scatter within classes must have full rank: K (n - 1) >= d.
    signal: float = 0.3  # size of the class means at the start, in units of the scatter within classes.
    horizon: float = 1e5  # how long the flow is followed, in units of N K, in which a small signal grows e-fold.
    points: int = 40  # how many times are compared, geometrically spaced.
    renormalise: Literal["project", "whiten"] = "project"
    """how the scatter within classes is kept at the identity: `project` the gradient onto the features that have it, or
    `whiten` the features after every infinitesimal step."""
    descent_steps: int = 4000
    """of plain gradient descent in classifier and features, not renormalised, shown beside the path."""
    descent_lr: float = 0.1  # its step size.
    feature_speed: float = 10.0
    """how many times faster than by its own gradient, which carries a 1/N, a feature moves in that descent."""

    name = "central-path"
    title = "The central path of the squared loss"
    question = "How does the squared loss approach collapse over time?"
    citations = ("han2022",)
    rules = (
        at_least(2, "classes", "samples", "points"),
        at_least(1, "dim"),
        at_least(0, "descent_steps"),
        positive("signal", "horizon", "descent_lr", "feature_speed"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        rank = self.classes * (self.samples - 1)
        if rank < self.dim:
            raise InputError(
                f"expected classes * (samples - 1) of at least dim, so that features vary in every direction within classes, "
                f"got {self.classes} * {self.samples - 1} = {rank} below {self.dim}; take more samples or a smaller dim"
            )
