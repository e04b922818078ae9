"""Conditions on a result, such as `nc1/pinv>0.1`: what fails a command, or ends a training."""

from math import isfinite
from typing import NamedTuple

from ._errors import InputError

_COMPARISONS = {
    ">=": lambda value, limit: value >= limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    "<": lambda value, limit: value < limit,
}


class Condition(NamedTuple):
    """A key, a comparison and a limit.

    Examples:
        >>> Condition.parse("train/nc1/pinv<1e-3")
        Condition(text='train/nc1/pinv<1e-3', key='train/nc1/pinv', sign='<', limit=0.001)
    """

    text: str
    key: str
    sign: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read a condition; raises `InputError` if it is none."""
        sign = next((sign for sign in _COMPARISONS if sign in text), None)
        try:
            if sign is None:
                raise ValueError
            key, limit = text.split(sign)
            if not key.strip() or not isfinite(float(limit)):
                raise ValueError
            return cls(text, key.strip(), sign, float(limit))
        except ValueError:
            raise InputError(f"expected a condition such as 'nc1/pinv>0.1', got {text!r}") from None

    def holds_for(self, value: float) -> bool:
        """Whether it holds for a value of its key; never for NaN."""
        return _COMPARISONS[self.sign](value, self.limit)
