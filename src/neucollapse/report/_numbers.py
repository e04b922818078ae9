"""The strip of key numbers: a few metrics that tell the story, chosen by the regime of (K, d)."""

from dataclasses import dataclass

from ._run import Run
from ._text import number

# For each card, names in order of preference; the first that was measured is shown.
_SIMPLEX = (
    ("accuracy", "accuracy/linear", "nc4/accuracy"),
    ("nc1/pinv", "nc1/trace_ratio", "nc1/cdnv"),
    ("nc2/etf_distance", "nc2/equiangular", "nc2/equiangular_std", "nc2/max_cosine"),
    ("nc3/frobenius", "nc3/product", "nc3/cosine"),
    ("nc4/mismatch",),
)
_GENERAL = (
    ("accuracy", "accuracy/linear", "nc4/accuracy"),
    ("nc1/trace_ratio", "nc1/pinv", "nc1/cdnv"),
    ("gnc2/margin_ratio", "gnc2/margin", "gnc2/max_cosine"),
    ("gnc3/cosine", "nc3/cosine", "nc3/frobenius"),
    ("nc4/mismatch",),
)


@dataclass(frozen=True)
class Card:
    """One key number: measured values by split, the optimum, and what the number means."""

    title: str
    symbol: str
    values: list[tuple[str, str]]
    optimum: str
    meaning: str


def key_numbers(run: Run) -> list[Card]:
    """The cards of this run; metrics that were not measured are left out here and explained in the table."""
    wanted = _SIMPLEX if run.num_classes <= run.dim + 1 else _GENERAL
    cards = [next((card for name in names if (card := _card(run, name))), None) for names in wanted]
    return [card for card in cards if card is not None]


def _card(run: Run, name: str) -> Card | None:
    rows = [row for split in run.splits if (row := run.find(name, split)) is not None and row.value is not None]
    if not rows:
        return None
    definition = run.definition(name)
    optimum = next((row.optimum for row in rows if row.optimum is not None), None)
    return Card(
        title=definition.title,
        symbol=definition.symbol,
        values=[(row.split, number(row.value)) for row in rows],
        optimum="" if optimum is None else number(optimum),
        meaning=definition.definition,
    )
