"""Ending a training before its last epoch: on a signal, or on a condition."""

import signal
import threading
from types import FrameType
from typing import Any

from rich.console import Console

from .._conditions import Condition
from .._errors import InputError
from ._callback import CollapseCallback
from ._lightning import Callback, pl


class StopWhen(Callback):
    """Ends training after the first measured epoch, from 1 on, at which a condition holds.

    Whether it holds is read off the history of measurements, which a checkpoint holds: a run that was killed after it
    stopped stops again at once.

    Args:
        condition: on a flat key, such as ``train/nc1/pinv<1e-3``. An absent or undefined value never meets it.
        collapse: the callback that measures; it stands before this one.

    Attributes:
        stopped: whether training ended for this.
    """

    def __init__(self, condition: Condition, collapse: CollapseCallback) -> None:
        self.condition = condition
        self.collapse = collapse
        self.stopped = False

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Look whether there is such a key; stop where an earlier process stopped.

        Raises:
            InputError: when the measurement before training has no such key, and no reason for its absence.
        """
        del pl_module
        result, key = self.collapse.last_result, self.condition.key
        if result is not None and key not in result.numbers and key not in result.absent:
            raise InputError(
                f"the condition {self.condition.text!r} needs {key}, which is not measured; "
                f"expected a key such as train/nc1/pinv or {next(iter(result.numbers))}"
            )
        self._stop_if_met(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Stop if the epoch was measured and the condition holds."""
        del pl_module
        self._stop_if_met(trainer, trainer.current_epoch + 1)

    def _stop_if_met(self, trainer: "pl.Trainer", epoch: int) -> None:
        values = [value for at, key, value in self.collapse.history if (at, key) == (epoch, self.condition.key)]
        if epoch > 0 and values and self.condition.holds_for(values[-1]):
            self.stopped = trainer.should_stop = True


class StopOnSignal(Callback):
    """On SIGINT or SIGTERM finishes the epoch and tells the trainer to stop; a second signal stops at once.

    Attributes:
        signum: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Take the signals over. Only the main thread may; in another nothing changes."""
        del trainer, pl_module
        if threading.current_thread() is threading.main_thread():
            self._previous = {n: signal.signal(n, self._handle) for n in (signal.SIGINT, signal.SIGTERM)}

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Stop if a signal came."""
        del pl_module
        if self.signum is not None:
            trainer.should_stop = True

    def teardown(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        """Give the signals back."""
        del trainer, pl_module, stage
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        del frame
        if self.signum is not None:
            raise SystemExit(128 + signum)
        self.signum = signum
        name = signal.Signals(signum).name
        Console(stderr=True).print(f"{name}: stopping after this epoch; once more stops now, at the last checkpoint")
