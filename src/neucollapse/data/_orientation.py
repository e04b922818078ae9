"""Whether rows or columns of a stored matrix are the classes, and which vector is its bias.

Torch stores (K, d), Flax, Keras and Paddle (d, K). A bias of K entries tells, or the name by which a library stores its
matrix; where neither does, it is asked for and never guessed.
"""

import re
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import NamedTuple

from .._errors import FileFormatError
from ._archive import Entry
from ._matrices import Matrix

# What a library calls the bias that goes with the matrix it calls so.
_BIASES = (
    ("weights", "biases"), ("weights", "bias"), ("weight", "bias"), ("kernel", "bias"), ("coef_", "intercept_"),
    ("coef", "intercept"), ("coefs_", "intercepts_"), ("W", "b"), ("w", "b"),
)  # fmt: skip
_NUMBER = r"(?:[._/-]?\d+)?(?::\d+)?"  # coefs_.1, W2, kernel:0
_ROWS = re.compile(rf"(?:.*[^A-Za-z0-9])?(?:weight|coef_|embedding|embeddings){_NUMBER}", re.DOTALL)
_COLUMNS = re.compile(rf"(?:.*[^A-Za-z0-9])?(?:kernel|coefs_){_NUMBER}", re.DOTALL)


class Layout(NamedTuple):
    """How a matrix becomes the (K, d) of a classifier: turned or not, why, and the name of its bias."""

    turned: bool
    why: str
    bias: str | None


def bias_names(name: str) -> list[str]:
    """What the bias beside a matrix may be called."""
    found = []
    for weight, bias in _BIASES:
        changed, count = re.subn(rf"(^|[^A-Za-z0-9]){weight}({_NUMBER})$", rf"\g<1>{bias}\g<2>", name)
        found += [changed] if count else []
    # A layer that stores its one parameter under its own name: head.W0 and head.bias.
    return [*found, re.sub(r"[^./]*$", "bias", name, count=1)]


def is_vector(entry: Entry) -> bool:
    """K numbers as (K,), (1, K) or (K, 1)."""
    return 0 < len(entry.shape) <= 4 and entry.is_float and max(entry.shape) == prod(entry.shape) > 0


def bias_beside(entries: Mapping[str, Entry], matrix: Matrix) -> str | None:
    """The name of the bias stored beside a matrix, whatever its length."""
    return next((bias for bias in bias_names(matrix.name) if bias in entries and bias != matrix.name), None)


def layout(
    path: Path, entries: Mapping[str, Entry], matrix: Matrix, *, bias: str | None, transpose: bool | None, rows: bool
) -> Layout:
    """Which way round a matrix is, and its bias; `rows` says that the format itself has turned it.

    Raises:
        FileFormatError: if nothing tells, or the bias fits neither side.
    """
    found = bias if bias is not None else bias_beside(entries, matrix)
    if bias is not None and bias not in entries:
        held = ", ".join(name for name, entry in entries.items() if is_vector(entry)) or "no vector"
        raise FileFormatError(path, f"there is no {bias!r} in it; it holds {held}")
    length = None
    if found is not None:
        if not is_vector(entries[found]) or prod(entries[found].shape) not in matrix.shape:
            sizes = " or ".join(f"({size},)" for size in dict.fromkeys(matrix.shape))
            raise FileFormatError(
                path, f"bias {found!r} is {entries[found]}; expected {sizes} to go with {matrix.name!r} {matrix.shape}"
            )
        length = prod(entries[found].shape)
    turned, why = _direction(path, matrix, length, transpose, rows)
    K = matrix.shape[1 if turned else 0]
    if length is not None and length != K:
        raise FileFormatError(
            path, f"bias {found!r} has {length} entries, and K is {K} when {why}; expected one entry for each class"
        )
    return Layout(turned, why, found)


def _direction(path: Path, matrix: Matrix, length: int | None, transpose: bool | None, rows: bool) -> tuple[bool, str]:
    n, m = matrix.shape
    if transpose is not None:
        return transpose, f"transpose is {transpose}"
    if rows:
        return False, "the graph or format says which axis is which"
    if length is not None and n != m:
        return length == m, f"the bias has {length} entries"
    if _ROWS.fullmatch(matrix.name):
        return False, "torch, scikit-learn and embedding tables store a matrix of this name so"
    if _COLUMNS.fullmatch(matrix.name):
        return True, "Flax, Keras and scikit-learn's networks store a matrix of this name so"
    shapes = f"K = {n} and d = {m}, or K = {m} and d = {n}" if n != m else f"K = d = {n} either way"
    raise FileFormatError(
        path,
        f"whether rows or columns of {matrix.name!r} {matrix.shape} are the classes is not clear: {shapes}; say"
        " transpose=False (--transpose False) if rows are, transpose=True (--transpose True) if columns are, or name a"
        " bias of K entries (bias=, --bias-key)",
    )
