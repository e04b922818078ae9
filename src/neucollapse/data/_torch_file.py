"""Files of ``torch.save``: tensors in nested dictionaries, read without running any code (``weights_only=True``)."""

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .._errors import FileFormatError
from ._archive import Archive, Entry, check_class_names, one_line, reading, spans

_KIND = "a file of torch.save"
_MAX_DEPTH = 8


class TorchArchive(Archive):
    """The tensors of a state dict or checkpoint; nested names are joined by dots."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = _load(path)
        self._content = content if isinstance(content, Mapping) else {path.stem: content}
        self._tensors = dict(_tensors(self._content, "", _MAX_DEPTH))
        self.entries = {
            name: Entry(tuple(tensor.shape), _dtype(tensor), str(tensor.dtype).removeprefix("torch."))
            for name, tensor in self._tensors.items()
        }

    def rows(self, name: str, start: int, stop: int, size: int) -> Iterator[Tensor]:
        with reading(self.path, _KIND):
            for first, last in spans(start, stop, size):
                yield self._tensors[name][first:last]

    def class_names(self) -> list[str] | None:
        names = self._content.get("class_names")
        return None if names is None else check_class_names(self.path, names)


def _load(path: Path) -> Any:
    zipped = _is_plain_zip(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files make torch talk about its own typed storages
            # Only the zip format can be mapped; older files are read whole, which their size bounds.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # on damaged bytes the unpickler raises anything at all
        raise FileFormatError(path, _reason(error)) from None


def _reason(error: Exception) -> str:
    if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return (
            f"it holds a pickled {found[1]}, and unpickling anything but tensors could run code;"
            " save model.state_dict() with torch.save, or a .safetensors file"
        )
    # torch's own sentence advises to turn the safeguard off, which is no advice to pass on
    detail = "" if "weights_only" in str(error) else f" ({one_line(error)})"
    return f"damaged, cut short or not {_KIND} with tensors alone{detail}"


def _is_plain_zip(path: Path) -> bool:
    """Whether the file has torch's zip format, whose members are stored: a compressed one is a bomb or damage."""
    with reading(path, _KIND):
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise FileFormatError(path, "its members are compressed, which torch.save never does")
    return True


def _dtype(tensor: Tensor) -> torch.dtype | None:
    plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_complex()
    return tensor.dtype if plain and tensor.device.type == "cpu" else None


def _tensors(content: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, Tensor):
            yield name, value.detach()
        elif isinstance(value, Mapping) and depth:
            yield from _tensors(value, name + ".", depth - 1)
