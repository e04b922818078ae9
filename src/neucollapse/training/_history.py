"""``history.parquet``: one row per epoch and key."""

from collections.abc import Iterable
from pathlib import Path

from .._records import write_table
from .._schema import HISTORY

TERMINAL_PHASE_KEY = "train/terminal_phase"


def with_terminal_phase(
    rows: Iterable[tuple[int, str, float]], zero_error_epoch: int | None
) -> list[tuple[int, str, float]]:
    """The rows, and for each epoch a row that is 1 in the terminal phase (from the zero-error epoch on), else 0."""
    rows = list(rows)
    first = float("inf") if zero_error_epoch is None else zero_error_epoch
    epochs = sorted({epoch for epoch, _, _ in rows})
    return rows + [(epoch, TERMINAL_PHASE_KEY, float(epoch >= first)) for epoch in epochs]


def write_history(path: Path, rows: Iterable[tuple[int, str, float]]) -> str:
    """Write rows ``(epoch, key, value)``, atomically; the SHA-256 of the file, by which a result knows it."""
    return write_table(path, HISTORY, rows)
