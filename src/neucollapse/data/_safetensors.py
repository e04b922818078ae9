"""Safetensors: the header is checked by the library, rows are read lazily through a memory map."""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from .._files import parse_json, safetensors_header
from ._archive import Archive, Entry, check_class_names, reading, spans

_KIND = "a safetensors file"
_KINDS = {"F": "float", "BF": "bfloat", "I": "int", "U": "uint"}
_DTYPES = {
    "BOOL": torch.bool,
    **{
        f"{code}{bits}": getattr(torch, f"{kind}{bits}", None)
        for code, kind in _KINDS.items()
        for bits in (8, 16, 32, 64)
    },
}


class SafetensorsArchive(Archive):
    """The tensors of one safetensors file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = {}
        safetensors_header(path)  # refuses two tensors of one name, of which the library would take one
        with reading(path, _KIND), safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                part = file.get_slice(name)
                code = part.get_dtype()
                stored_as = str(_DTYPES.get(code) or code).removeprefix("torch.")
                self.entries[name] = Entry(tuple(part.get_shape()), _DTYPES.get(code), stored_as)
            self._metadata = file.metadata() or {}

    def rows(self, name: str, start: int, stop: int, size: int) -> Iterator[Tensor]:
        for first, last in spans(start, stop, size):
            # Opened for each block: pages of a memory map stay resident until it is closed.
            with reading(self.path, _KIND), safe_open(self.path, framework="pt") as file:
                block = file.get_slice(name)[first:last]
            yield block

    def class_names(self) -> list[str] | None:
        if "class_names" not in self._metadata:
            return None
        return check_class_names(self.path, parse_json(self.path, self._metadata["class_names"]))
