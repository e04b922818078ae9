"""The strip of key numbers: a few metrics that tell the story, chosen by the regime of (K, d)."""

from dataclasses import dataclass

from ._run import Run
from ._story import key_names
from ._text import capital, number


@dataclass(frozen=True)
class Card:
    """One key number: measured values by split, the optimum, and what the number means."""

    title: str
    name: str
    values: list[tuple[str, str]]
    optimum: str
    at_collapse: str
    meaning: str


def key_numbers(run: Run) -> list[Card]:
    """The cards of this run; metrics that were not measured are left out here and explained in the table."""
    cards = [next((card for name in names if (card := _card(run, name))), None) for names in key_names(run)]
    return [card for card in cards if card is not None]


def _card(run: Run, name: str) -> Card | None:
    rows = [row for split in run.splits if (row := run.find(name, split)) is not None and row.value is not None]
    if not rows:
        return None
    definition = run.definition(name)
    optimum = next((best for row in rows if (best := run.best(row)) is not None), None)
    return Card(
        title=capital(definition.title),
        name=name,
        values=[(row.split, number(row.value)) for row in rows],
        optimum="" if optimum is None else number(optimum),
        at_collapse=definition.at_collapse,
        meaning=definition.definition.partition(". ")[0].removesuffix(".") + "." if definition.definition else "",
    )
