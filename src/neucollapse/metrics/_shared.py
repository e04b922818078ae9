"""What several metrics need is made by the first that asks for it, and kept with the terms that it was made from."""

from collections.abc import Callable, Hashable
from functools import wraps
from inspect import signature
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, runtime_checkable

P = ParamSpec("P")
T = TypeVar("T")


@runtime_checkable
class Keeper(Protocol):
    """An object that keeps what was made from it."""

    made: dict[Hashable, Any]


K = TypeVar("K", bound=Keeper)


def shared(make: Callable[Concatenate[K, P], T]) -> Callable[Concatenate[K, P], T]:
    """Decorate a function of terms or rows: it runs once for each set of arguments, and its first argument keeps the value.

    Examples:
        >>> class Numbers:
        ...     def __init__(self, *values):
        ...         self.values, self.made = values, {}
        >>> @shared
        ... def largest(numbers, sign=1):
        ...     print("made")
        ...     return max(sign * value for value in numbers.values)
        >>> numbers = Numbers(3, 4)
        >>> largest(numbers), largest(numbers, 1), largest(numbers, sign=1)
        made
        (4, 4, 4)
    """
    form = signature(make)

    @wraps(make)
    def get(keeper: K, *arguments: P.args, **options: P.kwargs) -> T:
        given = form.bind(keeper, *arguments, **options)
        given.apply_defaults()
        key = (make, *given.args[1:], *given.kwargs.items())
        if key not in keeper.made:
            keeper.made[key] = make(keeper, *arguments, **options)
        return keeper.made[key]

    return get
