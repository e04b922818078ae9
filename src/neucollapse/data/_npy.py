"""NumPy's `.npy`: a checked header, then rows read straight from the file. Object arrays are never unpickled."""

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
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

_KIND = "an array of NumPy"
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
    """Parse the header of an array and leave `stream` at its first data byte."""
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


def fill(stream: BufferedIOBase, array: np.ndarray) -> None:
    """Fill a flat array of bytes from a stream, which may give fewer bytes a call than asked for."""
    buffer, filled = array.data, 0
    while filled < len(buffer):
        count = stream.readinto(buffer[filled:])
        if not count:
            raise EOFError(f"{len(buffer) - filled:,} bytes are missing")
        filled += count


class ArrayArchive(Archive):
    """Arrays with NumPy's headers, each read as a stream."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = {}
        self._headers: dict[str, Header] = {}

    def _add(self, name: str, header: Header, stored: int) -> None:
        """Take an array up, whose data must be as long as its header claims: checked before anything is allocated."""
        plain = header.entry.dtype is not None or header.entry.is_text
        if plain and header.nbytes != stored:
            claim = f"{header.entry}, {header.nbytes:,} bytes"
            raise FileFormatError(self.path, f"the header of {name!r} claims {claim}, but {stored:,} follow")
        self._headers[name], self.entries[name] = header, header.entry

    @abstractmethod
    def _at(self, name: str, row: int) -> AbstractContextManager[BufferedIOBase]:
        """The stream of an array, which stands at a row."""

    @abstractmethod
    def _columns(self, name: str) -> "np.ndarray":
        """An array that is stored column by column (Fortran order)."""

    def _turned(self, name: str) -> bool:
        header = self._headers[name]
        return header.fortran and len(header.entry.shape) > 1

    def rows(self, name: str, start: int, stop: int, size: int) -> Iterator[Tensor]:
        header = self._headers[name]
        native = header.dtype.newbyteorder("=")
        with reading(self.path, _KIND):
            if self._turned(name):
                array = self._columns(name)
                for first, last in spans(start, stop, size):
                    yield torch.from_numpy(np.array(array[first:last], native, order="C"))
                return
            with self._at(name, start) as stream:
                for first, last in spans(start, stop, size):
                    block = np.empty((last - first, *header.entry.shape[1:]), header.dtype)
                    fill(stream, block.reshape(-1).view(np.uint8))
                    yield torch.from_numpy(block.astype(native, copy=False))

    def texts(self, name: str, start: int, stop: int, size: int) -> Iterator[list[str]]:
        width, dtype = self._headers[name].dtype.itemsize, self._headers[name].dtype
        with reading(self.path, _KIND), self._at(name, start) as stream:
            if width > _BLOCK_BYTES:
                raise ValueError(f"its strings are {width:,} bytes long")
            for first, last in spans(start, stop, min(size, _BLOCK_BYTES // max(1, width))):
                block = np.empty(last - first, dtype)
                if width:
                    fill(stream, block.view(np.uint8))
                yield [text.decode() if isinstance(text, bytes) else text for text in block.tolist()]

    def _offset(self, name: str, row: int) -> int:
        header = self._headers[name]
        return header.offset + row * prod(header.entry.shape[1:]) * header.dtype.itemsize


class NpyArchive(ArrayArchive):
    """One array; its name is the file's name without the suffix."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with reading(path, _KIND), path.open("rb") as stream:
            header = read_header(stream, path, path.stem)
        self._add(path.stem, header, path.stat().st_size - header.offset)

    @contextmanager
    def _at(self, name: str, row: int) -> Iterator[BufferedIOBase]:
        with self.path.open("rb") as stream:
            stream.seek(self._offset(name, row))
            yield stream

    def _columns(self, name: str) -> np.ndarray:
        header = self._headers[name]
        return np.memmap(self.path, header.dtype, "r", header.offset, header.entry.shape, order="F")
