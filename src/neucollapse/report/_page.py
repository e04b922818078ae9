"""The page of a run, and what it says beside its figures."""

from pathlib import Path
from typing import Any

from .._citations import bibtex, citation_keys
from .._files import write_text
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
        facts=_facts(run.info.get("environment") or {}),
        settings=_settings((run.info.get("training") or {}).get("config")),
        citations=_citations(run),
    )


_FACTS = ("git_revision", "python", "platform", "processor", "cores", "threads", "accelerator", "packages")


def _facts(environment: dict[str, Any]) -> list[tuple[str, str]]:
    """The environment in words, known fields first, whatever else was recorded after them."""
    names = [name for name in _FACTS if name in environment] + [name for name in environment if name not in _FACTS]
    return [(name.replace("_", " ").capitalize(), _words(environment[name])) for name in names]


def _settings(config: Any) -> list[tuple[str, str]]:
    return [(name, _words(value)) for name, value in config.items()] if isinstance(config, dict) else []


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value) or "none"
    return "none" if value is None else str(value)


def _citations(run: Run) -> dict[str, Any]:
    """BibTeX of the papers cited, and the keys this version does not know (a run may be from a newer one)."""
    keys = [str(key) for key in run.info.get("citations") or []]
    known = set(citation_keys())
    return {
        "count": len(set(keys) & known),
        "bibtex": bibtex([key for key in keys if key in known]),
        "unknown": [key for key in keys if key not in known],
    }
