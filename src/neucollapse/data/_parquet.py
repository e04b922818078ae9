"""Parquet: columns streamed batch by batch. Features are one list column, or columns f0, f1, ..., f{d-1}."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .._errors import FileFormatError
from .._files import parse_json
from ._archive import TEXT, Archive, Entry, check_class_names, reading

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_KIND = "a parquet file"
_DTYPES = {
    "halffloat": torch.float16,
    "float": torch.float32,
    "double": torch.float64,
    **{name: getattr(torch, name) for name in ("int8", "int16", "int32", "int64")},
    **{name: getattr(torch, name) for name in ("uint8", "uint16", "uint32", "uint64")},
}


class ParquetArchive(Archive):
    """The columns of one parquet file; columns `f0 ... f{d-1}` also stand together as the entry `f`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = {}
        with reading(path, _KIND), _open(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            self._metadata = dict(schema.metadata or {})
            self._row_groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
            if sum(self._row_groups) != rows or min(self._row_groups, default=0) < 0:
                raise FileFormatError(path, f"its row groups do not add up to the {rows} rows it claims")
            if len(set(schema.names)) < len(schema.names):
                double = next(name for name in schema.names if schema.names.count(name) > 1)
                raise FileFormatError(path, f"two columns are called {double!r}")
            for name, kind in zip(schema.names, schema.types, strict=True):
                self.entries[name] = _entry(file, name, kind, rows)
        self._columns = {name: [name] for name in self.entries}
        self._group_columns()

    def _group_columns(self) -> None:
        numbered: dict[str, dict[int, str]] = defaultdict(dict)
        for name in self.entries:
            if (match := re.fullmatch(r"(.*?)_?(\d{1,7})", name)) and match[1]:
                numbered[match[1]][int(match[2])] = name
        for stem, columns in numbered.items():
            entries = [self.entries[name] for name in columns.values()]
            if stem in self.entries or sorted(columns) != list(range(len(columns))) or len(set(entries)) > 1:
                continue
            if len(entries[0].shape) == 1:
                self.entries[stem] = Entry((*entries[0].shape, len(columns)), entries[0].dtype, entries[0].stored_as)
                self._columns[stem] = [columns[i] for i in range(len(columns))]

    def rows(self, name: str, start: int, stop: int, size: int) -> Iterator[Tensor]:
        columns, width = self._columns[name], self.entries[name].shape[1:]
        with reading(self.path, _KIND):
            for batch in self._batches(columns, start, stop, size):
                arrays = [_numbers(batch.column(column)) for column in columns]
                block = arrays[0] if columns == [name] else np.stack(arrays, axis=1)
                if block.shape[1:] != width:
                    raise ValueError(f"its lists do not all have the length {width[0]} of the first")
                yield torch.from_numpy(block if block.flags.writeable else block.copy())  # Arrow's memory is read-only

    def texts(self, name: str, start: int, stop: int, size: int) -> Iterator[list[str]]:
        with reading(self.path, _KIND):
            for batch in self._batches([name], start, stop, size):
                if batch.column(0).null_count:
                    raise ValueError("it has null values")
                yield batch.column(0).to_pylist()

    def _batches(self, columns: list[str], start: int, stop: int, size: int) -> Iterator[Any]:
        """Rows of these columns, in blocks that end where a row group ends."""
        first = 0
        for group, count in enumerate(self._row_groups):
            if first < stop and first + count > start:
                with _open(self.path) as file:  # each time: pages of a memory map stay resident until it is closed
                    for batch in file.iter_batches(size, row_groups=[group], columns=columns):
                        low, high = max(start - first, 0), min(stop - first, len(batch))
                        if low < high:
                            yield batch.slice(low, high - low)
                        first, count = first + len(batch), count - len(batch)
                        if first >= stop:
                            return
                if count:
                    raise EOFError(f"row group {group} lacks {count} rows")
            first += count

    def class_names(self) -> list[str] | None:
        if b"class_names" not in self._metadata:
            return None
        return check_class_names(self.path, parse_json(self.path, self._metadata[b"class_names"]))


def _open(path: Path) -> "ParquetFile":
    from pyarrow.parquet import ParquetFile

    # Mapped, so that neither a column chunk nor the page that a damaged header claims to be 2 GB is ever allocated.
    return ParquetFile(path, memory_map=True, pre_buffer=False, page_checksum_verification=True)


def _entry(file: "ParquetFile", name: str, kind: Any, rows: int) -> Entry:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return Entry((rows,), None, TEXT)
    if types.is_fixed_size_list(kind):
        return Entry((rows, kind.list_size), _DTYPES.get(str(kind.value_type)), f"lists of {kind.value_type}")
    if types.is_list(kind) or types.is_large_list(kind):
        dtype = _DTYPES.get(str(kind.value_type))
        length = _first_length(file, name) if rows and dtype else 0
        return Entry((rows, length), dtype, f"lists of {kind.value_type}")
    return Entry((rows,), _DTYPES.get(str(kind)), str(kind))


def _first_length(file: "ParquetFile", name: str) -> int:
    """Length of the first list of a column; that the others agree is checked as they stream by."""
    for batch in file.iter_batches(1, columns=[name]):
        first = batch.column(0)[0]
        return len(first) if first.is_valid else 0
    return 0


def _numbers(column: Any) -> np.ndarray:
    """A column as an array (rows,), or (rows, length) if it holds lists; nulls and ragged lists are damage."""
    import pyarrow.types as types

    if column.null_count:
        raise ValueError("it has null values")
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not types.is_nested(column.type):
        return column.to_numpy(zero_copy_only=False)
    flat = column.flatten()
    if flat.null_count:
        raise ValueError("it has null values inside its lists")
    lengths = [column.type.list_size] if types.is_fixed_size_list(column.type) else np.unique(np.diff(column.offsets))
    if len(lengths) != 1:
        raise ValueError(f"its lists have different lengths, {min(lengths)} to {max(lengths)}")
    return flat.to_numpy(zero_copy_only=False).reshape(len(column), int(lengths[0]))
