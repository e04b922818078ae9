"""Files that survive a crash and cannot run code: atomic writes, checked reads.

Tensors go to safetensors with a schema name and a SHA-256 of everything in the file, everything else to JSON. Nothing
here writes or reads a pickle. Whatever goes wrong in reading ends in a `FileFormatError`, in writing in a
`FileWriteError`, each of one sentence.
"""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import FileFormatError, FileWriteError

if TYPE_CHECKING:
    from torch import Tensor

_MAX_JSON_BYTES = 256 * 2**20
_MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit

# What code raises that takes apart contents of another form than it expects. InputError is a ValueError.
_MISFITS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError)


def one_line(error: BaseException) -> str:
    """The message of a foreign exception, short enough to stand inside a sentence."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


# Writing


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`; on success it is synced and renamed onto `path`, else removed.

    Only a regular file is replaced, and keeps its permissions. A symbolic link stays and its target is replaced. A
    folder, device, pipe or socket is refused before anything is written. Lack of room, permission or a folder is a
    `FileWriteError`.
    """
    with _writing(path):
        target, mode = _target(Path(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that the final rename never crosses a file system; short, as names have a limit.
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:32]}.", dir=target.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(mode)  # mkstemp makes private files; a result is an ordinary one
            _sync(temporary)
            os.replace(temporary, target)
            _sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _writing(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileWriteError:
        raise
    except MemoryError:
        raise FileWriteError(path, "there is not enough memory to write it") from None
    except OSError as error:
        raise FileWriteError(path, error.strerror or one_line(error)) from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":  # told by its name: safetensors is imported only when used
            raise
        raise FileWriteError(path, one_line(error)) from error


def _target(path: Path) -> tuple[Path, int]:
    """The regular file that is written, at the end of any links, and the permissions it is to have."""
    try:
        target = path.resolve()
        if not target.exists():
            return target, 0o666 & ~_umask()
        mode = target.stat().st_mode
    except (ValueError, RuntimeError) as error:  # a NUL in the name; links in a circle
        raise FileWriteError(path, one_line(error)) from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
        raise FileWriteError(path, f"it is {kind}, and only a regular file is replaced; choose another name")
    return target, stat.S_IMODE(mode)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically. What has no UTF-8 form, half of a surrogate pair, is written as its escape."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: str | Path, content: Mapping[str, Any], *, schema: str) -> None:
    """Write a JSON object atomically, with its schema name. NaN is refused: store `None` and a reason."""
    write_text(path, json.dumps({"schema": schema, **content}, indent=1, allow_nan=False) + "\n")


# Reading


def require_file(path: str | Path) -> Path:
    """Return `path` if it is a readable regular file, else raise `FileFormatError`."""
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FileFormatError(path, "there is no such file") from None
    except (OSError, ValueError) as error:  # no permission, links in a circle, a NUL in the name
        raise FileFormatError(path, getattr(error, "strerror", None) or one_line(error)) from None
    if not stat.S_ISREG(mode):
        raise FileFormatError(path, "it is not a regular file")
    return path


def parse_json(path: str | Path, text: str | bytes, *, finite: bool = False) -> Any:
    """The value of a JSON text from the file `path`; a key that stands twice in one object is refused.

    Args:
        path: the file, for messages.
        text: the text, or its bytes.
        finite: whether NaN, infinity and numbers too large for double precision are refused too.

    Raises:
        FileFormatError: if it is not valid JSON, or nested too deeply to be read.
    """
    hooks: dict[str, Any] = {"parse_constant": _no_constant, "parse_float": _finite} if finite else {}
    try:
        return json.loads(text, object_pairs_hook=_unique, **hooks)
    except (ValueError, RecursionError, MemoryError) as error:
        raise FileFormatError(path, f"not valid JSON ({one_line(error)})") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        double = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {double!r} stands in it twice")
    return content


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def read_json(path: str | Path, *, schema: str) -> dict[str, Any]:
    """Read a JSON object written by `write_json` and check its schema name."""
    path = require_file(path)
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise FileFormatError(path, f"larger than {_MAX_JSON_BYTES >> 20} MiB, which no file of this kind is")
    try:
        text = path.read_bytes()
    except (OSError, MemoryError) as error:
        raise FileFormatError(path, one_line(error)) from None
    content = parse_json(path, text, finite=True)
    if not isinstance(content, dict) or content.get("schema") != schema:
        found = content.get("schema") if isinstance(content, dict) else None
        raise FileFormatError(path, f"expected schema {schema!r}, found {str(found)[:80]!r}")
    return content


@contextmanager
def fitting_contents(path: str | Path) -> Iterator[None]:
    """Take the contents of a file apart inside: a missing key or a wrong type or value ends in one sentence.

    Every reader of the package's own files does so, because a header that is valid can still hold anything.

    Raises:
        FileFormatError: in place of what was raised inside.
    """
    try:
        yield
    except FileFormatError:
        raise
    except _MISFITS as error:
        reason = f"there is no {one_line(error)}" if isinstance(error, KeyError) else one_line(error)
        raise FileFormatError(path, f"its contents do not fit together ({reason})") from None


# Tensors


def safetensors_header(path: str | Path) -> dict[str, Any]:
    """The JSON header of a safetensors file. The library takes the last of two equal names; here they are refused."""
    path = require_file(path)
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > min(_MAX_HEADER_BYTES, path.stat().st_size - 8):
                raise FileFormatError(path, f"not a complete safetensors file (it claims a header of {length:,} bytes)")
            text = stream.read(length)
    except (OSError, MemoryError) as error:
        raise FileFormatError(path, one_line(error)) from None
    header = parse_json(path, text)
    if not isinstance(header, dict):
        raise FileFormatError(path, "not a safetensors file (its header is no object)")
    return header


def save_tensors(path: str | Path, tensors: Mapping[str, "Tensor"], *, schema: str, metadata: Mapping[str, Any]) -> str:
    """Write tensors and JSON metadata to a safetensors file, atomically; returns the SHA-256 of all of it.

    The digest is over the schema, the metadata and the tensors, names, dtypes and shapes included. Equal contents have
    an equal digest. Another file may keep it, and `load_tensors(digest=...)` asks for it. What cannot be written is a
    `FileWriteError`, as in `atomic_path`.
    """
    from safetensors.torch import save_file

    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(dict(metadata))
    digest = _digest(stored, f"{schema}|{text}|")
    with atomic_path(path) as temporary:
        save_file(stored, temporary, metadata={"schema": schema, "digest": digest, "metadata": text})
    return digest


def load_tensors(
    path: str | Path, *, schema: str, digest: str | None = None
) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Read tensors and metadata written by `save_tensors`; verify the schema and the SHA-256.

    Files of version 0.1 have a SHA-256 of the tensors alone, which is then what is verified.

    Args:
        path: the file.
        schema: the schema it must have.
        digest: what `save_tensors` returned, where another file says which contents belong to it.

    Raises:
        FileFormatError: if the file is damaged, of another kind, or not the one that `digest` names.
    """
    path = require_file(path)
    header = safetensors_header(path).get("__metadata__", {})
    if not isinstance(header, dict) or header.get("schema") != schema:
        found = header.get("schema") if isinstance(header, dict) else None
        raise FileFormatError(path, f"expected schema {schema!r}, found {str(found)[:80]!r}")
    tensors, text = _read_tensors(path), str(header.get("metadata"))
    # Exactly these, so that a damaged name of the digest does not turn the file into an old one.
    if header.keys() == {"schema", "digest", "metadata"}:
        known, found = header["digest"], _digest(tensors, f"{schema}|{text}|")
    elif header.keys() == {"schema", "sha256", "metadata"}:
        known, found = header["sha256"], _digest(tensors)
    else:
        raise FileFormatError(path, "it has no SHA-256 of its contents: the file was damaged after writing")
    if known != found:
        raise FileFormatError(path, "its contents do not match their SHA-256: the file was damaged after writing")
    if digest is not None and digest != found:
        raise FileFormatError(path, "it is whole, but not the file that belongs here: its SHA-256 is another")
    metadata = parse_json(path, text)
    if not isinstance(metadata, dict):
        raise FileFormatError(path, "its metadata are no JSON object")
    if "\\ud" in text:  # an escape of half a character, which no file and no terminal can show
        with fitting_contents(path):
            json.dumps(metadata, ensure_ascii=False).encode()
    return tensors, metadata


def _read_tensors(path: Path) -> dict[str, "Tensor"]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, ValueError, TypeError, OSError, LookupError, AttributeError) as error:
        raise FileFormatError(path, f"not a complete safetensors file ({one_line(error)})") from None
    except (MemoryError, RuntimeError) as error:
        raise FileFormatError(path, f"it cannot be read into memory ({one_line(error)})") from None


def _digest(tensors: Mapping[str, "Tensor"], preface: str = "") -> str:
    import torch

    digest = hashlib.sha256(preface.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()
