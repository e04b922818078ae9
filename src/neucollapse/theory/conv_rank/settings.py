"""Settings of the convolutional model whose filters keep the rank of clean data. This module never imports torch."""

from dataclasses import dataclass
from typing import Literal

from ..._errors import InputError
from .._settings import Settings, at_least, positive

PIXELS = 64
"""Of an image of the digits."""


@dataclass(frozen=True)
class ConvRank(Settings):
    """Patches of signal and noise: does a convolutional network learn the rank of the signal, whatever the noise?

    Lengths are in units of the norm of a signal, responses of filters in units of kappa: nothing else has a scale.
    """

    signals: int = 5
    """K, orthogonal signals of each of the two labels; the clean data have rank 2K. With digits: K digits have label +1 and
    the next K have label -1."""
    samples: int = 10  # samples of each signal (of each digit).
    patches: int = 3  # patches of a sample: one of signal, the others of noise.
    dim: int = 1000  # d, of a patch. Digits fill the first 64 coordinates.
    noise: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0, 4.0)
    """levels: norm of a noise patch over the norm of a signal, sigma sqrt(d)."""
    orthogonal: bool = True  # whether noise has no part in the span of the signals (the 64 pixels of a digit).
    data: Literal["synthetic", "digits"] = "synthetic"
    """synthetic, or digits: images of the digits, centred and of unit norm, as signal patches."""
    width: int = 300  # m, filters of each sign of the second layer, which is fixed at +1/m and -1/m.
    power: float = 3.0  # q of the Huberised ReLU, z^q / (q kappa^(q-1)) up to kappa and linear from there.
    kappa: float = 1.0
    """in units of m. At q one filter alone brings a sample to a margin of 1 before its response is linear; far below, many
    filters have to."""
    init: float = 5e-3  # standard deviation of a filter's response to a signal at the start, in units of kappa.
    lr: float = 4.0
    """step size, in units of 2 K m kappa: at first one step moves a response of kappa by half as many kappa."""
    steps: int = 300  # of full-batch gradient descent.
    runs: int = 1  # draws of data and filters; the levels of noise of a run share both but for the scale of the noise.

    name = "conv-rank"
    title = "Convolutional filters and the rank of clean data"
    question = "Do convolutional filters learn the rank of clean data from noisy data?"
    citations = ("zhang2025",)
    rules = (
        at_least(1, "signals", "samples", "dim", "width", "steps", "runs"),
        at_least(2, "patches"),
        at_least(2.0, "power"),
        positive("kappa", "init", "lr"),
        (
            ("noise",),
            "to be one or more different levels from 0, finite and in rising order",
            lambda levels: (
                len(levels) > 0
                and list(levels) == sorted(set(levels))
                and all(0 <= level < float("inf") for level in levels)
            ),
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        taken = PIXELS if self.data == "digits" else 2 * self.signals
        if self.dim <= taken:
            raise InputError(f"expected dim above {taken}, which the signals take, got {self.dim}")
        if self.data == "digits" and self.signals > 5:
            raise InputError(f"expected signals of at most 5, for there are ten digits, got {self.signals}")
        if self.data == "digits" and self.samples > 130:
            raise InputError(f"expected samples of at most 130, for no digit has many more, got {self.samples}")
