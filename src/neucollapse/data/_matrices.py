"""The matrices of a weight file, those included that it stores in parts: weight norm, spectral norm, pruning.

`torch.nn.utils.weight_norm` keeps lengths `weight_g` and directions `weight_v` (or `parametrizations.weight.original0`
and `1`), W = g v / |v|; `spectral_norm` keeps `weight_orig` and singular vectors, W = W_orig / (u W_orig v);
`prune` keeps `weight_orig` and `weight_mask`. The parts alone are never taken for the weight.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from ._archive import Entry

Read = Callable[[str], Tensor]

_OPTIMISER = re.compile(r"(^|[./])(optim\w*|opt_state\w*)[./]|[./](exp_avg(_sq)?|max_exp_avg_sq|momentum_buffer|step)$")
_QUANTISED = ("qweight", "weight_packed")  # GPTQ, AWQ, compressed-tensors


@dataclass(frozen=True)
class Matrix:
    """One matrix of a file: its name, its two axes as stored, how it is read, or why it cannot be."""

    name: str
    shape: tuple[int, int]
    read: Callable[[Read], Tensor]
    note: str = ""
    unreadable: str = ""
    parts: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        return f"{self.name} {self.shape}"


def matrices_of(entries: Mapping[str, Entry]) -> dict[str, Matrix]:
    """Every matrix by name: composed ones under the name of the whole, their parts left out."""
    composed = {matrix.name: matrix for name in entries if (matrix := _composed(entries, name)) is not None}
    used = {part for matrix in composed.values() for part in matrix.parts}
    plain = {name: _plain(name, entry) for name, entry in entries.items() if name not in used and _is_matrix(entry)}
    return {name: matrix for name, matrix in {**plain, **composed}.items() if not _OPTIMISER.search(name)}


def _is_matrix(entry: Entry) -> bool:
    """Two axes, or the (K, d, 1, 1) of a convolution over single positions."""
    return len(entry.shape) >= 2 and prod(entry.shape[2:]) == 1 and prod(entry.shape) > 0 and not entry.is_text


def _plain(name: str, entry: Entry) -> Matrix:
    shape = entry.shape[:2]
    unreadable = "" if entry.is_float else f"{name!r} is stored as {entry.stored_as}: expected a floating-point weight"
    if re.search(r"(^|[./])lora_\w+[./]", name):
        unreadable = f"{name!r} is part of a LoRA adapter, not a weight: merge the adapter into its model and save that"
    return Matrix(name, (shape[0], shape[1]), lambda read: read(name).reshape(shape), unreadable=unreadable)


def _composed(entries: Mapping[str, Entry], name: str) -> Matrix | None:
    """The matrix of which `name` is the main part, or None where it is no part."""
    prefix = re.sub(r"(parametrizations\.weight\.)?[^./]*$", "", name)
    last = name[len(prefix) :]
    new = f"{prefix}parametrizations.weight."
    entry = entries[name]
    if not _is_matrix(entry):
        return None
    if last in ("weight_v", "weight_g", "parametrizations.weight.original0", "parametrizations.weight.original1"):
        lengths, directions = (
            (f"{new}original0", f"{new}original1")
            if name.startswith(new)
            else (f"{prefix}weight_g", f"{prefix}weight_v")
        )
        return _weight_normed(entries, f"{prefix}weight", lengths, directions)
    if last == "weight_orig":
        if f"{prefix}weight_mask" in entries:
            return _product(entries, f"{prefix}weight", name, f"{prefix}weight_mask")
        return _spectral(entries, f"{prefix}weight", name, (f"{prefix}weight_u", f"{prefix}weight_v"))
    if last == "parametrizations.weight.original":
        return _spectral(entries, f"{prefix}weight", name, (f"{new}0._u", f"{new}0._v"))
    if last in _QUANTISED:
        reason = f"{name!r} is quantised ({entry.stored_as}): save the weight as floating-point numbers"
        return _lacking(f"{prefix}weight", entry, {name}, reason)
    return None


def _lacking(name: str, entry: Entry, parts: set[str], reason: str) -> Matrix:
    return Matrix(name, (entry.shape[0], entry.shape[1]), lambda read: read(name), "", reason, frozenset(parts))


def _weight_normed(entries: Mapping[str, Entry], name: str, lengths: str, directions: str) -> Matrix:
    held = entries.get(directions, entries.get(lengths))
    assert held is not None  # noqa: S101 - one of them was found
    parts = {lengths, directions} & entries.keys()
    if len(parts) < 2:
        lost = lengths if directions in entries else directions
        return _lacking(name, held, parts, f"{name!r} is weight-normed, and its part {lost!r} is not in the file")
    shape = (held.shape[0], held.shape[1])
    g_shape, v_shape = entries[lengths].shape, entries[directions].shape
    fits = len(g_shape) == len(v_shape) and all(g in (1, v) for g, v in zip(g_shape, v_shape, strict=True))
    if not fits and g_shape != (1,):
        reason = (
            f"{name!r} is weight-normed, and its lengths {lengths!r} of shape {g_shape} are none of the rows or columns of "
            f"{directions!r} {v_shape}: save the weight itself"
        )
        return _lacking(name, held, parts, reason)

    def read(get: Read) -> Tensor:
        g, v = get(lengths), get(directions)
        # One length a row, a column or for all: the norm is over the axes along which lengths do not vary.
        axes = [axis for axis in range(v.ndim) if g.ndim < v.ndim or g.shape[axis] == 1]
        norm = torch.linalg.vector_norm(v.double(), dim=axes, keepdim=True)
        return (v.double() / norm * g.double()).to(v.dtype).reshape(shape)

    return Matrix(name, shape, read, f"composed of {lengths} and {directions} (weight norm)", "", frozenset(parts))


def _spectral(entries: Mapping[str, Entry], name: str, original: str, vectors: tuple[str, str]) -> Matrix:
    held = entries[original]
    parts = {original, *vectors} & entries.keys()
    if len(parts) < 3:
        reason = f"{name!r} is made from {original!r} in a way the file does not describe: save the weight itself"
        return _lacking(name, held, parts, reason)
    shape = (held.shape[0], held.shape[1])

    def read(get: Read) -> Tensor:
        W, u, v = (get(part).double() for part in (original, *vectors))
        W = W.reshape(shape)
        return (W / (u @ W @ v)).to(get(original).dtype)

    return Matrix(
        name, shape, read, f"composed of {original} and its singular vectors (spectral norm)", "", frozenset(parts)
    )


def _product(entries: Mapping[str, Entry], name: str, original: str, mask: str) -> Matrix:
    shape = (entries[original].shape[0], entries[original].shape[1])
    parts = frozenset({original, mask})

    def read(get: Read) -> Tensor:
        return (get(original) * get(mask)).reshape(shape)

    return Matrix(name, shape, read, f"composed of {original} and {mask} (pruned)", "", parts)
