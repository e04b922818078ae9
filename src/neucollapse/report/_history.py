"""Read `history.parquet`: one row per epoch and key, gathered to one curve a key."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._records import read_table
from .._schema import HISTORY
from ._text import clean


class Curve(NamedTuple):
    """A quantity `y` over `x` (epochs, layers), in increasing order of x. NaN where it was not measured."""

    x: np.ndarray
    y: np.ndarray


def read_history(path: Path, digest: str | None = None) -> dict[str, Curve]:
    """The curves of a training run, by key, in order of first appearance.

    `digest` is the SHA-256 of the file, as the result of the run names it; None where it names none. What is no such file,
    or of another run, ends in a `FileFormatError`.
    """
    epochs, keys, values = read_table(path, HISTORY, digest)
    epochs, values = epochs.astype(np.float64), values.astype(np.float64)
    rows: dict[str, list[int]] = {}
    for index, key in enumerate(keys.tolist()):
        rows.setdefault(key, []).append(index)
    curves = {}
    for key, indices in rows.items():
        order = np.array(indices)[np.argsort(epochs[indices], kind="stable")]
        curves[clean(key)] = Curve(epochs[order], np.where(np.isfinite(values[order]), values[order], np.nan))
    return curves
