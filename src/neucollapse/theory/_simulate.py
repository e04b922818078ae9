"""``simulate``: run a model piece by piece, save on the way, go on where it was killed."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from .._errors import FileFormatError, InputError
from .._files import fitting_contents, load_tensors, read_json, save_tensors
from .._names import names_options, unknown_name
from .._progress import track
from .._run_folder import CONFIG, Kind, RunFolder
from ._model import Model, Row, State
from ._models import model_of
from ._simulation import SCHEMA, Simulation
from .settings import SETTINGS, Settings

STATE_SCHEMA = "neucollapse/simulation-state/1"
Stored = tuple[State, dict[str, Any]]
"""Tensors and metadata of a state file."""

_RESULT, _STATE = "simulation.json", "state.safetensors"


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
        settings: which model, of what size; see ``neucollapse.theory.settings``.
        folder: where to keep it: ``config.json``, the state on the way, and at the end ``simulation.json``,
            ``trajectory.parquet`` (series, x, key, value) and ``arrays.safetensors``. None keeps nothing.
        resume: go on with what is in the folder; False deletes it and starts over.
        progress: show a bar on standard error, if that is a terminal.
        save_every: seconds between two states on disk.

    Returns:
        The ``Simulation``. A resumed one has the same numbers, bit for bit on one CPU, as one that was never stopped.

    Raises:
        InputError: if the folder holds anything but a simulation with these settings, or another process works there.
        FileFormatError: if what is in the folder is damaged.
        FileWriteError: if it cannot be written to.

    Example:
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
            return _run(model, None, None, progress=progress, save_every=save_every)
    place = RunFolder(Path(folder), _KIND, {"model": settings.name, **settings.to_dict()})
    with place.held(), _threads(settings.threads):
        if not resume:
            place.clear()
        state, result = place.path / _STATE, place.path / _RESULT
        stored = load_tensors(state, schema=STATE_SCHEMA) if state.exists() else None
        named = {} if stored is None else {state: stored[1].get("identity")}
        place.settle(named | ({result: _identity_of_result(result)} if result.exists() else {}))
        simulation = _run(model, place, stored, progress=progress, save_every=save_every)
        simulation.write(place.path)
        return simulation


def _run(
    model: Model, place: RunFolder | None, stored: Stored | None, *, progress: bool, save_every: float
) -> Simulation:
    state, rows, done, before = _begun(model, place, stored)
    began = saved = time.monotonic()
    name = f"simulating {model.settings.name}"
    try:
        for piece in track(range(done, model.pieces), model.pieces - done, name, show=progress):
            state, new = model.advance(_placed(state), piece)
            rows, done = rows + new, piece + 1
            if place is not None and time.monotonic() - saved >= save_every:
                _save(model, place, state, rows, done, before + time.monotonic() - began)
                saved = time.monotonic()
    finally:  # also when interrupted; a finished state makes the same call again a quick one
        if place is not None:
            _save(model, place, state, rows, done, before + time.monotonic() - began)
    return Simulation(model.settings, rows, model.findings(_placed(state), rows), before + time.monotonic() - began)


def _save(model: Model, place: RunFolder, state: State, rows: list[Row], done: int, seconds: float) -> None:
    metadata = {
        "identity": place.identity,
        "version": model.version,
        "done": done,
        "seconds": seconds,
        "rows": [list(row) for row in rows],
        "names": list(state),  # a file keeps no order of names, and sums over variables are taken in it
    }
    save_tensors(place.path / _STATE, state, schema=STATE_SCHEMA, metadata=metadata)


def _begun(model: Model, place: RunFolder | None, stored: Stored | None) -> tuple[State, list[Row], int, float]:
    """State, rows, pieces done and seconds, as they are stored or at the start."""
    if place is None or stored is None:
        return model.start(), [], 0, 0.0
    path, (state, metadata) = place.path / _STATE, stored
    with fitting_contents(path):
        if (version := metadata.get("version", 1)) != model.version:
            raise FileFormatError(
                path,
                f"it was begun by version {version} of the model {model.settings.name}, and this is version {model.version}; "
                "start over with resume=False (--restart), or choose another folder",
            )
        rows = [Row(str(series), float(x), str(key), float(value)) for series, x, key, value in metadata["rows"]]
        state = {name: state[name] for name in metadata["names"]}
        seconds = float(metadata["seconds"])
        if not 0 <= seconds < math.inf:
            raise ValueError(f"it claims {seconds} seconds of work")
        return state, rows, int(metadata["done"]), seconds


def _identity_of_result(path: Path) -> dict[str, Any]:
    content = read_json(path, schema=SCHEMA)
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
    outputs=(_RESULT, "trajectory.parquet", "arrays.safetensors", "report.html", _STATE, CONFIG),
    foreign=("result.json", "history.parquet", "checkpoints"),
    complete=_complete,
)


def _placed(state: State) -> State:
    """The state in memory of its own: where a tensor begins decides in which order it is summed, and so its last digit."""
    return {name: tensor.detach().contiguous().clone() for name, tensor in state.items()}


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
