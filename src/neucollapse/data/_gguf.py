"""GGUF: the matrices of a language model, de-quantised row by row.

The header is walked here, with every length checked against the file, because the reader of the `gguf` package runs
past the end of a damaged file without noticing. That package does the de-quantisation.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._errors import FileFormatError, MissingExtraError
from ._archive import Archive, Entry, readable_file, reading, spans

_KIND = "a GGUF file"
_VERSIONS = (2, 3)
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of each type of value
_UINT32, _STRING, _ARRAY = 4, 8, 9
_MAX_NESTING = 4
_MAX_AXES = 8
_ALIGNMENT = 32


class _Place(NamedTuple):
    """Where one tensor lies: type of quantisation, byte offset, bytes of one row."""

    kind: int
    offset: int
    row_bytes: int


class GgufArchive(Archive):
    """The vectors and matrices of one GGUF file, as float32."""

    rows_are_classes = True

    def __init__(self, path: Path) -> None:
        try:
            from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
        except ImportError:
            raise MissingExtraError("gguf", "heads", "reading a GGUF file") from None
        self.path = readable_file(path)
        self.entries = {}
        self._places: dict[str, _Place] = {}
        with reading(path, _KIND):
            tensors, data = _Walk(np.memmap(path, np.uint8, "r")).header()
            for name, (dims, kind, offset) in tensors.items():
                quantisation = GGMLQuantizationType(kind)
                block, block_bytes = GGML_QUANT_SIZES[quantisation]
                shape = tuple(reversed(dims))  # innermost axis first in the file
                row_bytes = shape[-1] // block * block_bytes
                if shape[-1] % block or data + offset + prod(shape[:-1]) * row_bytes > path.stat().st_size:
                    raise FileFormatError(path, f"{name!r} claims shape {shape}, which the file cannot hold")
                self.entries[name] = Entry(shape, torch.float32, f"de-quantised from {quantisation.name}")
                self._places[name] = _Place(kind, data + offset, row_bytes)

    def rows(self, name: str, start: int, stop: int, size: int) -> Iterator[Tensor]:
        from gguf import dequantize
        from gguf.constants import GGMLQuantizationType

        shape, place = self.entries[name].shape, self._places[name]
        rows = prod(shape[:-1])
        with reading(self.path, _KIND):
            data = np.memmap(self.path, np.uint8, "r", place.offset, (rows, place.row_bytes))
            if len(shape) == 1:  # one row of numbers, which cannot be cut inside a quantised block
                numbers = dequantize(np.array(data), GGMLQuantizationType(place.kind))
                yield torch.from_numpy(np.array(numbers, np.float32).reshape(-1)[start:stop])
                return
            for first, last in spans(start, stop, size):
                numbers = dequantize(np.array(data[first:last]), GGMLQuantizationType(place.kind))
                yield torch.from_numpy(np.array(numbers, np.float32).reshape(last - first, shape[-1]))


class _Walk:
    """A cursor over the header that refuses to leave the file."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.skip(count)
        return self.data[self.at - count : self.at].tobytes()

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self) -> str:
        return self.take(self.number(8)).decode()

    def skip_value(self, kind: int, depth: int = _MAX_NESTING) -> None:
        if kind in _SCALARS:
            self.skip(_SCALARS[kind])
        elif kind == _STRING:
            self.skip(self.number(8))
        elif kind == _ARRAY and depth:
            inner, count = self.number(4), self.number(8)
            if inner in _SCALARS:
                self.skip(count * _SCALARS[inner])
            else:
                for _ in range(count):  # each takes bytes, so a false count soon ends the file
                    self.skip_value(inner, depth - 1)
        else:
            raise ValueError(f"unknown type of value {kind}")

    def skip(self, count: int) -> None:
        if count > len(self.data) - self.at:
            raise EOFError(f"{count:,} bytes are claimed where {len(self.data) - self.at:,} are left")
        self.at += count

    def header(self) -> tuple[dict[str, tuple[list[int], int, int]], int]:
        """Every tensor's axes, type and offset, by name; and where the data begin."""
        if self.take(4) != b"GGUF" or self.number(4) not in _VERSIONS:
            raise ValueError(f"it does not begin with GGUF and a version in {_VERSIONS}")
        num_tensors, num_values, alignment = self.number(8), self.number(8), _ALIGNMENT
        for _ in range(num_values):
            key, kind = self.text(), self.number(4)
            if key == "general.alignment" and kind == _UINT32:
                alignment = self.number(4)
            else:
                self.skip_value(kind)
        tensors = {}
        for _ in range(num_tensors):
            name, axes = self.text(), self.number(4)
            if not 1 <= axes <= _MAX_AXES:
                raise ValueError(f"{name!r} claims {axes} axes")
            if name in tensors:
                raise ValueError(f"two tensors are called {name!r}")
            dims = [self.number(8) for _ in range(axes)]
            tensors[name] = dims, self.number(4), self.number(8)
        if not alignment:
            raise ValueError("its alignment is 0")
        return tensors, -(-self.at // alignment) * alignment
