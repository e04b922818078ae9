"""NumPy's ``.npz``: each member is decompressed as a stream, so that memory holds one block and never the array."""

import zipfile
from collections.abc import Iterator
from io import BufferedIOBase
from math import prod
from pathlib import Path
from typing import cast

import numpy as np
from torch import Tensor

from .._errors import FileFormatError
from ._archive import MAX_BYTES, Archive, Entry, check_expansion, reading
from ._npy import Header, check_length, fill, read_header, stream_rows

_KIND = "an .npz archive"
_MAX_MEMBERS = 10_000  # a state dict of the largest models has a few thousand
_SKIP_BYTES = 2**20
# NumPy writes these two alone. Python's bz2 and lzma members expand each input block without any bound.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class NpzArchive(Archive):
    """The arrays of one ``.npz`` file, under their names without ``.npy``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = {}
        self._headers: dict[str, Header] = {}
        with reading(path, _KIND), zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MAX_MEMBERS:
                raise FileFormatError(path, f"it has {len(members):,} members; at most {_MAX_MEMBERS:,} are read")
            for member in members:
                self._read_entry(archive, member)

    def _read_entry(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
        name = member.filename.removesuffix(".npy")
        if member.compress_type not in _METHODS:
            raise FileFormatError(self.path, f"member {name!r} is compressed in a way NumPy never writes")
        if name == member.filename:
            self.entries[name] = Entry((), None, "a file that is no array")
            return
        with _stream(archive, member) as stream:
            header = read_header(stream, self.path, name)
        check_length(self.path, name, header, member.file_size - header.offset)
        self._headers[name] = header
        self.entries[name] = header.entry

    def check(self, name: str, max_bytes: int) -> Entry:
        entry = super().check(name, max_bytes)
        if len(entry.shape) > 1 and self._headers[name].fortran:
            raise FileFormatError(
                self.path,
                f"{name!r} is stored column by column (Fortran order), which cannot be streamed from a zip archive;"
                f" save numpy.ascontiguousarray({name}) instead",
            )
        return entry

    def rows(self, name: str, start: int, stop: int, size: int) -> Iterator[Tensor]:
        header = self._headers[name]
        with (
            reading(self.path, _KIND),
            zipfile.ZipFile(self.path) as archive,
            _stream(archive, name + ".npy") as stream,
        ):
            _skip(stream, header.offset + start * prod(header.entry.shape[1:]) * header.dtype.itemsize)
            yield from stream_rows(stream, header, stop - start, size)

    def class_names(self) -> list[str] | None:
        header = self._headers.get("class_names")
        if header is None:
            return None
        if header.dtype.kind != "U" or len(header.entry.shape) != 1:
            raise FileFormatError(self.path, f"class_names must be a list of strings, got {header.entry}")
        nbytes = prod(header.entry.shape) * header.dtype.itemsize
        check_expansion(self.path, "class_names", nbytes, MAX_BYTES)
        with reading(self.path, _KIND), zipfile.ZipFile(self.path) as archive:
            member = archive.getinfo("class_names.npy")
            if member.file_size != header.offset + nbytes:
                raise FileFormatError(self.path, "the header of 'class_names' does not fit its length")
            with _stream(archive, member) as stream:
                _skip(stream, header.offset)
                names = np.empty(header.entry.shape, header.dtype)
                fill(stream, names.view(np.uint8))
            return names.tolist()


def _stream(archive: zipfile.ZipFile, member: zipfile.ZipInfo | str) -> BufferedIOBase:
    return cast(BufferedIOBase, archive.open(member))  # which ZipExtFile is, though its stubs say IO


def _skip(stream: BufferedIOBase, count: int) -> None:
    """Move a compressed stream forward: the bytes before must be expanded, but are never kept."""
    while count:
        passed = len(stream.read(min(count, _SKIP_BYTES)))
        if not passed:
            raise EOFError(f"{count:,} bytes are missing")
        count -= passed
