"""Read ``history.parquet``: one row per epoch and key, gathered to one curve a key."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._records import read_table
from .._schema import HISTORY
from ._text import clean


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
    epochs, keys, values = read_table(path, HISTORY, digest)
    return _curves(epochs.astype(np.float64), keys.tolist(), values.astype(np.float64))


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
