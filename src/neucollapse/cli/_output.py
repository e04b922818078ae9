"""What subcommands print: the verdict, a table of numbers beside their optima, flags; or JSON."""

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from .._errors import InputError

if TYPE_CHECKING:
    from ..metrics import CollapseResult

_COMPARISONS = {
    ">=": lambda value, limit: value >= limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    "<": lambda value, limit: value < limit,
}


def number(value: float | None) -> str:
    """A number at four digits, an empty string for none."""
    return "" if value is None else f"{value:.4g}"


def print_json(content: dict[str, Any]) -> None:
    """Write JSON to standard output."""
    sys.stdout.write(json.dumps(content, indent=1, allow_nan=False) + "\n")


def as_json(result: "CollapseResult") -> dict[str, Any]:
    """A result as plain JSON values."""
    return {
        "numbers": result.to_dict(),
        "optima": result.optima,
        "absent": result.absent,
        "flags": [str(flag) for flag in result.flags],
        "verdict": result.verdict(),
    }


def print_verdict(result: "CollapseResult") -> None:
    """Print what the numbers say, and what to know beside them."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    headline, *rest = result.verdict()
    console.print(f"\n[bold]{escape(headline)}[/bold]")
    for sentence in rest:
        console.print(f"  {escape(sentence)}")
    for flag in result.flags:
        console.print(f"  [yellow]note[/yellow] {escape(str(flag))}", style="dim" if flag.severity == "note" else "")


def print_table(title: str, rows: Iterable[tuple[str, str, str, str]]) -> None:
    """Print measured numbers beside their optima, with what they mean."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", title_style="bold", box=SIMPLE)
    for name in ("metric", "measured", "optimum", "meaning"):
        table.add_column(name, justify="right" if name in ("measured", "optimum") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console(highlight=False).print(table)


def result_rows(result: "CollapseResult", keys: Iterable[str]) -> Iterable[tuple[str, str, str, str]]:
    """Rows of ``print_table`` for some keys of a result, with the definitions of the registry."""
    from ..metrics import REGISTRY

    for key in keys:
        if key in result.numbers:
            bare = key.split("/", 1)[1] if key.split("/", 1)[0] in result.splits else key
            metric = REGISTRY[bare.split("@layer:")[0]]
            yield key, number(result.numbers[key]), number(result.optima.get(key)), metric.title


class Condition(NamedTuple):
    """A key, a comparison and a limit, such as ``nc1/pinv>0.1``."""

    text: str
    key: str
    sign: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read a condition; raises ``InputError`` if it is none."""
        sign = next((sign for sign in _COMPARISONS if sign in text), None)
        try:
            if sign is None:
                raise ValueError
            key, limit = text.split(sign)
            return cls(text, key.strip(), sign, float(limit))
        except ValueError:
            raise InputError(f"expected a condition such as 'nc1/pinv>0.1', got {text!r}") from None

    def holds(self, result: "CollapseResult") -> bool:
        """Whether it holds; raises ``InputError`` if the key was not measured."""
        if self.key not in result.numbers:
            reason = result.absent.get(self.key, "there is no such key in the result")
            raise InputError(f"the condition {self.text!r} needs {self.key}, which was not measured: {reason}")
        return _COMPARISONS[self.sign](result.numbers[self.key], self.limit)
