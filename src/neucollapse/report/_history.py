"""Read ``history.parquet``: one row per epoch and key, gathered to one curve a key."""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._errors import FileFormatError
from ._text import clean

_COLUMNS = ("epoch", "key", "value")


class Curve(NamedTuple):
    """A quantity over epochs, in increasing order of epoch. NaN where it was not measured."""

    epochs: np.ndarray
    values: np.ndarray


def read_history(path: Path, digest: str | None = None) -> dict[str, Curve]:
    """The curves of a training run, by key, in order of first appearance.

    Args:
        path: the file.
        digest: its SHA-256, as the result of the run names it; None where it names none.

    Raises:
        FileFormatError: if the file is not a parquet table with the columns epoch, key and value, or of another run.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        content = path.read_bytes()
        if digest is not None and hashlib.sha256(content).hexdigest() != digest:
            raise FileFormatError(path, "it is not the history that result.json names: of another run, or changed")
        table = pyarrow.parquet.read_table(io.BytesIO(content), columns=list(_COLUMNS))
        epochs = table["epoch"].to_numpy().astype(np.float64)
        values = table["value"].to_numpy().astype(np.float64)
        keys = table["key"].to_pylist()
    except (pyarrow.ArrowException, KeyError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(path, f"expected a parquet table with columns epoch, key, value ({reason})") from None
    if not all(isinstance(key, str) for key in keys):
        raise FileFormatError(path, "expected a string in every row of the column key")
    return _curves(epochs, keys, values)


def _curves(epochs: np.ndarray, keys: list[str], values: np.ndarray) -> dict[str, Curve]:
    rows: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        rows.setdefault(key, []).append(index)
    curves = {}
    for key, indices in rows.items():
        order = np.array(indices)[np.argsort(epochs[indices], kind="stable")]
        finite = np.where(np.isfinite(values[order]), values[order], np.nan)
        curves[clean(key)] = Curve(epochs[order], finite)
    return curves
