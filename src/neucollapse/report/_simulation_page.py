"""The page of a simulation: what the theory predicts beside what was found, in words, numbers and plots."""

from pathlib import Path
from typing import Any

from .._files import write_text
from .._schema import Comparison
from ._about import citations, facts, settings
from ._html import fill
from ._run import Run, read_run
from ._simulation import read_simulation
from ._text import number
from .figures.simulation import simulation_figures

_TONES = {True: "good", False: "bad", None: "note"}


def write_simulation_page(
    folder: str | Path, page: str | Path | None = None, overlay: str | Path | None = None
) -> Path:
    """Write the page of a simulation, from its files alone: one HTML file that opens without a network.

    A folder that holds no such result, or a file in it that is damaged, ends in a `FileFormatError`.

    Args:
        folder: where `simulate` wrote.
        page: where to write; `report.html` in the folder by default.
        overlay: folder of a measured run, whose metrics are drawn into the plots and set beside the predictions.

    Returns:
        The path of the page.

    Examples:
        >>> write_simulation_page("no/such/run")
        Traceback (most recent call last):
        neucollapse._errors.FileFormatError: cannot use no/such/run: expected a folder with simulation.json, found no \
such folder
    """
    simulation = read_simulation(folder)
    run = None if overlay is None else read_run(overlay)
    text = fill(
        "simulation_page.html.j2",
        simulation_figures(simulation, run),
        simulation=simulation,
        tone=_TONES[simulation.agrees],
        rows=[_row(comparison, run) for comparison in simulation.comparisons or []],
        overlaid=_overlaid(simulation.settings or {}, run),
        settings=settings(simulation.settings),
        facts=[("Command", simulation.command or "—"), *facts(simulation.environment or {})],
        citations=citations(simulation.citations or []),
    )
    target = Path(folder) / "report.html" if page is None else Path(page)
    write_text(target, text)
    return target


def _row(comparison: Comparison, run: Run | None) -> dict[str, Any]:
    predicted, found = comparison.predicted, comparison.found
    apart = None if predicted is None or found is None else abs(found - predicted)
    measured = None
    if run is not None:
        row = next((row for split in run.splits if (row := run.find(comparison.name, split)) is not None), None)
        measured = None if row is None else row.value
    return {
        "name": comparison.title or comparison.name,
        "code": comparison.name if comparison.title else "",
        "meaning": comparison.meaning,
        "predicted": number(predicted),
        "found": number(found),
        "apart": number(apart),
        "measured": number(measured),
        "full": f"predicted {predicted!r}, found {found!r}",
    }


def _overlaid(chosen: dict[str, Any], run: Run | None) -> str:
    """What to know of the run that is laid over: whether it has the size of the model."""
    if run is None:
        return ""
    name = run.info.title or "The run"
    K, d = chosen.get("classes"), chosen.get("dim")
    same = (K, d) == (run.num_classes, run.dim)
    size = f"K = {run.num_classes} classes in d = {run.dim} dimensions"
    other = "" if same else f"; the model has K = {K}, d = {d}: expect other values"
    return f"{name} is laid over it: {size}{other}."
