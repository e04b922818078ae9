"""Settings of the margin bounds."""

from dataclasses import dataclass

from ..._errors import InputError
from .._settings import Settings, at_least, positive


@dataclass(frozen=True)
class MarginBound(Settings):
    """Margin, covering and few-shot bounds of Gaussian classes about a code, beside what is measured: diagnostics, no promise."""

    classes: int = 10  # how many.
    dim: int = 3  # of the features; the class means are the best code of this size.
    samples: int = 30_000  # of a class, to train on.
    tests: int = 2000  # of a class, for the measured error.
    noise: float = 0.4  # standard deviation of the noisiest class, at the last level.
    levels: int = 8  # of noise, in equal steps up to `noise`.
    uneven: float = 3.0
    """standard deviation of the noisiest class over that of the calmest. At 1 all classes are alike."""
    similar: float = 1.0
    """how far a class leans towards its partner class, in its own standard deviations. At 0 noise is round."""
    permutations: int = 50  # relabellings of the vertices that are tried.
    shots: tuple[int, ...] = (1, 2, 5, 20, 100)  # samples of a class that the nearest class mean is made of.
    trials: int = 200  # draws of shots and queries for each few-shot error.
    delta: float = 0.05  # probability with which the margin bound may fail.
    digits: bool = True
    """measure few-shot errors on digits too: on their pixels, and on the features of a small network trained here."""

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
