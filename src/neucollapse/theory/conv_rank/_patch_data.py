"""Samples made of patches: one that holds a signal, the others background noise."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..._types import Float, Int
from .settings import PIXELS, ConvRank

Split = tuple[Tensor, Tensor, Tensor]
"""Signals, their signs, and which signal each sample has."""
_TESTS = 25  # samples of each signal to test on, at least or, of digits, at most


class Patches(NamedTuple):
    """N samples of P patches each. A patch that several samples share is kept once.

    Attributes:
        rows: the different patches, (U, d).
        members: which of them each sample consists of, (N, P); the first one is its signal.
        labels: +1 or -1, (N,).
    """

    rows: Float[Tensor, "U d"]
    members: Int[Tensor, "N P"]
    labels: Float[Tensor, " N"]

    def matrix(self) -> Float[Tensor, "NP d"]:
        """All patches of all samples: the data matrix, whose stable rank is compared with that of the filters."""
        return self.rows[self.members.reshape(-1)]

    def signal_matrix(self) -> Float[Tensor, "N d"]:
        """The data matrix without noise."""
        return self.rows[self.members[:, 0]]


@dataclass(frozen=True)
class Draw:
    """Signals and noise of one run, before the noise has a level; train and test.

    Attributes:
        signals: the signal patches, (S, d), of norm 1.
        signs: label of each of them, (S,).
        samples: which signal each sample has, (N,).
        noise: (N (P - 1), d), of norm 1 on average.
    """

    signals: Tensor
    signs: Tensor
    samples: Tensor
    noise: Tensor

    def at(self, level: float) -> Patches:
        """The samples, with noise patches of this norm."""
        N = len(self.samples)
        noisy = torch.arange(len(self.noise)).reshape(N, -1) + len(self.signals)
        members = torch.cat([self.samples[:, None], noisy], dim=1)
        return Patches(torch.cat([self.signals, level * self.noise]), members, self.signs[self.samples])


def draw_patches(settings: ConvRank, generator: torch.Generator) -> tuple[Draw, Draw]:
    """Training and test samples: the same signals (other images of the same digits), other noise."""
    train, test = _digits(settings) if settings.data == "digits" else _synthetic(settings)
    noise = (_noise(settings, len(samples), generator) for _, _, samples in (train, test))
    return Draw(*train, next(noise)), Draw(*test, next(noise))


def _noise(settings: ConvRank, N: int, generator: torch.Generator) -> Tensor:
    d, taken = settings.dim, 0
    if settings.orthogonal:
        taken = PIXELS if settings.data == "digits" else 2 * settings.signals
    noise = torch.randn(N * (settings.patches - 1), d, generator=generator, dtype=torch.float64)
    noise[:, :taken] = 0
    return noise / math.sqrt(d - taken)


def _synthetic(settings: ConvRank) -> list[Split]:
    # Gaussian noise and filters look alike in every orthonormal basis, so the signals may be the first 2K axes.
    K, n = settings.signals, settings.samples
    signals = torch.eye(2 * K, settings.dim, dtype=torch.float64)
    return [(signals, _signs(K), torch.arange(2 * K).repeat_interleave(count)) for count in (n, max(n, _TESTS))]


def _digits(settings: ConvRank) -> list[Split]:
    from ...data import load_digits

    data, K = load_digits(seed=settings.seed, flat=True), settings.signals
    if data.test is None:
        raise AssertionError("the digits have a test split")
    mean, parts = data.train.tensors[0].double().mean(0), []
    for split, most in ((data.train, settings.samples), (data.test, _TESTS)):
        images, digits = split.tensors
        rows = torch.cat([(digits == digit).nonzero()[:most, 0] for digit in range(2 * K)])
        pixels = torch.nn.functional.normalize(images[rows].double() - mean)
        signals = torch.nn.functional.pad(pixels, (0, settings.dim - PIXELS))
        parts.append((signals, _signs(K)[digits[rows]], torch.arange(len(rows))))
    return parts


def _signs(K: int) -> Tensor:
    return torch.tensor([1.0] * K + [-1.0] * K, dtype=torch.float64)
