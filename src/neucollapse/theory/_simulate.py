"""``simulate``: run a model piece by piece, save on the way, go on where it was killed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from .._errors import FileFormatError, InputError
from .._files import load_tensors, read_json, save_tensors, write_json
from .._progress import track
from ._model import Model, Row, State
from ._models import model_of
from ._simulation import Simulation
from .settings import Settings

SETTINGS_SCHEMA = "neucollapse/simulation-settings/1"
STATE_SCHEMA = "neucollapse/simulation-state/1"
_STATE = "state.safetensors"
_OUTPUTS = ("simulation.json", "trajectory.parquet", "arrays.safetensors", "report.html", _STATE, "config.json")


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
        InputError: if the folder holds a simulation with other settings, or another process works there.
        FileFormatError: if what is in the folder is damaged.

    Example:
        >>> from neucollapse.theory import settings
        >>> simulation = simulate(settings.UFM(classes=4, dim=3))
        >>> simulation.findings.agrees
        True
    """
    model = model_of(settings)
    if folder is None:
        with _threads(settings.threads):
            return _run(model, None, progress, save_every)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder), _threads(settings.threads):
        if not resume:
            for name in _OUTPUTS:
                (folder / name).unlink(missing_ok=True)
        _settle(settings, folder)
        simulation = _run(model, folder, progress, save_every)
        simulation.save(folder)
        return simulation


def _run(model: Model, folder: Path | None, progress: bool, save_every: float) -> Simulation:
    state, rows, done, before = _resume(model, folder)
    began = saved = time.monotonic()
    name = f"simulating {model.settings.name}"
    try:
        for piece in track(range(done, model.pieces), model.pieces - done, name, show=progress):
            state, new = model.advance(_placed(state), piece)
            rows, done = rows + new, piece + 1
            if folder is not None and time.monotonic() - saved >= save_every:
                _save(folder, state, rows, done, before + time.monotonic() - began)
                saved = time.monotonic()
    finally:  # also when interrupted; a finished state makes the same call again a quick one
        if folder is not None:
            _save(folder, state, rows, done, before + time.monotonic() - began)
    return Simulation(model.settings, rows, model.findings(_placed(state), rows), before + time.monotonic() - began)


def _save(folder: Path, state: State, rows: list[Row], done: int, seconds: float) -> None:
    # A file keeps no order of names, and sums over variables are taken in it.
    metadata = {"done": done, "seconds": seconds, "rows": [list(row) for row in rows], "names": list(state)}
    save_tensors(folder / _STATE, state, schema=STATE_SCHEMA, metadata=metadata)


def _resume(model: Model, folder: Path | None) -> tuple[State, list[Row], int, float]:
    path = None if folder is None else folder / _STATE
    if path is None or not path.exists():
        return model.start(), [], 0, 0.0
    state, metadata = load_tensors(path, schema=STATE_SCHEMA)
    try:
        rows = [Row(*row) for row in metadata["rows"]]
        state = {name: state[name] for name in metadata["names"]}
        return state, rows, int(metadata["done"]), float(metadata["seconds"])
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(path, f"not the state of a simulation ({error!r})") from None


def _placed(state: State) -> State:
    """The state in memory of its own: where a tensor begins decides in which order it is summed, and so its last digit."""
    return {name: tensor.detach().contiguous().clone() for name, tensor in state.items()}


def _settle(settings: Settings, folder: Path) -> None:
    """Write the settings, or check that they are those the folder was begun with."""
    path, now = folder / "config.json", {"model": settings.name, **settings.to_dict()}
    if not path.exists():
        write_json(path, now, schema=SETTINGS_SCHEMA)
        return
    before = read_json(path, schema=SETTINGS_SCHEMA)
    changed = [f"{name}={before.get(name)!r} (now {now[name]!r})" for name in now if before.get(name) != now[name]]
    if changed:
        raise InputError(
            f"{folder} holds a simulation with {', '.join(changed)}; expected the same settings to go on with it. "
            "Choose another folder, or start over with resume=False (--restart)"
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise InputError(
            f"another process is simulating in {folder}; expected one at a time. Wait for it, or choose another folder"
        ) from None


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
