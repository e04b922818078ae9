"""Stopping on a signal: the epoch is finished and saved first."""

import signal
import threading
from types import FrameType
from typing import Any

from rich.console import Console

from ._lightning import Callback, pl


class StopOnSignal(Callback):
    """On SIGINT or SIGTERM finishes the epoch and tells the trainer to stop; a second signal stops at once.

    Attributes:
        signum: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Take the signals over. Only the main thread may; elsewhere they stay as they are."""
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
