"""Stopping on a metric of collapse."""

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
