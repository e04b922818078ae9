"""Deadlines: a moment of the monotonic clock, which the processes of one machine share; None is no deadline."""

import math
from time import monotonic


def deadline(budget: float | int | None) -> float | None:
    """The moment that many seconds from now."""
    return None if budget is None else monotonic() + budget


def left(until: float | None) -> float:
    """Seconds to a deadline, negative once it has passed."""
    return math.inf if until is None else until - monotonic()


def late(until: float | None) -> bool:
    """Whether a deadline has passed."""
    return left(until) <= 0
