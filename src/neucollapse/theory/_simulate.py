"""`simulate`: run a model, keep its rows as they come, and compare it with what is predicted."""

import time
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from .._errors import InputError, ResumeWarning
from .._files import read_json
from .._names import names_options, unknown_name
from .._progress import track
from .._records import write_table
from .._run_folder import CONFIG, Kind, RunFolder
from .._schema import TRAJECTORY as TRAJECTORY_COLUMNS
from .._schema import SimulationFile
from ._model import Model, Row, State, model_of
from ._simulation import ARRAYS, RESULT, TRAJECTORY, Simulation
from .settings import SETTINGS, Settings


@names_options
def simulate(
    settings: Settings,
    folder: str | Path | None = None,
    *,
    resume: bool = True,
    progress: bool = True,
    save_every: float = 5.0,
) -> Simulation:
    """Run a model of the theory wing and compare what it does with what is predicted.

    Args:
        settings: which model, of what size; see `neucollapse.theory.settings`.
        folder: where to keep it: `config.json`, `trajectory.parquet` (series, x, key, value) while it runs, and at the end
            `arrays.safetensors` and `simulation.json`. None keeps nothing.
        resume: keep to the settings in the folder; False deletes what is there first.
        progress: count rows on standard error, if that is a terminal.
        save_every: seconds between two writings of the rows.

    Returns:
        The `Simulation`. One that was stopped keeps its rows in the folder, and is begun again from the beginning by the next
        call. A finished one runs again to the same numbers; its files are replaced at the end.

    Warns:
        ResumeWarning: when a simulation that did not end is begun again.

    Raises:
        InputError: if these are no settings. The folder may raise it as well, if it holds anything but a simulation with these
            settings or another process works there, and `FileFormatError` or `FileWriteError`, if it is damaged or full.

    Examples:
        >>> from neucollapse.theory import settings
        >>> simulation = simulate(settings.UFM(classes=4, dim=3))
        >>> simulation.findings.agrees
        True
    """
    if not isinstance(settings, Settings):
        raise InputError(
            f"expected the settings of a model, such as neucollapse.theory.settings.UFM(), got {settings!r:.60}"
        )
    model = model_of(settings)
    if folder is None:
        with _threads(settings.threads):
            return _run(model, None, progress=progress, save_every=save_every)
    place = RunFolder(Path(folder), _KIND, {"model": settings.name, **settings.to_dict()})
    with place.held(), _threads(settings.threads):
        if not resume:
            place.clear()
        result, trajectory = place.path / RESULT, place.path / TRAJECTORY
        finished = result.exists()
        place.settle({result: _identity_of_result(result)} if finished else {})
        if trajectory.exists() and not finished:
            warnings.warn(
                f"{place.path} holds a simulation that did not end; it is begun again from the beginning",
                ResumeWarning,
                stacklevel=2,
            )
        simulation = _run(model, None if finished else trajectory, progress=progress, save_every=save_every)
        simulation.write(place.path)
        return simulation


def _run(model: Model[Any], trajectory: Path | None, *, progress: bool, save_every: float) -> Simulation:
    """Run to the end; rows go to the trajectory every few seconds, and when the run is stopped."""
    end: State = {}
    rows: list[Row] = []
    began = saved = time.monotonic()

    def run() -> Generator[Row, None, None]:
        nonlocal end
        end = yield from model.run()

    try:
        for row in track(run(), None, f"simulating {model.settings.name}", show=progress):
            rows.append(row)
            if trajectory is not None and time.monotonic() - saved >= save_every:
                write_table(trajectory, TRAJECTORY_COLUMNS, rows)
                saved = time.monotonic()
    except BaseException as stopped:
        if trajectory is not None and rows:
            try:
                write_table(trajectory, TRAJECTORY_COLUMNS, rows)
            except Exception as failed:  # what stopped the run is told, not what its last rows met
                stopped.add_note(f"The rows so far could not be kept: {failed}")
        raise
    return Simulation(model.settings, rows, model.findings(end, rows), time.monotonic() - began)


def _identity_of_result(path: Path) -> dict[str, Any]:
    content = read_json(path, schema=SimulationFile.SCHEMA)
    settings = content.get("settings")
    return {"settings": {"model": content.get("model"), **settings}} if isinstance(settings, dict) else {}


def _complete(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of an earlier version, with the defaults of what they lack."""
    values = dict(settings)
    name = values.pop("model", None)
    if not isinstance(name, str) or name not in SETTINGS:
        raise unknown_name("model", name, SETTINGS)
    return {"model": name, **SETTINGS[name].from_dict(values).to_dict()}


_KIND = Kind(
    name="simulation",
    doing="simulating in",
    schema="neucollapse/simulation-settings/1",
    outputs=(RESULT, TRAJECTORY, ARRAYS, "report.html", "state.safetensors", CONFIG),  # earlier versions left a state
    foreign=("result.json", "history.parquet", "checkpoints"),
    complete=_complete,
)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
