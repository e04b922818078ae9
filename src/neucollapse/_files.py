"""Files that survive a crash and cannot run code: atomic writes, checked reads.

Tensors go to safetensors with a schema name and a SHA-256 of their bytes, everything else to JSON. Nothing here
writes or reads a pickle.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import FileFormatError

if TYPE_CHECKING:
    from torch import Tensor

_MAX_JSON_BYTES = 256 * 2**20


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file beside ``path``; on success it is synced and renamed onto ``path``, else removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the final rename never crosses a file system.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes private files; a result is an ordinary one
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Mapping[str, Any], *, schema: str) -> None:
    """Write a JSON object atomically, with its schema name. NaN is refused: store ``None`` and a reason."""
    write_text(path, json.dumps({"schema": schema, **content}, indent=1, allow_nan=False) + "\n")


def read_json(path: str | Path, *, schema: str) -> dict[str, Any]:
    """Read a JSON object written by ``write_json`` and check its schema name."""
    path = Path(path)
    require_file(path)
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise FileFormatError(path, f"larger than {_MAX_JSON_BYTES >> 20} MiB, which no file of this kind is")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, f"not valid JSON ({error})") from None
    if not isinstance(content, dict) or content.get("schema") != schema:
        found = content.get("schema") if isinstance(content, dict) else None
        raise FileFormatError(path, f"expected schema {schema!r}, found {found!r}")
    return content


def require_file(path: str | Path) -> Path:
    """Return ``path`` if it is a readable regular file, else raise ``FileFormatError``."""
    path = Path(path)
    if not path.exists():
        raise FileFormatError(path, "there is no such file")
    if not path.is_file():
        raise FileFormatError(path, "it is not a regular file")
    return path


def _digest(tensors: Mapping[str, "Tensor"]) -> str:
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


def save_tensors(
    path: str | Path, tensors: Mapping[str, "Tensor"], *, schema: str, metadata: Mapping[str, Any]
) -> None:
    """Write tensors and JSON metadata to a safetensors file, atomically, with a SHA-256 of the tensors."""
    from safetensors.torch import save_file

    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = {"schema": schema, "sha256": _digest(stored), "metadata": json.dumps(dict(metadata))}
    with atomic_path(path) as temporary:
        save_file(stored, temporary, metadata=header)


def load_tensors(path: str | Path, *, schema: str) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Read tensors and metadata written by ``save_tensors``; verify schema and SHA-256."""
    from safetensors import SafetensorError, safe_open

    path = require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("schema") != schema:
                raise FileFormatError(path, f"expected schema {schema!r}, found {header.get('schema')!r}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            metadata = json.loads(header.get("metadata", "{}"))
    except FileFormatError:
        raise
    except (SafetensorError, ValueError, OSError) as error:
        raise FileFormatError(path, f"not a complete safetensors file ({error})") from None
    if header.get("sha256") != _digest(tensors):
        raise FileFormatError(path, "its contents do not match their SHA-256: the file was damaged after writing")
    return tensors, metadata
