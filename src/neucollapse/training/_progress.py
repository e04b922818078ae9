"""The progress of a training run, on standard error."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ._lightning import Callback, pl


class EpochProgress(Callback):
    """A bar over epochs with the last loss and accuracy."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Show the bar, at the epoch a resumed run begins with."""
        del pl_module
        columns = (
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task("", total=trainer.max_epochs, completed=trainer.current_epoch, note="")
        self._progress.start()

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Advance."""
        del pl_module
        metrics = trainer.callback_metrics
        note = f"loss {metrics['train/loss']:.2e}  accuracy {metrics['train/accuracy']:.4f}"
        if self._progress is not None:
            self._progress.update(self._task, completed=trainer.current_epoch + 1, note=note)

    def teardown(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", stage: str) -> None:
        """Leave the bar as it is, also after an exception."""
        del trainer, pl_module, stage
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
