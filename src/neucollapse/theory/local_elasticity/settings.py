"""Settings of the locally elastic model."""

from dataclasses import dataclass
from typing import Literal

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class LocalElasticity(Settings):
    """Locally elastic stochastic equations: classes separate if and only if intra beats inter by enough, eventually."""

    classes: int = 3  # number of classes K.
    dim: int = 8
    """dimension d of the features. With the drift "labels" features are logits, and it must be the number of classes."""
    samples: int = 20  # samples of each class.
    drift: Literal["features", "labels"] = "features"
    """what a sample pulls others along: its "features", or their part along its "labels"."""
    gaps: tuple[float, ...] = (0.0, 0.75, 2.25, 3.0)
    """how much stronger samples pull their own class than others at time 0, one simulation each."""
    inter: float = 0.5  # strength with which a sample pulls other classes at time 0; may be negative.
    decay: float = 1.0
    """exponent r of both strengths, which fall as (1 + t)^-r. At 1 there is a threshold in the gap, at K/2."""
    noise: float = 0.3  # standard deviation of the Brownian motion of each sample, in unit time.
    time: float = 300.0  # how long.
    steps: int = 3000  # of Euler-Maruyama, of equal length in log(1 + t).
    replicas: int = 16  # independent copies, over which averages and standard errors are taken.

    name = "local-elasticity"
    title = "Local elasticity: LE-SDE and LE-ODE"
    question = "How do samples that drag one another along come apart?"
    citations = ("zhang2021",)
    rules = (
        at_least(2, "classes", "samples", "replicas"),
        at_least(1, "dim"),
        at_least(10, "steps"),
        at_least(0.0, "decay"),
        positive("noise", "time"),
        (("inter",), "to be finite", lambda value: abs(value) < float("inf")),
        (
            ("gaps",),
            "with at least one gap, all finite",
            lambda gaps: bool(gaps) and all(abs(g) < float("inf") for g in gaps),
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.drift == "labels" and self.dim != self.classes:
            raise InputError(
                f"expected dim = classes = {self.classes}, as drift='labels' is a model of logits, got {self.dim}"
            )
