"""Names that are not known (options, keys, presets, layers, models): one sentence, with the name that was likely meant."""

from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from functools import wraps
from inspect import Parameter, Signature, signature
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, Unpack, get_args, get_origin

from ._errors import InputError, OptionError, UnknownNameError

P = ParamSpec("P")
R = TypeVar("R")

_CLOSE = 0.6  # share of letters two names have in common, in order: a swapped, missing or doubled letter keeps more
_LISTED = 16  # names; a longer list is cut


def close_names(name: object, known: Iterable[str], *, at_most: int = 3) -> list[str]:
    """The known names most like a name, the likeliest first; none if nothing is like it.

    Upper and lower case are the same, and so are `-`, `_` and space. A part between slashes counts as the whole
    where it fits better, so that `"pinv"` finds `"nc1/pinv"`.

    Examples:
        >>> close_names("wieght", ["bias", "weight"]), close_names("pinv", ["nc1/pinv"]), close_names("x", ["weight"])
        (['weight'], ['nc1/pinv'], [])
    """
    rated = [(_likeness(str(name), other), other) for other in dict.fromkeys(map(str, known))]
    return [other for likeness, other in sorted(rated, key=lambda pair: -pair[0]) if likeness >= _CLOSE][:at_most]


def _likeness(name: str, other: str) -> float:
    name, other = (text.lower().replace("_", "-").replace(" ", "-") for text in (name, other))
    parts = [other, *(part for part in other.split("/") if "/" not in name)]
    whole = SequenceMatcher(None, name, other).ratio()
    return max(whole, *(0.95 * SequenceMatcher(None, name, part).ratio() for part in parts))


def did_you_mean(name: object, known: Iterable[str], *, kind: str = "name") -> str:
    """The end of a sentence about an unknown name: what was likely meant, or else which names there are.

    Examples:
        >>> did_you_mean("wieght", ["bias", "weight"]), did_you_mean("colour", ["bias", "weight"], kind="option")
        ("did you mean 'weight'?", 'expected an option among bias, weight')
    """
    known = list(dict.fromkeys(map(str, known)))
    if found := close_names(name, known):
        return f"did you mean {' or '.join(map(repr, found))}?"
    if not known:
        return "there is none"
    listed = ", ".join(known[:_LISTED]) + (f", ... ({len(known)} in all)" if len(known) > _LISTED else "")
    return f"expected {'an' if kind[0] in 'aeiou' else 'a'} {kind} among {listed}"


def unknown_name(kind: str, name: object, known: Iterable[str], *, owner: str = "") -> UnknownNameError:
    """The error to raise for an unknown name; `owner` is who does not have it.

    Examples:
        >>> print(unknown_name("preset", "papyan", ["papyan2020", "zhu2021"]))
        there is no preset 'papyan'; did you mean 'papyan2020'?
        >>> print(unknown_name("model", "cube", ["ufm", "svm"], owner="simulate"))
        simulate has no model 'cube'; expected a model among ufm, svm
    """
    start = f"{owner} has" if owner else "there is"
    return UnknownNameError(f"{start} no {kind} {name!r}; {did_you_mean(name, known, kind=kind)}")


def names_options(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function: an option it does not have is refused with the one that was likely meant.

    So is the value of an option that is annotated as an integer, a bool, a string or a few words (`Literal`), and is another:
    "measure has no option 'wieght'; did you mean 'weight'?" or "expected seed as an integer, got '1'". Both are an
    `OptionError`. The signature stays as it is, for readers, type checkers and `inspect.signature`.
    """
    shown = _with_keywords(function)
    allowed = {p.name: _allowed(p.annotation) for p in shown.parameters.values()}
    known = [
        p.name for p in shown.parameters.values() if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    ]
    of_class = function.__name__ == "__init__"

    @wraps(function)
    def call(*arguments: P.args, **options: P.kwargs) -> R:
        for name, value in options.items():
            if name not in known:
                owner = type(arguments[0]).__name__ if of_class else function.__name__
                raise OptionError(
                    f"{owner} has no option {name!r}; {did_you_mean(name, known[of_class:], kind='option')}"
                )
            if allowed[name]:
                options[name] = _checked(name, value, allowed[name])
        return function(*arguments, **options)

    call.__signature__ = shown  # pyright: ignore[reportAttributeAccessIssue]
    return call


def _with_keywords(function: Callable[..., Any]) -> Signature:
    """The signature, with the options of a `**options: Unpack[...]` one by one."""
    shown = signature(function)
    named = [*shown.parameters.values()]
    if not named or named[-1].kind is not Parameter.VAR_KEYWORD:
        return shown
    last = named.pop()
    if get_origin(last.annotation) is not Unpack:
        raise TypeError(f"{function.__name__} takes any keyword, so none can be unknown")
    options = get_args(last.annotation)[0].__annotations__
    further = [Parameter(name, Parameter.KEYWORD_ONLY, default=_DEFAULT, annotation=of) for name, of in options.items()]
    return shown.replace(parameters=[*named, *further])


class NamesOptions:
    """Base of classes whose constructors refuse an option they do not have, as functions with `names_options` do."""

    def __init_subclass__(cls, **of_class: Any) -> None:
        super().__init_subclass__(**of_class)
        if "__init__" in vars(cls):
            cls.__init__ = names_options(cls.__init__)


class _Default:
    """How `help` shows that an option has a default, which the docstring names."""

    def __repr__(self) -> str:
        return "..."


_DEFAULT = _Default()
_KINDS: dict[object, str] = {int: "an integer", bool: "a bool", str: "a string", NoneType: "None"}


def _allowed(annotation: object) -> tuple[object, ...]:
    """The simple types, None and the words that an annotation allows; nothing where it allows anything else."""
    if isinstance(annotation, str):  # a type in quotes
        return ()
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    found = [word for part in parts for word in (get_args(part) if get_origin(part) is Literal else [part])]
    return tuple(found) if all(isinstance(one, str) or one in _KINDS for one in found) else ()


def _checked(name: str, value: Any, allowed: tuple[object, ...]) -> Any:
    """The value, which must be one of these words or types; an integer or a bool of NumPy becomes Python's."""
    is_bool = type(value).__name__ in ("bool", "bool_")  # a bool of NumPy, which is not imported for this
    for one in allowed:
        if one is bool and is_bool:
            return bool(value)
        if one is int and not is_bool and hasattr(value, "__index__"):
            return int(value)
        if (one is NoneType and value is None) or (isinstance(value, str) and one in (str, value)):
            return value
    if words := [f'"{one}"' for one in allowed if isinstance(one, str)]:
        words += ["None"] * (NoneType in allowed)
        raise InputError(f"expected {name} to be {', '.join(words[:-1])} or {words[-1]}, got {value!r}")
    raise OptionError(f"expected {name} as {' or '.join(_KINDS[kind] for kind in allowed)}, got {value!r}")
