"""One choice among several, such as the head of a configuration: from JSON and from words, and back.

A choice is a frozen dataclass with a name, whose fields are the options that it alone has. This module never imports torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from types import NoneType
from typing import Any, ClassVar, Protocol, TypeVar, get_args, get_type_hints

from .._errors import InputError
from .._names import close_names, did_you_mean


class Choice(Protocol):
    """Any choice."""

    name: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]


C = TypeVar("C", bound=Choice)


def as_dict(choice: Choice) -> dict[str, Any]:
    """The name and all options, as plain JSON values."""
    return {"name": choice.name, **asdict(choice)}


def as_words(choice: Choice) -> str:
    """The name, and the options that are not the defaults, as the command line takes them."""
    values = {option: getattr(choice, option) for option in options_of(type(choice))}
    return _words(
        choice.name, {name: value for name, value in values.items() if value != options_of(type(choice))[name]}
    )


def signature(kind: type[Choice]) -> str:
    """The name, and all options with their defaults; ``...`` for one that has none."""
    return _words(kind.name, {name: "..." if value is MISSING else value for name, value in options_of(kind).items()})


def _words(name: str, options: Mapping[str, Any]) -> str:
    return " ".join([name, *(f"{option.replace('_', '-')}={value}" for option, value in options.items())])


def options_of(kind: type[Choice]) -> dict[str, Any]:
    """The options of a choice and their defaults."""
    return {option.name: option.default for option in fields(kind)}


def read_choice(setting: str, kinds: Mapping[str, type[C]], value: Any) -> C:
    """A choice from its name, or from a mapping of ``name`` and options.

    Args:
        setting: what is chosen, for messages.
        kinds: the choices by name.
        value: the choice.

    Raises:
        InputError: for a name or an option that is not known, or an impossible value.
    """
    values = dict(value) if isinstance(value, Mapping) else {"name": value}
    name = values.pop("name", None)
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        close = close_names(name, kinds) if isinstance(name, str) else []
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise InputError(f"expected {setting} among {', '.join(kinds)}, got {name!r:.80}{hint}")
    known = options_of(kind)
    for unknown in (option for option in values if option not in known):
        end = did_you_mean(unknown, known, kind="option") if known else "it has none"
        raise InputError(f"{setting} {name} has no option {str(unknown)[:80]!r}; {end}")
    for needed in (option for option, default in known.items() if default is MISSING and option not in values):
        raise InputError(f"expected {setting} {name} with a {needed}, got none")
    return kind(**values)


def parse_choice(setting: str, kinds: Mapping[str, type[C]], words: Sequence[str]) -> C:
    """A choice from words: its name, then ``option=value`` for each option, spelled with ``-`` or ``_``.

    Raises:
        InputError: as ``read_choice``, and for a word that is no option.
    """
    name, *pairs = words or [""]
    hints = get_type_hints(kinds[name]) if name in kinds else {}
    values: dict[str, Any] = {}
    for word, sign, text in (pair.partition("=") for pair in pairs):
        if not sign:
            raise InputError(f"expected options of {setting} {name} as option=value, got {word!r}")
        option = word.replace("-", "_")
        values[option] = _value(text, hints.get(option))
    return read_choice(setting, kinds, {**values, "name": name})


def _value(text: str, annotation: Any) -> Any:
    """What a word says, as one of the types of an annotation; the word where it is none of them."""
    kinds = get_args(annotation) or (annotation,)
    word = text.lower()
    if word == "none" and NoneType in kinds:
        return None
    if word in ("true", "false") and bool in kinds:
        return word == "true"
    for kind in (int, float):
        try:
            if kind in kinds:
                return kind(text)
        except ValueError:
            continue
    return text
