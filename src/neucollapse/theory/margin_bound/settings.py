"""Settings of the margin bounds."""

from dataclasses import dataclass

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class MarginBound(Settings):
    """Margin, covering and few-shot bounds of Gaussian classes about a code, beside what is measured: diagnostics, no promise.

    Attributes:
        classes: how many.
        dim: of the features; the class means are the best code of this size.
        samples: of a class, to train on.
        tests: of a class, for the measured error.
        noise: standard deviation of the noisiest class, at the last level.
        levels: of noise, in equal steps up to `noise`.
        uneven: standard deviation of the noisiest class over that of the calmest. At 1 all classes are alike.
        similar: how far a class leans towards its partner class, in its own standard deviations. At 0 noise is round.
        permutations: relabellings of the vertices that are tried.
        shots: samples of a class that the nearest class mean is made of.
        trials: draws of shots and queries for each few-shot error.
        delta: probability with which the margin bound may fail.
        digits: measure few-shot errors on digits too: on their pixels, and on the features of a small network trained here.
    """

    classes: int = 10
    dim: int = 3
    samples: int = 30_000
    tests: int = 2000
    noise: float = 0.4
    levels: int = 8
    uneven: float = 3.0
    similar: float = 1.0
    permutations: int = 50
    shots: tuple[int, ...] = (1, 2, 5, 20, 100)
    trials: int = 200
    delta: float = 0.05
    digits: bool = True

    name = "margin-bound"
    title = "Margin, covering and few-shot bounds"
    question = "What do margins say of test error, and few-shot error?"
    citations = ("gao2023margins", "gao2023study", "galanti2022")
    rules = (
        at_least(2, "classes", "samples", "permutations", "trials"),
        at_least(1, "dim", "levels", "tests"),
        at_least(1.0, "uneven"),
        at_least(0.0, "similar"),
        positive("noise"),
        (("delta",), "between 0 and 1", lambda value: 0 < value < 1),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.shots or min(self.shots) < 1:
            raise InputError(f"expected shots of at least 1 sample of a class, got {list(self.shots)}")
        if self.dim == 1 and self.classes > 2:
            raise InputError(f"expected dim of at least 2 for {self.classes} classes: a line has two directions")
