"""The classifier out of a weight file: safetensors, `.npz`, `.npy`, `.pt`, `.pth`, ONNX, GGUF."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from .._errors import FileFormatError
from .._names import names_options
from ._archive import MAX_BYTES, Archive, Entry
from ._choice import choose, named, passed_over
from ._matrices import Matrix, matrices_of
from ._open import expand, open_archive
from ._orientation import Layout, is_vector, layout

_SUFFIXES = (".safetensors", ".npz", ".npy", ".pt", ".pth", ".onnx", ".gguf")
_REFUSAL = f"no classifier is read from {{!r}}; it is from {', '.join(_SUFFIXES)}"
_SHOWN = 8


class ClassifierWeight(NamedTuple):
    """The last layer of a network, rows are classes.

    `weight` (K, d), `bias` (K,) or None, the `name` the weight had, and `notes`: sentences on which way round it
    was stored, what it was composed of, and what else in the file could be a classifier or bias and was passed over.
    """

    weight: Tensor
    bias: Tensor | None
    name: str
    notes: tuple[str, ...] = ()


@names_options
def load_weight(
    path: str | Path,
    *,
    weight: str | None = None,
    bias: str | None = None,
    transpose: bool | None = None,
    max_bytes: int = MAX_BYTES,
) -> ClassifierWeight:
    """Read the classifier from a weight file; no code in the file is ever run.

    Without a name, the classifier is the only matrix in the file, or the matrix of the module nearest the top called
    `fc`, `classifier`, `head`, `lm_head` or the like, or the last layer of a plain sequence; failing that, the
    one token embedding, which a language model without `lm_head` ties to its output. A weight kept in parts (weight
    norm, spectral norm, pruning) is composed. ONNX and GGUF need the extra `heads`, or end in a `MissingExtraError`.

    Rows or columns may be the classes: a bias of K entries tells, or the name by which a library stores its weight
    (`weight` and `coef_`: rows; `kernel`: columns), or the graph of an ONNX model. Where nothing tells, it is asked.

    Args:
        path: `.safetensors` (or a folder or index of shards), `.npz`, `.npy`, `.pt`, `.pth`, `.onnx`,
            `.gguf`.
        weight: name of the matrix.
        bias: name of the bias, (K,), (1, K) or (K, 1); the one beside the weight if None.
        transpose: True if columns of the stored matrix are classes, (d, K); False if rows are; found out if None.
        max_bytes: what a compressed array may expand to if that is over 100 times its file.

    Returns:
        The weight (K, d), the bias or None, the name, with `(tied embedding)` after it where that is what it is, and
        notes on what was done and passed over.

    Raises:
        FileFormatError: if the file cannot be read, has no such entry, more than one could be the classifier, or which
            axis is the classes is not clear.

    Examples:
        >>> import tempfile, torch
        >>> from safetensors.torch import save_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file({"head.kernel": torch.randn(8, 3), "head.bias": torch.randn(3)}, f"{folder}/head.safetensors")
        ...     found = load_weight(f"{folder}/head.safetensors")
        >>> found.weight.shape, found.bias.shape, found.name
        (torch.Size([3, 8]), torch.Size([3]), 'head.kernel')
        >>> found.notes
        ('columns of head.kernel (8, 3) are the classes, as the bias has 3 entries: turned to (3, 8)',)
    """
    path = Path(path)
    archives = [open_archive(file, _SUFFIXES, _REFUSAL) for file in expand(path)]
    holder = _holders(path, archives)
    entries = {name: archive.entries[name] for name, archive in holder.items()}
    matrices = matrices_of(entries)
    known = archives[0].last if len(archives) == 1 else None
    if weight is not None or known is not None:
        matrix, tied = named(path, matrices, weight if weight is not None else str(known), entries), ""
    else:
        if archives[0].unclear:
            raise FileFormatError(path, archives[0].unclear)
        matrix, tied = choose(path, matrices)
    holds = holder[next(iter(matrix.parts), matrix.name)]
    beside = bias if bias is not None else holds.biases.get(matrix.name)
    found = layout(path, entries, matrix, bias=beside, transpose=transpose, rows=holds.rows_are_classes)

    def read(name: str) -> Tensor:
        return holder[name].read(name, max_bytes)

    W = matrix.read(read)
    return ClassifierWeight(
        W.T.contiguous() if found.turned else W,
        None if found.bias is None else read(found.bias).reshape(-1),
        matrix.name + tied,
        tuple(_notes(entries, matrices, matrix, found, told=not holds.rows_are_classes)),
    )


def _holders(path: Path, archives: list[Archive]) -> dict[str, Archive]:
    """Which file each entry is in; a name that stands in two is refused, as one of them would be lost."""
    holder: dict[str, Archive] = {}
    for archive in archives:
        for name in archive.entries:
            if name in holder:
                raise FileFormatError(path, f"{name!r} stands in {holder[name].path.name} and in {archive.path.name}")
            holder[name] = archive
    return holder


def _notes(
    entries: Mapping[str, Entry], matrices: Mapping[str, Matrix], matrix: Matrix, found: Layout, *, told: bool
) -> list[str]:
    notes = [f"{matrix.name} is {matrix.note}"] if matrix.note else []
    K, d = matrix.shape[::-1] if found.turned else matrix.shape
    side = "columns" if found.turned else "rows"
    if found.turned or told:
        turned = f": turned to ({K}, {d})" if found.turned else ""
        notes.append(f"{side} of {matrix} are the classes, as {found.why}{turned}")
    if found.bias is None:
        vectors = [name for name, entry in entries.items() if is_vector(entry) and prod(entry.shape) == K]
        vectors = [name for name in vectors if name not in matrix.parts]
        if vectors:
            more = f" and {len(vectors) - _SHOWN} more" if len(vectors) > _SHOWN else ""
            notes.append(
                f"no bias was found; of {K} entries are {', '.join(vectors[:_SHOWN])}{more} (name it with bias=)"
            )
    if K == 1:
        notes.append("it has one row: of a binary classifier with one score; as two classes its rows are -w/2 and w/2")
    if others := passed_over(matrices, matrix):
        notes.append(f"passed over: {others}")
    return notes
