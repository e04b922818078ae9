"""How far apart the two closest points of a code are: one distance, told as cosine, angle, chord and margin."""

import math
from dataclasses import dataclass
from typing import Any

from ..._errors import InputError
from ._cosines import closest_pair


@dataclass(frozen=True)
class Separation:
    r"""The distance of two unit vectors, in whichever unit it is asked for.

    $$s = \cos\alpha = 1 - c^2/2, \qquad c = 2 \sin(\alpha/2), \qquad 1 - s = c^2/2 \le \rho$$

    It is kept as the chord, which has all its digits at small distances, where the cosine rounds to 1. For the closest pair
    of a code, `margin_floor` is what its margin is at least; codes that are best for their size reach it in every case that
    is known, but a code in general has a larger margin. A value out of range raises `InputError`.

    Attributes:
        chord: Euclidean distance c, in [0, 2].
    """

    chord: float | int

    def __post_init__(self) -> None:
        _check(self.chord, "a chord", 2)

    @classmethod
    def of_cosine(cls, cosine: float | int) -> "Separation":
        """From the cosine s, in [-1, 1]. Near 1 its digits are few: 1 - 1e-12 knows the chord to four."""
        return cls(math.sqrt(2 - 2 * _check(cosine, "a cosine", 1, least=-1)))

    @classmethod
    def of_angle(cls, angle: float | int) -> "Separation":
        """From the angle in radians, in [0, pi]."""
        return cls(2 * math.sin(_check(angle, "an angle in radians", math.pi) / 2))

    @classmethod
    def of_degrees(cls, degrees: float | int) -> "Separation":
        """From the angle in degrees, in [0, 180]."""
        return cls.of_angle(math.radians(_check(degrees, "an angle in degrees", 180)))

    @classmethod
    def of_margin(cls, margin: float | int) -> "Separation":
        """The least separation that ensures a margin, in [0, 2]: the one of cosine 1 - margin."""
        return cls(math.sqrt(2 * _check(margin, "a margin", 2)))

    @property
    def cosine(self) -> float:
        """The cosine s, in [-1, 1]: the maximal cosine of a code, for its closest pair."""
        return 1 - self.margin_floor

    @property
    def angle(self) -> float:
        """The angle in radians, in [0, pi]."""
        return 2 * math.asin(self.chord / 2)

    @property
    def degrees(self) -> float:
        """The angle in degrees, in [0, 180]."""
        return math.degrees(self.angle)

    @property
    def margin_floor(self) -> float:
        """1 - s = c^2 / 2: every code of this separation has a margin of at least that (Cauchy and Schwarz)."""
        return self.chord**2 / 2


def separation(points: Any) -> Separation:
    """The smallest distance between the directions of two rows: smallest angle, smallest chord, largest cosine.

    Tiled: K = 50,000 never stores K x K. Exact however close the two are. That the margin is at least 1 - s is in arXiv
    2310.05351.

    Args:
        points: (K, d), K >= 2; only directions count.

    Examples:
        >>> from neucollapse.geometry import polygon
        >>> closest = separation(polygon(6))
        >>> round(closest.degrees, 12), round(closest.chord, 12), round(closest.cosine, 12)
        (60.0, 1.0, 0.5)
    """
    return Separation(min(closest_pair(points).chord, 2.0))


def _check(value: float | int, name: str, most: float | int, *, least: int = 0) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InputError(f"expected {name} in [{least:g}, {most:g}], got {value!r}")
    return value
