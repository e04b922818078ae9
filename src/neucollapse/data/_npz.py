"""NumPy's ``.npz``: each member is decompressed as a stream, so that memory holds one block and never the array."""

import zipfile
from collections.abc import Iterator
from io import BufferedIOBase
from math import prod
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from .._errors import FileFormatError
from ._archive import MAX_BYTES, Archive, Entry, check_class_names, check_expansion, reading, spans
from ._npy import Header, check_length, fill, read_header, stream_rows, strings
from ._zip import checked_members

_KIND = "an .npz archive"
_MAX_MEMBERS = 10_000  # a state dict of the largest models has a few thousand
_SKIP_BYTES = 2**20
_MAX_TURNED_BYTES = 2**28  # an array stored column by column is held whole, to give its rows
# NumPy writes these two alone. Python's bz2 and lzma members expand each input block without any bound.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class NpzArchive(Archive):
    """The arrays of one ``.npz`` file, under their names without ``.npy``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = {}
        self._headers: dict[str, Header] = {}
        with reading(path, _KIND), zipfile.ZipFile(path) as archive:
            members = checked_members(archive)
            if len(members) > _MAX_MEMBERS:
                raise FileFormatError(path, f"it has {len(members):,} members; at most {_MAX_MEMBERS:,} are read")
            for member in members:
                self._read_entry(archive, member)

    def _read_entry(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
        name = member.filename.removesuffix(".npy")
        if member.compress_type not in _METHODS:
            raise FileFormatError(self.path, f"member {name!r} is compressed in a way NumPy never writes")
        if name == member.filename:  # of an array with a damaged name nothing would be seen but that it is missing
            raise FileFormatError(self.path, f"its member {name!r} is no .npy array, and NumPy writes nothing else")
        with _stream(archive, member) as stream:
            header = read_header(stream, self.path, name)
        check_length(self.path, name, header, member.file_size - header.offset)
        self._headers[name] = header
        self.entries[name] = header.entry

    def check(self, name: str, max_bytes: int) -> Entry:
        entry = super().check(name, max_bytes)
        if self._turned(name) and entry.nbytes > _MAX_TURNED_BYTES:
            raise FileFormatError(
                self.path,
                f"{name!r} is stored column by column (Fortran order), which cannot be streamed from a zip archive;"
                f" save numpy.ascontiguousarray({name}) instead",
            )
        return entry

    def _turned(self, name: str) -> bool:
        return self._headers[name].fortran and len(self._headers[name].entry.shape) > 1

    def rows(self, name: str, start: int, stop: int, size: int) -> Iterator[Tensor]:
        header = self._headers[name]
        if self._turned(name):
            columns = np.empty(header.entry.shape[::-1], header.dtype)
            self._fill(name, columns)
            whole = torch.from_numpy(columns.T.astype(header.dtype.newbyteorder("="), order="C"))
            yield from (whole[first:last] for first, last in spans(start, stop, size))
            return
        with reading(self.path, _KIND), zipfile.ZipFile(self.path) as archive, self._open(archive, name) as stream:
            _skip(stream, header.offset + start * prod(header.entry.shape[1:]) * header.dtype.itemsize)
            yield from stream_rows(stream, header, stop - start, size)

    def texts(self, name: str, start: int, stop: int, size: int) -> Iterator[list[str]]:
        header = self._headers[name]
        with reading(self.path, _KIND), zipfile.ZipFile(self.path) as archive, self._open(archive, name) as stream:
            _skip(stream, header.offset + start * header.dtype.itemsize)
            yield from strings(stream, header, stop - start, size)

    def class_names(self) -> list[str] | None:
        header = self._headers.get("class_names")
        if header is None:
            return None
        if not header.entry.is_text or len(header.entry.shape) != 1:
            raise FileFormatError(self.path, f"class_names must be a list of strings, got {header.entry}")
        check_expansion(self.path, "class_names", header.nbytes, MAX_BYTES)
        blocks = self.texts("class_names", 0, header.entry.shape[0], max(1, header.entry.shape[0]))
        return check_class_names(self.path, [name for block in blocks for name in block])

    def _fill(self, name: str, array: np.ndarray) -> None:
        with reading(self.path, _KIND), zipfile.ZipFile(self.path) as archive, self._open(archive, name) as stream:
            _skip(stream, self._headers[name].offset)
            fill(stream, array.reshape(-1).view(np.uint8))

    def _open(self, archive: zipfile.ZipFile, name: str) -> BufferedIOBase:
        member, header = archive.getinfo(name + ".npy"), self._headers[name]
        if member.file_size != header.offset + header.nbytes:  # it has changed since it was opened
            raise FileFormatError(self.path, f"the header of {name!r} does not fit its length")
        return _stream(archive, member)


def _stream(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BufferedIOBase:
    return cast(BufferedIOBase, archive.open(member))  # which ZipExtFile is, though its stubs say IO


def _skip(stream: BufferedIOBase, count: int) -> None:
    """Move a compressed stream forward: the bytes before must be expanded, but are never kept."""
    while count:
        passed = len(stream.read(min(count, _SKIP_BYTES)))
        if not passed:
            raise EOFError(f"{count:,} bytes are missing")
        count -= passed
