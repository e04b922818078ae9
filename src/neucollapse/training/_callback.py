"""``CollapseCallback``: measures collapse every few epochs of any Lightning training."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .._errors import InputError
from ..metrics import CollapseResult
from ._lightning import Callback, pl

ZERO_ERROR_KEY = "train/accuracy/linear"


class CollapseCallback(Callback):
    """Measures a model's collapse before training, every n epochs and after the last one.

    Every number goes, under its flat key (``train/nc1/pinv``), to the loggers of the trainer and to its
    ``callback_metrics``, where early stopping finds it, and to ``.history``. The model is measured in evaluation mode,
    its modes restored afterwards. The history is part of the callback's state: a resumed run continues it.

    Args:
        loaders: splits to measure, ``{"train": loader, "test": loader}``. None takes the trainer's own: its training
            loader as ``train``, its first validation loader, if there is one, as ``test``.
        every: epochs between two measurements; the last epoch of ``max_epochs`` is always measured.
        at_start: whether to measure the model before training, as epoch 0.
        logged: epoch metrics that the module logs itself and that the history shall keep, at every epoch.
        accuracy: the key by which the zero-error epoch is found; by default the accuracy as measured, in evaluation mode
            (that of training batches, which batch norm and augmentation change, may be 1 long before).
        options: further keywords for ``neucollapse.measure``.

    Attributes:
        history: rows ``(epoch, key, value)``; epoch e means after e epochs.
        last_result: the newest ``CollapseResult``, or None.
        last_epoch: the epoch it belongs to, or None.

    Raises:
        InputError: when ``every`` is below 1.

    Examples:
        >>> callback = CollapseCallback(every=5)
        >>> trainer = pl.Trainer(max_epochs=20, callbacks=[callback])  # doctest: +SKIP
    """

    def __init__(
        self,
        loaders: Mapping[str, Any] | None = None,
        every: int = 1,
        *,
        at_start: bool = True,
        logged: Sequence[str] = ("train/loss", "train/accuracy"),
        accuracy: str = ZERO_ERROR_KEY,
        **options: Any,
    ) -> None:
        if every < 1:
            raise InputError(f"expected to measure every 1 or more epochs, got every={every}")
        self.loaders = loaders
        self.every = every
        self.at_start = at_start
        self.logged = tuple(logged)
        self.accuracy = accuracy
        self.options: dict[str, Any] = {"progress": False, **options}
        self.history: list[tuple[int, str, float]] = []
        self.last_result: CollapseResult | None = None
        self.last_epoch: int | None = None

    @property
    def zero_error_epoch(self) -> int | None:
        """The first measured epoch from which on there is no training error: the terminal phase. None before it."""
        accuracies = [(epoch, value) for epoch, key, value in self.history if key == self.accuracy]
        after_last_error = 1 + max((place for place, (_, value) in enumerate(accuracies) if value < 1), default=-1)
        return accuracies[after_last_error][0] if after_last_error < len(accuracies) else None

    def on_train_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Measure the model as it is before training."""
        if self.at_start and trainer.current_epoch == 0 and not self.history:
            self._log(trainer, self._measure(trainer, pl_module, 0), 0)

    def on_train_epoch_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Keep what the module logged; measure when it is time."""
        epoch = trainer.current_epoch + 1
        metrics = trainer.callback_metrics
        self.history += [(epoch, key, metrics[key].item()) for key in self.logged if key in metrics]
        if epoch % self.every == 0 or epoch == trainer.max_epochs:
            numbers = self._measure(trainer, pl_module, epoch)
            self._log(trainer, numbers, trainer.global_step)

    def _log(self, trainer: "pl.Trainer", numbers: dict[str, float], step: int) -> None:
        # Not through pl_module.log, which takes a millisecond a number, and there are hundreds.
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=step)
        trainer.callback_metrics.update({key: torch.tensor(value) for key, value in numbers.items()})

    def measure(self, module: nn.Module, loaders: Mapping[str, Any] | None = None, **options: Any) -> CollapseResult:
        """Measure a module as this callback does; nothing is kept.

        Args:
            module: inputs to logits.
            loaders: splits; this callback's own by default.
            options: keywords for ``neucollapse.measure`` that override this callback's.

        Returns:
            The measurement.
        """
        from .. import _measure  # on first use: it belongs to the whole library

        splits = loaders or self.loaders
        if splits is None:
            raise InputError(
                "expected splits to measure, such as {'train': loader}: this callback takes its trainer's own, got none"
            )
        with evaluating(module):
            return _measure.measure(module, splits, **(self.options | options))

    def _measure(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", epoch: int) -> dict[str, float]:
        self.last_result = self.measure(pl_module, self.loaders or _own_loaders(trainer))
        self.last_epoch = epoch
        numbers = {key: value for key, value in self.last_result.to_dict().items() if not math.isnan(value)}
        self.history += [(epoch, key, value) for key, value in numbers.items()]
        return numbers

    def state_dict(self) -> dict[str, Any]:
        """The history, as three columns."""
        epochs, keys, values = zip(*self.history, strict=True) if self.history else ((), (), ())
        return {
            "epoch": torch.tensor(epochs, dtype=torch.int32),
            "key": list(keys),
            "value": torch.tensor(values, dtype=torch.float64),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue a history."""
        columns = state_dict["epoch"].tolist(), state_dict["key"], state_dict["value"].tolist()
        self.history = list(zip(*columns, strict=True))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards the mode each part had: parts may be frozen in evaluation mode on purpose."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _own_loaders(trainer: "pl.Trainer") -> dict[str, Any]:
    loaders = {"train": trainer.train_dataloader}
    if validation := trainer.val_dataloaders:
        loaders["test"] = validation[0] if isinstance(validation, (list, tuple)) else validation
    return loaders
