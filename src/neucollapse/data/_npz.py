"""NumPy's `.npz`: each member is decompressed as a stream, so that memory holds one block and never the array."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import cast

import numpy as np

from .._errors import FileFormatError
from ._archive import MAX_BYTES, Entry, check_class_names, check_expansion, reading
from ._npy import ArrayArchive, fill, read_header
from ._zip import checked_members

_KIND = "an .npz archive"
_MAX_MEMBERS = 10_000  # a state dict of the largest models has a few thousand
_MAX_TURNED_BYTES = 2**28  # an array stored column by column is held whole, to give its rows
# NumPy writes these two alone. Python's bz2 and lzma members expand each input block without any bound.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class NpzArchive(ArrayArchive):
    """The arrays of one `.npz` file, under their names without `.npy`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
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
        self._add(name, header, member.file_size - header.offset)

    def check(self, name: str, max_bytes: int) -> Entry:
        entry = super().check(name, max_bytes)
        if self._turned(name) and entry.nbytes > _MAX_TURNED_BYTES:
            raise FileFormatError(
                self.path,
                f"{name!r} is stored column by column (Fortran order), which cannot be streamed from a zip archive;"
                f" save numpy.ascontiguousarray({name}) instead",
            )
        return entry

    @contextmanager
    def _at(self, name: str, row: int) -> Iterator[BufferedIOBase]:
        """The bytes before must be expanded, but are never kept."""
        header = self._headers[name]
        with zipfile.ZipFile(self.path) as archive:
            member = archive.getinfo(name + ".npy")
            if member.file_size != header.offset + header.nbytes:  # it has changed since it was opened
                raise FileFormatError(self.path, f"the header of {name!r} does not fit its length")
            with _stream(archive, member) as stream:
                stream.seek(self._offset(name, row))
                yield stream

    def _columns(self, name: str) -> np.ndarray:
        columns = np.empty(self._headers[name].entry.shape[::-1], self._headers[name].dtype)
        with self._at(name, 0) as stream:
            fill(stream, columns.reshape(-1).view(np.uint8))
        return columns.T

    def class_names(self) -> list[str] | None:
        header = self._headers.get("class_names")
        if header is None:
            return None
        if not header.entry.is_text or len(header.entry.shape) != 1:
            raise FileFormatError(self.path, f"class_names must be a list of strings, got {header.entry}")
        check_expansion(self.path, "class_names", header.nbytes, MAX_BYTES)
        blocks = self.texts("class_names", 0, header.entry.shape[0], max(1, header.entry.shape[0]))
        return check_class_names(self.path, [name for block in blocks for name in block])


def _stream(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> BufferedIOBase:
    return cast(BufferedIOBase, archive.open(member))  # which ZipExtFile is, though its stubs say IO
