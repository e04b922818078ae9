"""The options that a dataclass of settings gives to a command: what is given, and nothing of what is not."""

from collections.abc import Mapping
from dataclasses import fields
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, get_args, get_type_hints

import tyro

if TYPE_CHECKING:
    from ..training._choices import Choice


def options_of(default: Any, choices: "Mapping[str, Mapping[str, type[Choice]]] | None" = None) -> Any:
    """A dictionary type with a key for each setting, all optional, so that settings that are not given keep another default.

    Args:
        default: settings, which the help shows as defaults.
        choices: settings of which one of several is chosen, and what each may be, by name.

    Returns:
        The type, as tyro takes it.
    """
    hints = get_type_hints(type(default))
    helps = getattr(type(default), "helps", dict[str, str])()  # where the docstring does not tell of every field
    kinds: dict[str, Any] = {}
    for name in (field.name for field in fields(default)):
        value = getattr(default, name)
        if choices and name in choices:
            kinds[name] = _choice(name, choices[name], value, NoneType in get_args(hints[name]))
        else:
            told = tyro.conf.arg(help=helps.get(name), help_behavior_hint=f"(default: {value})")
            kinds[name] = Annotated[hints[name], told]
    given = TypedDict("given", kinds, total=False)  # type: ignore[misc]
    given.__doc__ = type(default).__doc__
    return given


def _choice(name: str, kinds: "Mapping[str, type[Choice]]", default: Any, optional: bool) -> Any:
    """An option that takes a name and ``option=value`` words; the help lists what there is."""
    from ..training._choices import as_words, parse_choice, signature

    spec = tyro.constructors.PrimitiveConstructorSpec[Any](
        nargs="*",
        metavar="NAME [OPTION=VALUE ...]",
        instance_from_str=lambda words: None if optional and words == ["none"] else parse_choice(name, kinds, words),
        is_instance=lambda _: True,
        str_from_instance=lambda value: [str(value)],
    )
    known = "; ".join([*(["none"] if optional else []), *map(signature, kinds.values())])
    hint = f"One of: {known}. (default: {'none' if default is None else as_words(default)})"
    return Annotated[Any, spec, tyro.conf.arg(help_behavior_hint=hint)]
