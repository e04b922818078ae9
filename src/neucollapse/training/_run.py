"""``train``: one run folder from one config, resumed where it was killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .. import data
from .._conditions import Condition
from .._environment import command_line
from .._errors import FileFormatError, InputError
from .._files import read_json
from .._names import names_options
from .._run_folder import CONFIG, Kind, RunFolder, digests
from .._schema import TRAIN_CONFIG
from ..data import Dataset
from ..heads import FixedHead
from ..metrics import CollapseResult, Flag
from ..metrics._storage import SCHEMA as RESULT_SCHEMA
from ..metrics._storage import write_result
from ._batches import evaluation_loader, training_loader
from ._callback import CollapseCallback
from ._checkpoint import RunCheckpoint, SafeCheckpointIO, identity_of, latest_checkpoint
from ._config import TrainConfig
from ._history import with_terminal_phase, write_history
from ._lightning import Callback, pl, quiet
from ._module import CollapseModule, build_model
from ._progress import EpochProgress
from ._random import random_state, seed_all, set_random_state
from ._stopping import StopOnSignal, StopWhen
from ._training_set import changed_training_set

_RESULT, _CHECKPOINTS = "result.json", "checkpoints"
_BUILT_IN = ("digits", "fashion-mnist")
_KIND = Kind(
    name="training run",
    doing="training in",
    schema=TRAIN_CONFIG,
    outputs=(_RESULT, "arrays.safetensors", "metrics.parquet", "history.parquet", "report.html", CONFIG),
    foreign=("simulation.json", "state.safetensors", "trajectory.parquet"),
    complete=lambda settings: TrainConfig.from_dict(settings).to_dict(),
)


@names_options
def train(config: TrainConfig, run_dir: str | Path, *, resume: bool = True, progress: bool = True) -> CollapseResult:
    """Train, measure collapse on the way, and leave a run folder.

    The folder holds ``config.json``, ``history.parquet`` (columns epoch, key, value), ``checkpoints/`` and, at the
    end, the result: ``result.json``, ``arrays.safetensors``, ``metrics.parquet``. The history has ``train/loss`` and
    ``train/accuracy`` of every epoch, ``train/terminal_phase`` (1 from the first epoch without training error on), and
    all metrics at the measured epochs. With ``stop_when`` the run is complete at the epoch at which the condition holds,
    and the result names condition and epoch under ``info["training"]``.

    A run that was killed, at any moment, goes on from its last complete checkpoint and ends with the same bits, on
    CPU, as one that was not. A run that is complete is not repeated: its result is read. Both only if they are of this very
    config, and of the same contents of the files that it names: config.json, checkpoints and result each say of which they are.
    SIGINT and SIGTERM finish the epoch, save and exit with 130 and 143; a second one exits at once. Global random state and
    thread count are put back.

    Args:
        config: the run.
        run_dir: its folder; created if missing.
        resume: go on with a run of the same config that is there; False deletes what an earlier training run left, and
            starts over.
        progress: a bar on standard error.

    Returns:
        The measurement of the trained model, splits ``train`` and, if the data set has one, ``test``.

    Raises:
        InputError: when another process is training in the folder, or the folder holds anything but a run of this config. A data
            set, a code or checkpoints that cannot be used are a ``FileFormatError``, a missing extra is a ``MissingExtraError``.

    Examples:
        >>> result = train(TrainConfig(epochs=1), "runs/first")  # doctest: +SKIP
        >>> result["train/nc1/pinv"]  # doctest: +SKIP
    """
    if not isinstance(config, TrainConfig):
        raise InputError(
            f"expected a TrainConfig, such as PRESETS['digits-simplex'] or TrainConfig.load(file), got {config!r:.60}"
        )
    run_dir = Path(run_dir)
    place = RunFolder(run_dir, _KIND, config.to_dict(), digests(*_files(config)))
    with place.held(), quiet(), _globals_restored(config.threads):
        if not resume:
            _spare_measurements(run_dir / _RESULT)
            for path in (run_dir / _CHECKPOINTS).glob("*.safetensors"):
                path.unlink()
            place.clear()
        if (run_dir / CONFIG).exists():
            TrainConfig.load(run_dir / CONFIG)  # which tells of an earlier schema how it is written now
        if (run_dir / _RESULT).exists():
            place.settle({run_dir / _RESULT: _identity_of_result(run_dir / _RESULT)})
            return CollapseResult.load(run_dir)
        checkpoint = latest_checkpoint(run_dir / _CHECKPOINTS)
        place.settle({} if checkpoint is None else {checkpoint: identity_of(checkpoint)})
        return _run(config, place, checkpoint, progress)


def _run(config: TrainConfig, place: RunFolder, checkpoint: Path | None, progress: bool) -> CollapseResult:
    dataset = _load(config)
    loaders = {"train": evaluation_loader(dataset.train)}
    if dataset.test is not None:
        loaders["test"] = evaluation_loader(dataset.test)
    seed_all(config.seed)
    module = CollapseModule(config, build_model(config, dataset.input_shape, dataset.num_classes))
    collapse, signalled = CollapseCallback(loaders, config.measure_every), StopOnSignal()
    callbacks: list[Callback] = [collapse, signalled, *([EpochProgress()] if progress else [])]
    early = None if config.stop_when is None else StopWhen(Condition.parse(config.stop_when), collapse)
    callbacks += [] if early is None else [early]
    callbacks.append(RunCheckpoint(place.path / _CHECKPOINTS, config.checkpoint_seconds, identity=place.identity))
    epochs = _fit(config, module, dataset, callbacks, checkpoint)
    stopped = early is not None and early.stopped
    rows = with_terminal_phase(collapse.history, collapse.zero_error_epoch)
    history = write_history(place.path / "history.parquet", rows)
    if signalled.signum is not None and epochs < config.epochs and not stopped:
        raise SystemExit(128 + signalled.signum)
    # A run killed after its last checkpoint comes here without having measured.
    result = collapse.last_result if collapse.last_epoch == epochs and config.optimum == "lookup" else None
    result = result or collapse.measure(module, optimum=config.optimum)
    training = {
        "zero_error_epoch": collapse.zero_error_epoch,
        "epochs": epochs,
        "stopped_when": config.stop_when if stopped else None,
        "config": config.to_dict(),
        "files": dict(place.files),
        "history": {"sha256": history},
    }
    _describe(result, config, dataset, training)
    write_result(result, place.path)
    return result


def _fit(
    config: TrainConfig, module: CollapseModule, dataset: Dataset, callbacks: list[Callback], checkpoint: Path | None
) -> int:
    """Train what is left of the run; the epochs it has then had."""
    trainer = pl.Trainer(
        accelerator=config.accelerator,
        devices=1,
        max_epochs=config.epochs,
        callbacks=callbacks,
        plugins=[SafeCheckpointIO()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    loader = training_loader(dataset.train, config.batch_size, config.seed, config.sampling)
    trainer.fit(module, loader, ckpt_path=checkpoint)
    return trainer.current_epoch


def _load(config: TrainConfig) -> Dataset:
    # Only digits comes without a split, and draws one.
    loaded = data.load(config.dataset, **({"seed": config.seed} if config.dataset == "digits" else {}))
    return replace(loaded, train=changed_training_set(loaded.train, config, loaded.num_classes))


def _describe(result: CollapseResult, config: TrainConfig, dataset: Dataset, training: dict[str, Any]) -> None:
    K, d = dataset.num_classes, config.dim or "the backbone's"
    loss = "" if config.loss.name == "cross-entropy" else f", {config.loss.name} loss"
    title = f"{config.backbone.name} on {dataset.name}, {config.head.name} head{loss}, K = {K}, d = {d}"
    names = None if dataset.class_names is None else list(dataset.class_names)
    own = {"title": title, "command": command_line(), "seed": config.seed, "class_names": names, "training": training}
    result.info.update(own)
    imbalance = config.imbalance
    changes = [] if imbalance is None else [f"{imbalance.name} imbalance of {imbalance.ratio:g}"]
    changes += [f"{config.label_noise:.3g} of its labels wrong"] if config.label_noise else []
    if changes:
        sentence = f"The training split was changed: {' and '.join(changes)}. It is measured as it was trained on."
        result.flags.append(Flag("changed_training_set", sentence, "train"))


def _files(config: TrainConfig) -> tuple[str | None, ...]:
    """The files that a config names; a data set that is built in is none, even if a file is called like it."""
    dataset = None if config.dataset in _BUILT_IN else config.dataset
    return dataset, config.head.code if isinstance(config.head, FixedHead) else None


def _identity_of_result(path: Path) -> Any:
    """What a result says of the run it is of; one that was measured and not trained says nothing."""
    training = read_json(path, schema=RESULT_SCHEMA).get("training")
    return {"settings": training.get("config"), "files": training.get("files")} if isinstance(training, dict) else {}


def _spare_measurements(path: Path) -> None:
    """Refuse to start over where that would delete a result that no training left."""
    try:
        is_measurement = path.exists() and not _identity_of_result(path)
    except FileFormatError:
        return  # damaged: nobody can read it
    if is_measurement:
        raise InputError(
            f"{path} is a measurement, not of a training run, and starting over would delete it; expected an empty folder or "
            "that of a training run. Choose another folder, or move the file"
        )


@contextmanager
def _globals_restored(threads: int | None) -> Iterator[None]:
    before, state = torch.get_num_threads(), random_state()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        set_random_state(state)
