"""``history.parquet``: one row per epoch and key."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from .._files import atomic_path

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
    import pyarrow
    import pyarrow.parquet

    epochs, keys, values = zip(*rows, strict=True)
    types = [("epoch", pyarrow.int32()), ("key", pyarrow.string()), ("value", pyarrow.float64())]
    table = pyarrow.table([epochs, keys, values], schema=pyarrow.schema(types))
    with atomic_path(path) as temporary:
        pyarrow.parquet.write_table(table, temporary)
        return hashlib.sha256(temporary.read_bytes()).hexdigest()
