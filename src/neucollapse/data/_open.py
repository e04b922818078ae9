"""Which files a path stands for, and the reader of each by its suffix."""

import glob
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from .._errors import FileFormatError
from .._files import parse_json
from ._archive import Archive, readable_file, reading

_READERS = {
    ".safetensors": "_safetensors.SafetensorsArchive", ".npz": "_npz.NpzArchive", ".npy": "_npy.NpyArchive",
    ".parquet": "_parquet.ParquetArchive", ".pq": "_parquet.ParquetArchive",
    ".pt": "_torch_file.TorchArchive", ".pth": "_torch_file.TorchArchive",
    ".onnx": "_onnx.OnnxArchive", ".gguf": "_gguf.GgufArchive",
}  # fmt: skip
SUFFIXES = (".safetensors", ".npz", ".npy", ".parquet", ".pq", ".pt", ".pth")
_READ = "what is read: .safetensors, .parquet, .npz, .npy, .pt, a folder or pattern of such files, or an index .json"
_MAX_INDEX_BYTES = 64 * 2**20


def open_archive(
    path: Path, suffixes: Sequence[str] = SUFFIXES, refusal: str = "unknown suffix {!r}; " + _READ
) -> Archive:
    """The reader of one file, chosen by its suffix; the header is read and checked.

    Raises:
        FileFormatError: the suffix is none of these, as `refusal` says.
    """
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        raise FileFormatError(path, refusal.format(suffix))
    readable_file(path)
    module, _, reader = _READERS[suffix].partition(".")  # loaded when used: some need an extra
    return getattr(import_module(f"{__package__}.{module}"), reader)(path)


def is_array_path(name: str | Path) -> bool:
    """Whether this names a file rather than an array inside one."""
    return isinstance(name, Path) or Path(name).suffix.lower() in SUFFIXES


def expand(path: str | Path) -> list[Path]:
    """The files that a file, folder, pattern or index stands for, in natural order (shard-2 before shard-10)."""
    path = Path(path)
    with reading(path, "a path that can be opened"):
        if path.is_dir():
            return _folder(path)
        if path.suffix.lower() == ".json":
            return _index(path)
        if not path.exists() and glob.has_magic(str(path)):
            found = [Path(name) for name in glob.glob(str(path)) if Path(name).is_file()]
            if not found:
                raise FileFormatError(path, "no file matches this pattern")
            return sorted(found, key=natural_order)
    return [path]


def natural_order(path: Path | str) -> list[tuple[bool, int, str]]:
    """Sort key that compares digits as numbers."""
    return [
        (part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"([0-9]{1,18})", str(path))
    ]


def _folder(path: Path) -> list[Path]:
    indices = sorted(path.glob("*.index.json"))
    if len(indices) == 1:
        return _index(indices[0])
    found = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()]
    if not found:
        raise FileFormatError(path, f"no file of arrays lies in this folder; {_READ}")
    kinds = sorted({file.suffix.lower() for file in found})
    if len(kinds) > 1:
        raise FileFormatError(
            path, f"it holds files of several kinds ({', '.join(kinds)}); name one, as in *{kinds[0]}"
        )
    return sorted(found, key=natural_order)


def _index(path: Path) -> list[Path]:
    """The shards of an index: `{"weight_map": {tensor: file}}`, every file beside the index and present."""
    readable_file(path)
    if path.stat().st_size > _MAX_INDEX_BYTES:
        raise FileFormatError(path, "it is too large for an index of shards")
    with reading(path, "an index of shards"):
        content = parse_json(path, path.read_bytes())
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict) or not shards or not all(isinstance(name, str) for name in shards.values()):
        raise FileFormatError(path, 'expected an index of shards, {"weight_map": {tensor name: file name}}')
    files = sorted(set(shards.values()), key=natural_order)
    for name in files:
        if Path(name).name != name or name in ("", ".", ".."):
            raise FileFormatError(path, f"shard {name!r} does not lie beside the index; other folders are never read")
        if not (path.parent / name).is_file():
            raise FileFormatError(path, f"shard {name!r} is missing")
    return [path.parent / name for name in files]
