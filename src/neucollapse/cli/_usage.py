"""Words on the command line that cannot be taken: one sentence for each, with what was likely meant."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_type_hints, is_typeddict

from tyro import _errors

from .._errors import InputError, NeucollapseError
from .._names import close_names, did_you_mean, unknown_name
from ..training._config import home_of

Commands = Mapping[str, "type | Mapping[str, type]"]
"""Commands by name; where several follow one word, the first of them is meant by the word alone."""


@contextmanager
def in_sentences(given: list[str], commands: Commands) -> Iterator[None]:
    """Whatever tyro cannot take is an error with a sentence, in place of a box and an exit.

    tyro marks this hook as experimental; pyproject.toml names the versions that have it.
    """

    def refuse(event: _errors.ParseErrorEvent) -> None:
        cause = getattr(sys.exc_info()[1], "__context__", None)
        raise cause if isinstance(cause, NeucollapseError) else _error(event, *called(given, commands))

    with _errors.on_parse_error(refuse):
        yield


def called(given: list[str], commands: Commands) -> tuple[str, Any]:
    """The words that name a command, and the command, or those of which one may follow."""
    words, here = ["neucollapse"], commands
    for word in given:
        if not isinstance(here, Mapping) or word not in here:
            break
        words.append(word)
        here = here[word]
    return " ".join(words), here


def _error(event: Any, place: str, here: Any) -> InputError:
    """The error for what is wrong: ``here`` is the command that was called, or those of which one was to follow."""
    unknown = getattr(event, "tokens", None) or getattr(event, "unrecognized_tokens", None)
    if unknown:
        word = unknown[0]
        if word.startswith("-"):
            return _unknown_option(word.partition("=")[0].replace("_", "-"), place, here)
        if isinstance(here, Mapping):
            return unknown_name("model" if place.endswith("simulate") else "subcommand", word, here, owner=place)
        return InputError(f"{place} has no place for {word!r}; `{place} --help` says what it takes")
    if isinstance(event, _errors.MissingArgs):
        missing = " and ".join(argument.arg.display_name() for argument in event.missing_arguments)
        return InputError(f"{place} expected {missing}, got none; `{place} --help` says what it takes")
    name = event.argument.display_name() if getattr(event, "argument", None) else place
    if isinstance(event, _errors.InvalidChoice):
        return InputError(
            f"{name} has no choice {event.value!r}; {did_you_mean(event.value, event.choices, kind='choice')}"
        )
    if isinstance(event, _errors.InstantiationFailure) and event.argument:
        return InputError(f"expected {name} as {event.argument.lowered.metavar}: {event.message}")
    return InputError(f"expected {name} with a value, got none; `{place} --help` says what it takes")


def _unknown_option(name: str, place: str, here: Any) -> InputError:
    kind = next(iter(here.values())) if isinstance(here, Mapping) else here
    close = close_names(name[2:], [other.replace("_", "-") for other in settings_of(kind)])
    home = home_of(name[2:].replace("-", "_")) if place.endswith("train") else None
    if home:
        end = f"it is an option of {home[0]}, written --{home[1]} {home[2]} {name[2:]}=..."
    elif close:
        end = f"did you mean {' or '.join(f'--{other}' for other in close)}?"
    else:
        end = f"`{place} --help` lists what it has"
    return InputError(f"{place} has no option {name}; {end}")


def settings_of(command: type) -> Iterator[str]:
    """The names of what a command takes."""
    for name, hint in get_type_hints(command).items():
        yield from hint.__annotations__ if is_typeddict(hint) else [name]
