"""Checkpoints without pickle: one safetensors file that holds tensors, and JSON for everything else."""

import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from .._errors import FileFormatError, InputError, ResumeWarning
from .._files import fitting_contents, load_tensors, save_tensors
from .._schema import CHECKPOINT
from ._lightning import Checkpoint, CheckpointIO, pl
from ._random import random_state, set_random_state

_PATTERN = "epoch-*.safetensors"
_PLAIN = (str, int, float, bool, type(None))


class SafeCheckpointIO(CheckpointIO):
    """Lightning checkpoints as safetensors: ``Trainer(plugins=[SafeCheckpointIO()])``.

    Writes atomically, with a SHA-256 of all of it, whatever Lightning saves: model, optimisers, schedulers, loops,
    callbacks. Tensors, numbers, strings, None, and dictionaries, lists, tuples of these can be saved; anything else is
    refused by name, because only a pickle could hold it. No pickle is read either.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint; ``InputError`` says where it holds an object that is neither a tensor nor plain."""
        del storage_options
        tensors: dict[str, Tensor] = {}
        tree = _encode(checkpoint, "checkpoint", tensors)
        save_tensors(path, tensors, schema=CHECKPOINT, metadata={"tree": tree})

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint, onto the CPU; Lightning moves it. Nothing in it can run code."""
        del map_location, weights_only
        return load_checkpoint(path)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint written by ``SafeCheckpointIO``; ``FileFormatError`` when it is none, truncated or damaged."""
    tensors, metadata = load_tensors(path, schema=CHECKPOINT)
    with fitting_contents(path):
        content = _decode(metadata["tree"], tensors)
        if not isinstance(content, dict):
            raise TypeError(f"a checkpoint is a dictionary, and this is a {type(content).__name__}")
        return content


def latest_checkpoint(folder: str | Path) -> Path | None:
    """The newest checkpoint of a folder that can be read, or None when there is none at all.

    Warns:
        ResumeWarning: for each newer one that cannot.

    Raises:
        FileFormatError: when there are checkpoints and none can be read.
    """
    paths = sorted(Path(folder).glob(_PATTERN), reverse=True)
    for path in paths:
        try:
            load_checkpoint(path)
        except FileFormatError as error:
            warnings.warn(f"{error}; going back to the checkpoint before it", ResumeWarning, stacklevel=2)
        else:
            return path
    if paths:
        raise FileFormatError(
            paths[0], f"none of the {len(paths)} checkpoints there can be read; delete them to start over"
        )
    return None


def identity_of(path: str | Path) -> Any:
    """Of which run a checkpoint is, as the ``RunCheckpoint`` that wrote it was told; None where it was not."""
    content = load_checkpoint(path)
    with fitting_contents(path):
        return content.get("callbacks", {}).get(RunCheckpoint.__name__, {}).get("identity")


class RunCheckpoint(Checkpoint):
    """Saves at the end of an epoch, at most every so many seconds, at the last and when the trainer should stop.

    The states of all random generators are saved with it, and put back when training goes on.

    Args:
        folder: where to; files are called ``epoch-000012.safetensors``, after 12 epochs.
        seconds: least time between two; 0 saves every epoch.
        keep: how many of the newest stay.
        identity: of which run they are, saved with each; plain values.
    """

    def __init__(self, folder: Path, seconds: float, *, keep: int = 2, identity: Any = None) -> None:
        self.folder = folder
        self.seconds = seconds
        self.keep = keep
        self.identity = identity
        self._saved_at = time.monotonic()
        self._restored: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """The random states at this moment, and the run."""
        return {"random": random_state(), "identity": self.identity}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the random states for when training starts: the set-up until then may draw numbers."""
        self._restored = state_dict["random"]

    def setup(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        """Delete what a killed process left half-written."""
        del trainer, pl_module, stage
        for leftover in self.folder.glob(f".{_PATTERN}*"):
            leftover.unlink()

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Put the random states back."""
        del trainer, pl_module
        if self._restored is not None:
            set_random_state(self._restored)
            self._restored = None

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Save if it is time."""
        del pl_module
        epoch = trainer.current_epoch + 1
        due = time.monotonic() - self._saved_at >= self.seconds
        if due or epoch == trainer.max_epochs or trainer.should_stop:
            trainer.save_checkpoint(self.folder / f"epoch-{epoch:06d}.safetensors")
            for old in sorted(self.folder.glob(_PATTERN))[: -self.keep]:
                old.unlink()
            self._saved_at = time.monotonic()


def _encode(value: Any, where: str, tensors: dict[str, Tensor]) -> Any:
    """A plain value is kept; everything else is a tagged list, which JSON keeps; tensors go to ``tensors``."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Tensor):
        # A copy, since tied tensors share memory, which safetensors refuses.
        tensors[where] = value.detach().to("cpu", copy=True).contiguous()
        return ["tensor", where]
    if isinstance(value, Mapping):
        items = [[_encode(k, where, tensors), _encode(v, f"{where}.{k}", tensors)] for k, v in value.items()]
        return ["dict", items]
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return [kind, [_encode(item, f"{where}.{index}", tensors) for index, item in enumerate(value)]]
    if isinstance(value, (str, int, float)):  # of a subclass, such as an enum
        return next(plain(value) for plain in (str, int, float) if isinstance(value, plain))
    raise InputError(
        f"a checkpoint holds tensors, numbers, strings, lists and dictionaries; {where} is a {type(value).__name__}, "
        "which only a pickle could hold. Turn it into one of these in the state_dict it comes from"
    )


def _decode(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(tree, list):
        return tree
    kind, content = tree
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_decode(k, tensors): _decode(v, tensors) for k, v in content}
    items = [_decode(item, tensors) for item in content]
    return {"list": list, "tuple": tuple}[kind](items)
