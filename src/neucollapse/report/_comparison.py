"""The page of several runs side by side."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .._errors import InputError
from .._files import write_text
from ._html import fill
from ._run import Run, read_run
from ._story import in_order, key_names, teller
from ._table import Group, Row, cell
from ._text import clean
from .figures.comparison import comparison_figures


def write_comparison(runs: Mapping[str, str | Path], page: str | Path) -> Path:
    """Write one HTML page about several runs: their verdicts, every metric in one table, and their curves in one plot each.

    Like the page of a run it is made from result files alone, opens without a network, and is the same for the same files. What
    is no run ends in a `FileFormatError`, as in `write_report`.

    Args:
        runs: folders of runs by the name that stands over their column, two or more. A run that has a `report.html` is
            linked to it.
        page: where to write.

    Returns:
        The path of the page.

    Raises:
        InputError: for fewer than two runs.

    Examples:
        >>> write_comparison({"one": "runs/one"}, "runs/compare.html")
        Traceback (most recent call last):
        neucollapse._errors.InputError: expected two or more runs to compare, got 1
    """
    if len(runs) < 2:
        raise InputError(f"expected two or more runs to compare, got {len(runs)}")
    read = {clean(name): read_run(folder) for name, folder in runs.items()}
    text = fill(
        "comparison_page.html.j2",
        comparison_figures(read),
        cards=[_card(name, run, Path(runs[name]), Path(page)) for name, run in zip(runs, read.values(), strict=True)],
        titles=list(read),
        groups=_groups(read),
    )
    write_text(page, text)
    return Path(page)


def _card(name: str, run: Run, folder: Path, page: Path) -> dict[str, Any]:
    report = folder / "report.html"
    place = os.path.relpath(report, page.parent) if report.exists() else ""
    return {
        "name": clean(name),
        "title": run.info.title or f"{run.num_classes} classes in {run.dim} dimensions",
        "headline": run.headline,
        "link": quote(Path(place).as_posix()) if place else "",
    }


def _groups(runs: dict[str, Run]) -> list[Group]:
    """For each split what tells the story, then all other metrics of it, folded."""
    splits = dict.fromkeys(split for run in runs.values() for split in run.splits)
    groups = []
    for split in splits:
        rows = [row for run in runs.values() for row in run.info.metrics if (row.split, row.layer) == (split, "")]
        names = list(dict.fromkeys(row.name for row in rows))
        first = dict.fromkeys(name for run in runs.values() for choice in key_names(run) for name in choice)
        story = [name for name in first if name in names]
        others = [name for name in in_order(teller(runs.values()), names) if name not in story]
        groups.append(Group(split or "Measured", [_row(runs, name, split) for name in story], False))
        rest = [_row(runs, name, split) for name in others]
        groups.append(Group(f"All others, {split}" if split else "All others", rest, True))
    return [group for group in groups if group.rows]


def _row(runs: dict[str, Run], name: str, split: str) -> Row:
    owner = next(run for run in runs.values() if run.find(name, split) is not None)
    return Row(name, owner.definition(name), [cell(run, run.find(name, split)) for run in runs.values()])
