"""The values a metric can take: declared once, printed from the declaration, and checked for every number."""

import math
from collections.abc import Callable
from dataclasses import dataclass

# How far beyond an end rounding alone can carry a number: means over up to 1e8 pairs of classes or samples, of terms
# that are right to 2.2e-16. What is published is the number as it was computed; nothing is moved back to the end.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Bound:
    """An end of a range that depends on K and d: how it is printed, and what it is."""

    text: str
    of: Callable[[int, int], float]


@dataclass(frozen=True)
class Range:
    """The numbers between two ends, which belong to it unless they are infinite or said to be open.

    Its string is the printed form.

    Examples:
        >>> print(Range(0, math.inf), Range(-1, 1), Range(0, 1, open_upper=True))
        [0, ∞) [-1, 1] [0, 1)
    """

    lower: int | float | Bound
    upper: int | float | Bound
    open_lower: bool = False
    open_upper: bool = False

    def __str__(self) -> str:
        left = "(" if self.open_lower or self.lower == -math.inf else "["
        right = ")" if self.open_upper or self.upper == math.inf else "]"
        return f"{left}{_printed(self.lower)}, {_printed(self.upper)}{right}"

    def ends(self, K: int, d: int) -> tuple[float, float]:
        """Both ends, as numbers."""
        lower, upper = (float(end.of(K, d) if isinstance(end, Bound) else end) for end in (self.lower, self.upper))
        return lower, upper

    def why_not(self, value: float, K: int, d: int) -> str | None:
        """Why `value` is no number of this range, as the end of a sentence; None where it is one, up to rounding."""
        if not math.isfinite(value):
            return f"is {value}: it overflowed, or has no value here (its range is {self})"
        lower, upper = self.ends(K, d)
        beyond = max(lower - value, value - upper)
        if beyond <= 0 and not (self.open_lower and value == lower) and not (self.open_upper and value == upper):
            return None
        end = lower if value <= lower else upper
        if 0 < beyond <= ROUNDING * max(1.0, abs(end)):
            return None
        return f"came out as {value:.6g}, outside of its range {self}: what was measured cannot tell it"


def _printed(end: int | float | Bound) -> str:
    if isinstance(end, Bound):
        return end.text
    return f"{'-' * (end < 0)}∞" if math.isinf(end) else f"{end:g}"


NONNEGATIVE = Range(0, math.inf)
SHARE = Range(0, 1)
UP_TO_2 = Range(0, 2)
ANY = Range(-math.inf, math.inf)
