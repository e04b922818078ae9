"""Files of `torch.save`: tensors in nested dictionaries, read without running any code (`weights_only=True`)."""

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .._errors import FileFormatError
from ._archive import TEXT, Archive, Entry, check_class_names, one_line, reading, spans
from ._zip import checked_members

_KIND = "a file of torch.save"
_MAX_DEPTH = 8
_MAX_ITEMS = 1_000_000
_CHECKED_BYTES = 2**22


class TorchArchive(Archive):
    """The tensors of a state dict or checkpoint; nested names are joined by dots."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = _load(path)
        self._content = content if isinstance(content, Mapping) else {path.stem: content}
        self._tensors: dict[str, Tensor] = {}
        with reading(path, _KIND):
            for name, tensor in _tensors(self._content, "", _MAX_DEPTH, iter(range(_MAX_ITEMS))):
                if name in self._tensors:  # {"a": {"b": x}, "a.b": y}
                    raise FileFormatError(path, f"two of its tensors are called {name!r}")
                self._tensors[name] = tensor
        self._texts = {name: value for name, value in self._content.items() if _all(value, str)}
        self.entries = {
            name: Entry(tuple(tensor.shape), _dtype(tensor), str(tensor.dtype).removeprefix("torch."))
            for name, tensor in self._tensors.items()
        } | {
            str(name): Entry((len(value),), None, TEXT) for name, value in self._texts.items() if name != "class_names"
        }

    def rows(self, name: str, start: int, stop: int, size: int) -> Iterator[Tensor]:
        with reading(self.path, _KIND):
            for first, last in spans(start, stop, size):
                yield self._tensors[name][first:last]

    def texts(self, name: str, start: int, stop: int, size: int) -> Iterator[list[str]]:
        yield from (list(self._texts[name][first:last]) for first, last in spans(start, stop, size))

    def class_names(self) -> list[str] | None:
        names = self._content.get("class_names")
        return None if names is None else check_class_names(self.path, list(names) if _all(names, str) else names)


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
            _check_members(archive)
    return True


def _check_members(archive: zipfile.ZipFile) -> None:
    """What torch does not check: that members are whole and named once, and the checksums, where the file has them."""
    for member in checked_members(archive):
        if member.CRC:  # torch can be told to save without them, and then they are all 0
            with archive.open(member) as stream:
                while stream.read(_CHECKED_BYTES):
                    pass


def _dtype(tensor: Tensor) -> torch.dtype | None:
    plain = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_complex()
    return tensor.dtype if plain and tensor.device.type == "cpu" else None


def _all(value: object, kind: type) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(type(item) is kind for item in value)


def _tensors(content: Mapping[Any, Any], prefix: str, depth: int, left: Iterator[int]) -> Iterator[tuple[str, Tensor]]:
    """Tensors of nested dictionaries and lists, whose places are numbers; a list of integers is a tensor too."""
    for key, value in content.items():
        # A list that holds one list many times, and so on, is small as a pickle and endless to walk.
        if next(left, None) is None:
            raise ValueError(f"it holds more than {_MAX_ITEMS:,} items")
        name = f"{prefix}{key}"
        if isinstance(value, Tensor):
            yield name, value.detach()
        elif isinstance(value, Mapping) and depth:
            yield from _tensors(value, name + ".", depth - 1, left)
        elif _all(value, int):
            yield name, torch.tensor(value)
        elif isinstance(value, list | tuple) and depth and not _all(value, str):
            yield from _tensors(dict(enumerate(value)), name + ".", depth - 1, left)
