"""The page of a run, and what it says beside its figures."""

from pathlib import Path

from .._files import write_text
from ._about import citations, facts, settings
from ._html import fill
from ._numbers import key_numbers
from ._run import Run, read_run
from ._table import general_flags, table
from .figures import figures


def write_report(run: str | Path, page: str | Path | None = None) -> Path:
    """Write the report of a run: one HTML page that opens without a network.

    The page is made from the files of the folder alone, with no model and no data, and the same files give the same
    bytes. It is written beside its place and renamed, so a page that was there stays whole until the new one is.

    Args:
        run: the folder of a run, with ``result.json`` and, where the run has them, ``arrays.safetensors`` and
            ``history.parquet``.
        page: where to write; ``report.html`` in the folder of the run by default.

    Returns:
        The path of the page.

    Raises:
        FileFormatError: if the folder is no run, or a file in it is damaged or does not fit the others.

    Example:
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
        cards=key_numbers(run),
        missing=missing,
        groups=table(run),
        flags=general_flags(run),
        facts=facts(run.info.environment or {}),
        settings=settings(run.info.training.config if run.info.training else None),
        citations=citations(run.info.citations or []),
    )
