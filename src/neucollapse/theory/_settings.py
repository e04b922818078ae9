"""What the settings of every model share."""

import ast
import inspect
import itertools
import math
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, cast

from .._settings import Rule, check_settings, from_known_fields


def at_least(least: float | int, *names: str) -> Rule:
    """The rule that settings are at least so large, and finite."""
    words = f"of at least {least:g}" + ("" if isinstance(least, int) else " and finite")
    return names, words, lambda value: least <= value < math.inf


def positive(*names: str) -> Rule:
    """The rule that settings are above 0 and finite."""
    return names, "above 0 and finite", lambda value: 0 < value < math.inf


_COMMON: tuple[Rule, ...] = ((("seed",), "in [0, 2^32)", lambda value: 0 <= value < 2**32), at_least(1, "threads"))


@dataclass(frozen=True)
class Settings:
    """Settings of a model: the same values give the same numbers.

    The settings of a model derive from it, name the model, and add their rules. What stands beside a field is its help.
    """

    seed: int = 0  # of everything that is drawn.
    threads: int = 1  # torch threads during the simulation. One is fastest for small problems.

    name: ClassVar[str]
    """As the command line takes it."""
    title: ClassVar[str]
    """A phrase for headings."""
    question: ClassVar[str]
    """What the model answers, for the list of the documentation."""
    citations: ClassVar[tuple[str, ...]] = ()
    """Keys of the papers in references.bib."""
    rules: ClassVar[tuple[Rule, ...]] = ()
    """What is expected of the values beside their types."""

    def __post_init__(self) -> None:
        check_settings(self, (*_COMMON, *self.rules))

    @classmethod
    def helps(cls) -> dict[str, str]:
        """What is said of each field: the comment beside it, or the string below it."""
        found: dict[str, str] = {}
        for kind in (kind for kind in cls.__mro__ if issubclass(kind, Settings)):
            source = textwrap.dedent(inspect.getsource(kind))
            lines, body = source.splitlines(), cast("ast.ClassDef", ast.parse(source).body[0]).body
            for item, below in itertools.pairwise(body):
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    text = lines[item.lineno - 1].partition("  # ")[2]
                    if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                        text = str(below.value.value)
                    found[item.target.id] = " ".join(text.split())
        return {field.name: found[field.name] for field in fields(cls)}

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Settings":
        """The inverse of `to_dict`: fields that are left out keep their defaults, an unknown one raises InputError."""
        plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return from_known_fields(cls, plain)
