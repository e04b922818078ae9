"""What subcommands print: tables of numbers, sentences, the verdict and the flags of a result; or JSON."""

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..metrics import CollapseResult

_WIDE = 200  # characters: a file or a pipe has no margin to cut at


def number(value: float | None) -> str:
    """A number at four digits, an empty string for none."""
    return "" if value is None else f"{value:.4g}"


def print_json(content: Mapping[str, Any]) -> None:
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


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Collection[str] = (),
    cut: Collection[str] = (),
    title: str = "",
    header: bool = True,
) -> None:
    """Print a table: columns of ``numbers`` are flush right and never broken, the others folded, or ``cut``, at the margin."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading = Text(title) if title else None
    table = Table(title=heading, title_justify="left", title_style="bold", box=SIMPLE, show_header=header)
    for name in columns:
        is_number = name in numbers
        table.add_column(name, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for row in rows:
        cells = zip(columns, row, strict=True)
        table.add_row(
            *(Text(text, no_wrap=True, overflow="ellipsis") if name in cut else Text(text) for name, text in cells)
        )
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=_WIDE)).print(table)


def print_sentences(headline: str, rest: Iterable[str] = ()) -> None:
    """Print a sentence, and under it others."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    console.print(f"[bold]{escape(headline)}[/bold]")
    for sentence in rest:
        console.print(f"  {escape(sentence)}")


def print_verdict(result: "CollapseResult") -> None:
    """Print what the numbers say, and what to know beside them."""
    from rich.console import Console
    from rich.markup import escape

    headline, *rest = result.verdict()
    sys.stdout.write("\n")
    print_sentences(headline, rest)
    for flag in result.flags:
        style = "dim" if flag.severity == "note" else ""
        Console(highlight=False).print(f"  [yellow]note[/yellow] {escape(str(flag))}", style=style)


def print_result(title: str, result: "CollapseResult") -> None:
    """Print the numbers of a result beside their optima, with the titles of the registry."""
    from ..metrics import REGISTRY

    rows: list[tuple[str, ...]] = []
    for key, value in result.numbers.items():
        split, _, rest = key.partition("/")
        name = (rest if split in result.splits else key).split("@layer:")[0]
        rows.append((key, number(value), number(result.optima.get(key)), REGISTRY[name].title))
    print_table(("metric", "measured", "optimum", "meaning"), rows, numbers=("measured", "optimum"), title=title)


def print_columns(title: str, results: Mapping[str, "CollapseResult"], keys: Iterable[str]) -> None:
    """Print numbers of several results side by side, and their optima; of the training split where none is named."""
    rows: list[tuple[str, ...]] = []
    for key in keys:
        optima = {number(result.optima[key]) for result in results.values() if result.optima.get(key) is not None}
        measured = [number(result.numbers.get(key)) for result in results.values()]
        rows.append((key.removeprefix("train/"), *measured, ", ".join(sorted(optima))))
    columns = (*results, "optimum")
    print_table(("metric", *columns), rows, numbers=columns, title=title)
