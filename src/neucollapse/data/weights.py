"""The classifier out of a weight file: safetensors, ``.npz``, ``.npy``, ``.pt``, ``.pth``, ONNX, GGUF."""

import re
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from .._errors import FileFormatError
from ._archive import MAX_BYTES, Archive, Entry
from ._open import expand, natural_order, open_archive

# Modules that the libraries people use call their classifier.
_CLASSIFIERS = ("fc", "classifier", "head", "heads", "lm_head", "logits", "score", "embed_out", "last_layer")
# Input embeddings of language models, which are the classifier too where no other is stored (tied weights).
_EMBEDDINGS = ("embed_tokens", "wte", "tok_embeddings", "token_embd", "word_embeddings", "embed_in", "shared")
_BIASES = {"weight": "bias", "W": "b", "kernel": "bias"}
_SUFFIXES = (".safetensors", ".npz", ".npy", ".pt", ".pth", ".onnx", ".gguf")
_SHOWN = 12


class ClassifierWeight(NamedTuple):
    """The last layer of a network: ``weight`` (K, d) as stored, ``bias`` (K,) or None, and the name it had."""

    weight: Tensor
    bias: Tensor | None
    name: str


def load_weight(
    path: str | Path, *, weight: str | None = None, bias: str | None = None, max_bytes: int = MAX_BYTES
) -> ClassifierWeight:
    """Read the classifier from a weight file; no code in the file is ever run.

    Without a name, the classifier is the only matrix in the file, or the matrix of the module nearest the top called
    ``fc``, ``classifier``, ``head``, ``lm_head`` or the like, or the last layer of a plain sequence; failing that, the
    one token embedding, which a language model without ``lm_head`` ties to its output.

    Args:
        path: ``.safetensors`` (or a folder or index of shards), ``.npz``, ``.npy``, ``.pt``, ``.pth``, ``.onnx``,
            ``.gguf``.
        weight: name of the matrix (K, d), rows are classes.
        bias: name of the bias (K,); the one beside the weight if None.
        max_bytes: what a compressed array may expand to if that is over 100 times its file.

    Returns:
        The weight, the bias or None, and the name, with ``(tied embedding)`` after it where that is what it is.

    Raises:
        FileFormatError: if the file cannot be read, has no such entry, or more than one could be the classifier.
        MissingExtraError: if a package for ONNX or GGUF is not installed.

    Example:
        >>> import tempfile, torch
        >>> from safetensors.torch import save_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file(torch.nn.Linear(8, 3).state_dict(), f"{folder}/head.safetensors")
        ...     found = load_weight(f"{folder}/head.safetensors")
        >>> found.weight.shape, found.bias.shape, found.name
        (torch.Size([3, 8]), torch.Size([3]), 'weight')
    """
    path = Path(path)
    archives = [_open(file) for file in expand(path)]
    holder = {name: archive for archive in archives for name in archive.entries}
    entries = {name: archive.entries[name] for name, archive in holder.items()}
    known = archives[0].last if len(archives) == 1 else None
    wanted = weight if weight is not None else known
    name, note = (_named(path, entries, wanted), "") if wanted is not None else _choose(path, entries)
    bias_name = _bias_of(path, entries, name, bias if bias is not None else holder[name].biases.get(name))
    return ClassifierWeight(
        holder[name].read(name, max_bytes),
        None if bias_name is None else holder[bias_name].read(bias_name, max_bytes),
        name + note,
    )


def _open(path: Path) -> Archive:
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        from ._onnx import OnnxArchive

        return OnnxArchive(path)
    if suffix == ".gguf":
        from ._gguf import GgufArchive

        return GgufArchive(path)
    if suffix not in _SUFFIXES:
        raise FileFormatError(path, f"no classifier is read from {suffix!r}; it is from {', '.join(_SUFFIXES)}")
    return open_archive(path)


def _is_matrix(entry: Entry) -> bool:
    return len(entry.shape) == 2 and entry.is_float and min(entry.shape) > 0


def _named(path: Path, entries: dict[str, Entry], name: str) -> str:
    if name not in entries:
        raise FileFormatError(path, f"there is no {name!r} in it; its matrices are {_listed(entries)}")
    if not _is_matrix(entries[name]):
        raise FileFormatError(path, f"{name!r} is {entries[name]}; expected a floating-point weight (K, d)")
    return name


def _choose(path: Path, entries: dict[str, Entry]) -> tuple[str, str]:
    """The name of the classifier, and what to say after it."""
    matrices = {
        name: entry for name, entry in entries.items() if _is_matrix(entry) and not name.startswith("optimizer")
    }
    if not matrices:
        raise FileFormatError(path, "it holds no floating-point matrix, so no classifier")
    if len(matrices) == 1 and not _embeddings(matrices):
        return next(iter(matrices)), ""
    if (found := _last_of_nearest(matrices)) is not None:
        return found, ""
    if "output.weight" in matrices:  # so called in GGUF and in Llama's own checkpoints
        return "output.weight", ""
    tied = _embeddings(matrices)
    if len(tied) == 1 and not any(_module(name) in _CLASSIFIERS for name in matrices):
        return tied[0], " (tied embedding)"
    raise FileFormatError(
        path, f"which matrix is the classifier is not clear: name it (--weight-key); there are {_listed(matrices)}"
    )


def _embeddings(matrices: dict[str, Entry]) -> list[str]:
    return [name for name in matrices if _module(name) in _EMBEDDINGS]


def _module(name: str) -> str:
    """The module a parameter belongs to: ``classifier`` of ``model.classifier.weight``."""
    return (["", *re.split(r"[./]", name)])[-2]


def _last_of_nearest(matrices: dict[str, Entry]) -> str | None:
    """The last matrix of the one classifier module nearest the top; or of the one plain sequence (0, 2, 4, ...)."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in matrices:
        modules = re.split(r"[./]", name)[:-1]
        known = [depth for depth, module in enumerate(modules) if module in _CLASSIFIERS]
        if known:
            groups.setdefault(tuple(modules[: known[-1] + 1]), []).append(name)
    if not groups and all(re.fullmatch(r"(.*[./])?\d+[./]weight", name) for name in matrices):
        for name in matrices:
            groups.setdefault(tuple(re.split(r"[./]", name)[:-2]), []).append(name)
        if len(groups) > 1:
            return None
    if not groups:
        return None
    depth = min(map(len, groups))
    nearest = [names for module, names in groups.items() if len(module) == depth]
    return max(nearest[0], key=natural_order) if len(nearest) == 1 else None


def _bias_of(path: Path, entries: dict[str, Entry], name: str, bias: str | None) -> str | None:
    classes = entries[name].shape[0]
    head, last = re.fullmatch(r"(.*?[./]?)([^./]*)", name, flags=re.DOTALL).groups()  # pyright: ignore[reportOptionalMemberAccess]
    found = bias if bias is not None else head + _BIASES.get(last, "bias")
    if found not in entries:
        if bias is None:
            return None
        raise FileFormatError(path, f"there is no {bias!r} in it; it holds {', '.join(list(entries)[:_SHOWN])}")
    if entries[found].shape != (classes,) or not entries[found].is_float:
        raise FileFormatError(path, f"bias {found!r} is {entries[found]}; expected ({classes},) to go with {name!r}")
    return found


def _listed(entries: dict[str, Entry]) -> str:
    matrices = [f"{name} {entry.shape}" for name, entry in entries.items() if _is_matrix(entry)]
    more = len(matrices) - _SHOWN
    return ", ".join(matrices[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
