"""Settings that may come from a JSON file: their types and ranges, checked with a sentence. This module never imports torch."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ._errors import InputError
from ._names import close_names, did_you_mean

_LARGEST = 2**63  # what counts, sizes and seeds may be at most, and what a float holds as well
Rule = tuple[tuple[str, ...], str, Callable[[Any], bool]]
"""Names of settings, what is expected of them in words, and the test. None always passes."""


def check_settings(settings: Any, rules: tuple[Rule, ...]) -> None:
    """Check every field of a dataclass against its annotation, then against the rules; these may name fields that it lacks.

    Raises:
        InputError: what was expected, what was got.
    """
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        _check_type(field.name, getattr(settings, field.name), hints[field.name])
    for names, rule, holds in rules:
        for name in names:
            value = getattr(settings, name, None)
            if value is not None and not holds(value):
                raise InputError(f"expected {name} {rule}, got {value}")


def from_known_fields(kind: type, values: Mapping[str, Any]) -> Any:
    """A dataclass from plain values; fields that are left out keep their defaults.

    Raises:
        InputError: for an unknown field or an impossible value.
    """
    known = [field.name for field in fields(kind)]
    if unknown := sorted(set(values) - set(known), key=str):
        raise InputError(f"unknown setting {unknown[0]!r}; {did_you_mean(unknown[0], sorted(known), kind='setting')}")
    return kind(**values)


def _check_type(name: str, value: Any, annotation: Any) -> None:
    """Types, and values of a `Literal`; `int | None`, `tuple[int, ...]` and the like."""
    parts = [annotation] if get_origin(annotation) in (Literal, tuple) else list(get_args(annotation)) or [annotation]
    words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
    items = [get_args(part)[0] for part in parts if get_origin(part) is tuple]
    types = tuple(part for part in parts if get_origin(part) is None)
    if value in words or (value is None and type(None) in types):
        return
    if items and isinstance(value, tuple):
        for item in value:
            _check_type(f"every one of {name}", item, items[0])
        return
    if words:
        close = close_names(value, map(str, words)) if isinstance(value, str) else []
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InputError(f"expected {name} among {', '.join(map(str, words))}, got {value!r:.80}{hint}")
    allowed = (*types, int) if float in types else types  # an int serves as a float, a bool never as a number
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in types):
        names = [f"a list of {kind.__name__}" for kind in items]
        names += ["null" if kind is type(None) else kind.__name__ for kind in types]
        raise InputError(f"expected {name} to be {' or '.join(names)}, got {value!r:.80}")
    if isinstance(value, int) and abs(value) >= _LARGEST:
        raise InputError(f"expected {name} below 2^63, got an integer of {value.bit_length()} bits")
