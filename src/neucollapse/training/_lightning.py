"""The one place where Lightning is imported, and where it is told to keep quiet."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from .._errors import MissingExtraError

try:
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import Callback, Checkpoint
    from lightning.pytorch.plugins import CheckpointIO
except ImportError:
    raise MissingExtraError("lightning", "train", "training") from None

__all__ = ["Callback", "Checkpoint", "CheckpointIO", "pl", "quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's tips, device tables and advice on settings that this package has chosen on purpose."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _ADVICE:
            warnings.filterwarnings("ignore", message)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


_ADVICE = (
    ".*does not have many workers",  # data sets here are in memory: a worker would only copy them
    ".*GPU available but not used",
    ".*number of training batches .* is smaller than the logging interval",
    ".*Checkpoint directory .* exists and is not empty",
    ".*LeafSpec.* is deprecated",  # Lightning 2.6 with torch 2.13
    ".*You're resuming from a checkpoint that ended before the epoch ended",
)
