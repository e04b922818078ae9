"""The page of a run, and what it says beside its figures."""

from pathlib import Path
from typing import NamedTuple

from .._files import write_text
from ._about import citations, facts, settings
from ._html import fill
from ._run import Run, read_run
from ._story import key_names
from ._table import general_flags, table
from ._text import capital, number
from .figures import figures


def write_report(run: str | Path, page: str | Path | None = None) -> Path:
    """Write the report of a run: one HTML page that opens without a network.

    The page is made from the files of the folder alone, with no model and no data, and the same files give the same
    bytes. It is written beside its place and renamed, so a page that was there stays whole until the new one is. A folder that is
    no run, or a file in it that is damaged or does not fit the others, ends in a `FileFormatError`.

    Args:
        run: the folder of a run, with `result.json` and, where the run has them, `arrays.safetensors` and
            `history.parquet`.
        page: where to write; `report.html` in the folder of the run by default.

    Returns:
        The path of the page.

    Examples:
        >>> write_report("no/such/run")
        Traceback (most recent call last):
        neucollapse._errors.FileFormatError: cannot use no/such/run: expected a folder with result.json, found no such folder
    """
    page = Path(run) / "report.html" if page is None else Path(page)
    write_text(page, render(read_run(run)))
    return page


def render(run: Run) -> str:
    """The page of a run as text."""
    drawn, missing = figures(run)
    return fill(
        "page.html.j2",
        drawn,
        run=run,
        info=run.info,
        cards=[card for names in key_names(run) if (card := _first_card(run, names)) is not None],
        missing=missing,
        groups=table(run),
        flags=general_flags(run),
        facts=facts(run.info.environment or {}),
        settings=settings(run.info.training.config if run.info.training else None),
        citations=citations(run.info.citations or []),
    )


class _Card(NamedTuple):
    """One key number: measured values by split, the optimum, and what the number means."""

    title: str
    name: str
    values: list[tuple[str, str]]
    optimum: str
    at_collapse: str
    meaning: str


def _first_card(run: Run, names: tuple[str, ...]) -> _Card | None:
    """The card of the first of these metrics that was measured; the table says why others are absent."""
    for name in names:
        found = [row for split in run.splits if (row := run.find(name, split)) is not None]
        values = [(row.split, number(row.value)) for row in found if row.value is not None]
        if values:
            definition = run.definition(name)
            best = next((best for row in found if row.value is not None and (best := run.best(row)) is not None), None)
            meaning = definition.definition.partition(". ")[0].removesuffix(".")
            return _Card(
                title=capital(definition.title),
                name=name,
                values=values,
                optimum="" if best is None else number(best),
                at_collapse=definition.at_collapse,
                meaning=f"{meaning}." if meaning else "",
            )
    return None
