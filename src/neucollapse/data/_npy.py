"""NumPy's ``.npy``: a checked header, then rows read straight from the file. Object arrays are never unpickled."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.lib import format as npy_format
from torch import Tensor

from .._errors import FileFormatError
from ._archive import TEXT, Archive, Entry, reading, spans

_KIND = "a .npy array"
_BLOCK_BYTES = 2**24  # of strings
_KINDS = "fiub"  # float, signed, unsigned, bool: what torch can hold


@dataclass(frozen=True)
class Header:
    """The header of one array: its entry, NumPy dtype, memory order and where its data begin."""

    entry: Entry
    dtype: np.dtype
    fortran: bool
    offset: int

    @property
    def nbytes(self) -> int:
        return prod(self.entry.shape) * self.dtype.itemsize


def read_header(stream: BufferedIOBase, path: Path, name: str) -> Header:
    """Parse the header of an array and leave ``stream`` at its first data byte."""
    with reading(path, _KIND), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns about odd but readable headers, e.g. from Python 2
        version = npy_format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise FileFormatError(path, f"{name!r} has .npy version {version}; plain arrays have (1, 0) or (2, 0)")
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    if any(length < 0 for length in shape):
        raise FileFormatError(path, f"{name!r} claims the impossible shape {shape}")
    shape = tuple(int(length) for length in shape)
    stored_as = TEXT if dtype.kind in "US" else str(dtype.newbyteorder("="))
    return Header(Entry(shape, _torch_dtype(dtype), stored_as, dtype.itemsize), dtype, fortran, stream.tell())


def _torch_dtype(dtype: np.dtype) -> torch.dtype | None:
    if dtype.kind not in _KINDS or dtype.itemsize > 8:
        return None
    return torch.from_numpy(np.empty(0, dtype.newbyteorder("="))).dtype


def stream_rows(stream: BufferedIOBase, header: Header, rows: int, size: int) -> Iterator[Tensor]:
    """The next ``rows`` rows of a stream that stands at the beginning of a row."""
    for first, last in spans(0, rows, size):
        block = np.empty((last - first, *header.entry.shape[1:]), header.dtype)
        fill(stream, block.reshape(-1).view(np.uint8))
        yield torch.from_numpy(block.astype(header.dtype.newbyteorder("="), copy=False))


def strings(stream: BufferedIOBase, header: Header, count: int, size: int) -> Iterator[list[str]]:
    """The next ``count`` strings of an array of fixed width, from a stream that stands at the beginning of one."""
    if header.dtype.itemsize > _BLOCK_BYTES:
        raise ValueError(f"its strings are {header.dtype.itemsize:,} bytes long")
    for first, last in spans(0, count, min(size, _BLOCK_BYTES // max(1, header.dtype.itemsize))):
        block = np.empty(last - first, header.dtype)
        if header.dtype.itemsize:
            fill(stream, block.view(np.uint8))
        yield [text.decode() if isinstance(text, bytes) else text for text in block.tolist()]


def fill(stream: BufferedIOBase, array: np.ndarray) -> None:
    """Fill a flat array of bytes from a stream, which may give fewer bytes a call than asked for."""
    buffer, filled = array.data, 0
    while filled < len(buffer):
        count = stream.readinto(buffer[filled:])
        if not count:
            raise EOFError(f"{len(buffer) - filled:,} bytes are missing")
        filled += count


def check_length(path: Path, name: str, header: Header, stored: int) -> None:
    """The data must be exactly as long as the header claims: checked before anything is allocated."""
    plain = header.entry.dtype is not None or header.entry.is_text
    if plain and header.nbytes != stored:
        raise FileFormatError(
            path, f"the header of {name!r} claims {header.entry}, {header.nbytes:,} bytes, but {stored:,} follow"
        )


class NpyArchive(Archive):
    """One array; its name is the file's name without the suffix."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, _KIND), path.open("rb") as stream:
            self._header = read_header(stream, path, path.stem)
        check_length(path, path.stem, self._header, path.stat().st_size - self._header.offset)
        self.entries = {path.stem: self._header.entry}

    def rows(self, name: str, start: int, stop: int, size: int) -> Iterator[Tensor]:
        del name  # there is but one
        header = self._header
        if header.fortran and len(header.entry.shape) > 1:
            yield from self._rows_of_columns(start, stop, size)
            return
        with reading(self.path, _KIND), self.path.open("rb") as stream:
            stream.seek(header.offset + start * prod(header.entry.shape[1:]) * header.dtype.itemsize)
            yield from stream_rows(stream, header, stop - start, size)

    def texts(self, name: str, start: int, stop: int, size: int) -> Iterator[list[str]]:
        del name
        with reading(self.path, _KIND), self.path.open("rb") as stream:
            stream.seek(self._header.offset + start * self._header.dtype.itemsize)
            yield from strings(stream, self._header, stop - start, size)

    def _rows_of_columns(self, start: int, stop: int, size: int) -> Iterator[Tensor]:
        """Rows of an array stored column by column (Fortran order), gathered through a memory map."""
        header = self._header
        with reading(self.path, _KIND):
            array = np.memmap(self.path, header.dtype, "r", header.offset, header.entry.shape, order="F")
            for first, last in spans(start, stop, size):
                yield torch.from_numpy(np.array(array[first:last], header.dtype.newbyteorder("="), order="C"))
