"""Which matrix of a weight file is the classifier, told by the names that libraries give to their last layer."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from .._errors import FileFormatError
from .._names import did_you_mean
from ._matrices import Matrix
from ._open import natural_order

# Modules that the libraries people use call their classifier.
_CLASSIFIERS = ("fc", "classifier", "head", "heads", "lm_head", "logits", "score", "embed_out", "last_layer")
# Input embeddings of language models, which are the classifier too where no other is stored (tied weights).
_EMBEDDINGS = ("embed_tokens", "wte", "tok_embeddings", "token_embd", "word_embeddings", "embed_in", "shared")
_WEIGHTS = re.compile(r"(weights?|kernel|coef_|coefs_|W|w|embedding)([._]?\d+)?(:\d+)?")
_SHOWN = 12


def choose(path: Path, matrices: Mapping[str, Matrix]) -> tuple[Matrix, str]:
    """The classifier, and what to say after its name.

    Raises:
        FileFormatError: if there is none, more than one could be it, or it cannot be read.
    """
    readable = {name: matrix for name, matrix in matrices.items() if not matrix.unreadable}
    if (found := _last_of_nearest(matrices)) is None and "output.weight" in matrices:
        found = "output.weight"  # so called in GGUF and in Llama's own checkpoints
    if found is None and not readable:
        reasons = [matrix.unreadable for matrix in matrices.values()]
        raise FileFormatError(
            path,
            f"it holds no floating-point matrix, so no classifier{': ' if reasons else ''}{'; '.join(reasons[:3])}",
        )
    if found is None:
        found, note = _only(readable) or (None, "")
        if found is not None:
            return readable[found], note
        raise FileFormatError(
            path, f"which matrix is the classifier is not clear: name it (--weight-key); there are {listed(matrices)}"
        )
    return usable(path, matrices[found]), ""


def usable(path: Path, matrix: Matrix) -> Matrix:
    """Return a matrix if it can be read, else raise `FileFormatError`."""
    if matrix.unreadable:
        raise FileFormatError(path, matrix.unreadable)
    return matrix


def named(path: Path, matrices: Mapping[str, Matrix], name: str, shapes: Mapping[str, object]) -> Matrix:
    """The matrix of a given name; `shapes` tells what else is in the file."""
    if name in matrices:
        return usable(path, matrices[name])
    whole = next((matrix for matrix in matrices.values() if name in matrix.parts), None)
    if whole is not None:
        raise FileFormatError(path, f"{name!r} is only a part of {whole}: name that ({whole.note or whole.unreadable})")
    if name in shapes:
        raise FileFormatError(path, f"{name!r} is {shapes[name]}; expected a floating-point weight (K, d)")
    near = did_you_mean(name, matrices, kind="matrix")
    raise FileFormatError(path, f"there is no {name!r} in it; its matrices are {listed(matrices)} ({near})")


def passed_over(matrices: Mapping[str, Matrix], chosen: Matrix) -> str:
    """The other matrices in words, those first that by their name could be the classifier; empty if there are none."""
    others = {name: one for name, one in matrices.items() if name != chosen.name and _could_be_weight(one)}
    likely = [name for name in others if _is_likely(name)]
    rest = [name for name in others if name not in likely]
    shown = [*likely, *rest[: max(0, _SHOWN - len(likely))]]
    more = len(others) - len(shown)
    return ", ".join(str(others[name]) for name in shown) + (f" and {more} more" if more else "")


def listed(matrices: Mapping[str, Matrix]) -> str:
    """The first matrices of a file in words."""
    more = len(matrices) - _SHOWN
    return ", ".join(str(matrix) for matrix in list(matrices.values())[:_SHOWN]) + (
        f" and {more} more" if more > 0 else ""
    )


def _could_be_weight(matrix: Matrix) -> bool:
    """Not a bias of the shape (1, K) or (K, 1)."""
    return min(matrix.shape) > 1 or _WEIGHTS.fullmatch(re.split(r"[./]", matrix.name)[-1]) is not None


def _is_likely(name: str) -> bool:
    return bool({*_modules(name)} & {*_CLASSIFIERS, *_EMBEDDINGS}) or name == "output.weight"


def _only(readable: Mapping[str, Matrix]) -> tuple[str, str] | None:
    tied = [name for name in readable if _module(name) in _EMBEDDINGS]
    if len(tied) == 1 and not any(_module(name) in _CLASSIFIERS for name in readable):
        return tied[0], " (tied embedding)"
    wide = [name for name, matrix in readable.items() if min(matrix.shape) > 1] or list(readable)
    return (wide[0], "") if len(wide) == 1 and not tied else None


def _modules(name: str) -> list[str]:
    """The modules a parameter belongs to: `model`, `classifier` of `model.classifier.weight`."""
    return re.split(r"[./]", name)[:-1]


def _module(name: str) -> str:
    return (["", *_modules(name)])[-1]


def _last_of_nearest(matrices: Mapping[str, Matrix]) -> str | None:
    """The last matrix of the one classifier module nearest the top; or of the one plain sequence (0, 2, 4, ...)."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, matrix in matrices.items():
        modules = _modules(name)
        known = [depth for depth, module in enumerate(modules) if module in _CLASSIFIERS]
        if known and _could_be_weight(matrix):
            groups.setdefault(tuple(modules[: known[-1] + 1]), []).append(name)
    plain = [name for name, matrix in matrices.items() if not matrix.unreadable]
    if not groups and plain and all(re.fullmatch(r"(.*[./])?\d+[./]weight", name) for name in plain):
        for name in plain:
            groups.setdefault(tuple(_modules(name)[:-1]), []).append(name)
        if len(groups) > 1:
            return None
    if not groups:
        return None
    depth = min(map(len, groups))
    nearest = [names for module, names in groups.items() if len(module) == depth]
    return _last(nearest[0]) if len(nearest) == 1 else None


def _last(names: Iterable[str]) -> str:
    """The last of a module's matrices: its trained copy where an adapter keeps both, its weight where it has scales too."""
    kept = [name for name in names if "original_module" not in _modules(name)]
    kept = [name for name in kept if _WEIGHTS.fullmatch(re.split(r"[./]", name)[-1])] or kept or list(names)
    return max(kept, key=natural_order)
