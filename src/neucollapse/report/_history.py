"""Read ``history.parquet``: one row per epoch and key, gathered to one curve a key."""

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


def read_history(path: Path) -> dict[str, Curve]:
    """The curves of a training run, by key, in order of first appearance.

    Raises:
        FileFormatError: if the file is not a parquet table with the columns epoch, key and value.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, columns=list(_COLUMNS))
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
