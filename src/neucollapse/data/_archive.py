"""One view of every file of arrays: what it holds (from its header alone) and a stream of rows (in bounded memory).

A reader opens the file once to learn the entries, keeps no handle, and opens it again for each stream, so that it can
be pickled, read twice and split between processes. Whatever is wrong with the file ends in one `FileFormatError`.
"""

import struct
import tokenize
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError
from torch import Tensor

from .._errors import FileFormatError, NeucollapseError
from .._files import one_line, require_file

MAX_BYTES = 64 * 2**20  # what a strongly compressed array may expand to before it is taken for a bomb
_BOMB_RATIO = 100  # real features shrink less than tenfold; zlib cannot shrink anything more than 1032-fold
_MAX_NAMES = 2**24
TEXT = "text"  # what an entry of strings is stored as

# What the readers of all formats raise on damaged bytes. MemoryError: a header that claims terabytes; SyntaxError and
# TokenError: NumPy's headers are Python literals, which it parses without running them.
_DAMAGE = (
    OSError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError, MemoryError, SyntaxError,
    tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error, SafetensorError,
)  # fmt: skip


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a reader raises on bytes it does not understand into one sentence."""
    try:
        yield
    except NeucollapseError:
        raise
    except PermissionError:
        raise FileFormatError(path, "there is no permission to read it") from None
    except _DAMAGE as error:
        raise FileFormatError(path, f"damaged, cut short or not {kind} ({one_line(error)})") from None


def readable_file(path: str | Path) -> Path:
    """Return `path` if it is a readable file with something in it, else raise `FileFormatError`."""
    path = Path(path)
    with reading(path, "a path that can be opened"):
        require_file(path)
        with path.open("rb") as stream:
            if not stream.read(1):
                raise FileFormatError(path, "it is empty")
    return path


@dataclass(frozen=True)
class Entry:
    """What a file says about one of its arrays. `dtype` is None where torch has no tensor for it.

    `width` is the number of bytes of one item that torch has no type for, such as a string.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype | None
    stored_as: str
    width: int = 1

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * (self.dtype.itemsize if self.dtype else self.width)

    @property
    def is_float(self) -> bool:
        return self.dtype is not None and self.dtype.is_floating_point and self.dtype.itemsize > 1

    @property
    def is_integer(self) -> bool:
        return self.dtype in _INTEGERS

    @property
    def is_text(self) -> bool:
        return self.stored_as == TEXT

    def __str__(self) -> str:
        return f"{self.shape} {self.stored_as}"


_INTEGERS = {getattr(torch, f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)}


class Archive(ABC):
    """A file of named arrays. `entries` comes from the header; `rows` streams along the first axis."""

    path: Path
    entries: dict[str, Entry]
    biases: Mapping[str, str] = MappingProxyType({})  # which bias goes with which weight, where the format knows
    last: str | None = None  # the weight nearest the output, where the format knows
    unclear: str = ""  # why the format cannot tell, and no name may be trusted instead
    rows_are_classes: bool = False  # whether the reader has turned its matrices to (K, d)

    @abstractmethod
    def rows(self, name: str, start: int, stop: int, size: int) -> Iterator[Tensor]:
        """Rows `start` to `stop` of an entry, in consecutive blocks of at most `size` rows."""

    def texts(self, name: str, start: int, stop: int, size: int) -> Iterator[list[str]]:
        """Rows of an entry of strings, in consecutive blocks."""
        del start, stop, size
        raise FileFormatError(self.path, f"{name!r} holds strings, which are not read from a file of this kind")

    def class_names(self) -> list[str] | None:
        """The class names stored with the arrays, if any."""
        return None

    def check(self, name: str, max_bytes: int) -> Entry:
        """Return an entry that can be read: numbers or strings, not empty, not a bomb."""
        entry = self.entries[name]
        if entry.dtype is None and not entry.is_text:
            raise FileFormatError(self.path, f"{name!r} is stored as {entry.stored_as}, not as plain numbers")
        if not entry.shape or 0 in entry.shape:
            raise FileFormatError(self.path, f"{name!r} has shape {entry.shape}: it holds no rows")
        check_expansion(self.path, name, entry.nbytes, max_bytes)
        return entry

    def read(self, name: str, max_bytes: int = MAX_BYTES) -> Tensor:
        """One whole entry."""
        entry = self.check(name, max_bytes)
        with reading(self.path, "a complete file"):
            whole = torch.empty(entry.shape, dtype=entry.dtype)
            start = 0
            for block in self.rows(name, 0, entry.shape[0], _block_rows(entry)):
                whole[start : start + len(block)] = block
                start += len(block)
        if start != entry.shape[0]:
            raise FileFormatError(self.path, f"{name!r} holds {start} rows where its header claims {entry.shape[0]}")
        return whole

    def contents(self) -> str:
        """The entries in words, for messages."""
        shown = [f"{name!r} {entry}" for name, entry in list(self.entries.items())[:12]]
        more = len(self.entries) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more else "") if shown else "nothing"


def _block_rows(entry: Entry) -> int:
    return max(1, 2**24 * entry.shape[0] // entry.nbytes)


def check_expansion(path: Path, what: str, nbytes: int, max_bytes: int) -> None:
    """Refuse an array so much larger than its file that only a bomb, or constant data, explains it."""
    stored = path.stat().st_size
    if nbytes > max_bytes and nbytes > _BOMB_RATIO * stored:
        raise FileFormatError(
            path,
            f"{what!r} would expand from {stored:,} bytes on disk to {nbytes:,}, more than {_BOMB_RATIO} times as much;"
            f" if you trust it, pass max_bytes={nbytes}",
        )


def check_class_names(path: Path, names: object) -> list[str]:
    """Return `names` if it is a list of strings, else raise `FileFormatError`."""
    if isinstance(names, list) and len(names) <= _MAX_NAMES and all(isinstance(name, str) for name in names):
        return names
    raise FileFormatError(path, "class_names must be a list of strings")


def spans(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of at most `size` that cover `start` to `stop`."""
    for first in range(start, stop, size):
        yield first, min(first + size, stop)
