"""Which arrays of which files are the features and the labels, and whether they fit together."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from .._errors import FileFormatError
from .._names import close_names
from .._types import Float, Int
from ._archive import Archive, Entry, reading
from ._open import SUFFIXES, expand, is_array_path, open_archive
from ._orientation import is_vector

_SPLITS = ("train", "test", "validation", "valid", "val", "eval")
_TEXTS = 2**16  # strings in a block
_SEPARATOR = "[/._-]"
_NAMED = ("features", "labels")  # what an option can call otherwise
_LABELS = ("y", "target", "targets", "class", "classes")  # what else files call their labels


@dataclass(frozen=True)
class Part:
    """One shard: where its features and its labels are, and the names that labels count if they are strings."""

    features: Archive
    features_key: str
    labels: Archive
    labels_key: str
    names: tuple[str, ...] = ()

    @property
    def entry(self) -> Entry:
        return self.features.entries[self.features_key]

    @property
    def rows(self) -> int:
        return self.entry.shape[0]

    @property
    def has_text_labels(self) -> bool:
        return self.labels.entries[self.labels_key].is_text

    def texts(self) -> Iterator[list[str]]:
        """All labels that are strings, in blocks."""
        yield from self.labels.texts(self.labels_key, 0, self.rows, _TEXTS)

    def label_blocks(self, start: int, stop: int, size: int) -> Iterator[Int[Tensor, " B"]]:
        if self.has_text_labels:
            place = {name: number for number, name in enumerate(self.names)}
            for texts in self.labels.texts(self.labels_key, start, stop, size):
                unknown = next((text for text in texts if text not in place), None)
                if unknown is not None:
                    raise FileFormatError(
                        self.labels.path, f"label {unknown!r} is none of the {len(place)} class names"
                    )
                yield torch.tensor([place[text] for text in texts], dtype=torch.int64)
            return
        for block in self.labels.rows(self.labels_key, start, stop, size):
            labels = block.to(torch.int64).reshape(-1)
            if block.dtype == torch.uint64 and bool((labels < 0).any()):
                raise FileFormatError(self.labels.path, "a label is larger than 2**63")
            yield labels

    def batches(self, start: int, stop: int, size: int) -> Iterator[tuple[Float[Tensor, "B d"], Int[Tensor, " B"]]]:
        """Pairs of equally long blocks. The two streams may cut differently, so what is left over is carried on."""
        labels = self.label_blocks(start, stop, size)
        pending = torch.empty(0, dtype=torch.int64)
        done = start
        for block in self.features.rows(self.features_key, start, stop, size):
            while len(pending) < len(block):
                more = next(labels, None)
                if more is None:
                    raise FileFormatError(self.labels.path, f"the labels end before row {done + len(block)}")
                pending = torch.cat([pending, more]) if len(pending) else more
            yield block, pending[: len(block)]
            pending = pending[len(block) :]
            done += len(block)
        if done != stop:  # the file has changed since it was opened
            raise FileFormatError(self.features.path, f"the features end at row {done} where {stop} rows were claimed")


def splits_of(path: Path, features: str) -> list[str]:
    """The named splits of a folder or of the first of its files, in the usual order; empty where there are none."""
    with reading(path, "a path that can be opened"):
        if path.is_dir() and (found := _folder_splits(path)):
            return found
    files = expand(path)
    return _key_splits(open_archive(files[0]), features)


def choose_files(path: Path, features: str, split: str | None) -> tuple[list[Path], str | None]:
    """The files to read, and the split still to be chosen by the names of arrays inside them."""
    splits = splits_of(path, features)
    if split is None and len(splits) > 1:
        raise FileFormatError(path, f"it holds the splits {', '.join(splits)}: choose one with split=")
    split = split or (splits[0] if splits else None)
    if split is not None and split not in splits:
        raise FileFormatError(path, f"it has no split {split!r}; it has {', '.join(splits) or 'one unnamed split'}")
    if split is None or not path.is_dir() or split not in _folder_splits(path):
        return _without_labels(expand(path)), split
    if (path / split).is_dir():
        return _without_labels(expand(path / split)), None
    return _without_labels([file for file in expand(path) if _file_split(file) == split]), None


def _folder_splits(folder: Path) -> list[str]:
    found = {
        _file_split(file) if file.is_file() else file.name
        for file in folder.iterdir()
        if file.is_dir() or file.suffix.lower() in SUFFIXES
    }
    return [split for split in _SPLITS if split in found]


def _file_split(file: Path) -> str | None:
    match = re.match(f"({'|'.join(_SPLITS)}){_SEPARATOR}", file.name)
    return match[1] if match else None


def _key_splits(archive: Archive, features: str) -> list[str]:
    """Splits by names: `train/features`, `train_features` or `features_train`; before a slash any word does."""
    if _find(archive, features, None) is not None:
        return []
    name, known = re.escape(features), "|".join(_SPLITS)
    pattern = rf"([^/]+)/{name}|({known}){_SEPARATOR}{name}|{name}{_SEPARATOR}({known})"
    found = [next(filter(None, match.groups())) for key in archive.entries if (match := re.fullmatch(pattern, key))]
    return sorted(set(found), key=lambda split: (_SPLITS.index(split) if split in _SPLITS else len(_SPLITS), split))


def _find(archive: Archive, name: str, split: str | None) -> str | None:
    """The entry that a name stands for, or None."""
    keys = archive.entries
    if split is not None:
        names = (f"{split}/{name}", f"{split}_{name}", f"{split}.{name}", f"{split}-{name}")
        names += (f"{name}_{split}", f"{name}/{split}", f"{name}.{split}", f"{name}-{split}")
        return next((key for key in names if key in keys), None)
    if name in keys:
        return name
    if list(keys) == [archive.path.stem]:  # a file of one unnamed array
        return archive.path.stem
    # An index needs tensor names of its own in every shard: features.0, features.1, ...
    numbered = [key for key in keys if re.fullmatch(rf"{re.escape(name)}{_SEPARATOR}\d+", key)]
    if len(numbered) == 1:
        return numbered[0]
    return "f" if name == "features" and "f" in keys else None  # parquet columns f0, f1, ...


def _label_file(features: Path) -> Path | None:
    """The file of labels beside a file that holds features alone."""
    head, found, tail = features.stem.rpartition("features")
    names = ([f"{head}labels{tail}"] if found else []) + [f"{features.stem}_labels"]
    beside = (features.with_name(name + features.suffix) for name in names)
    return next((file for file in beside if file.is_file()), None)


def _without_labels(files: list[Path]) -> list[Path]:
    labels = {_label_file(file) for file in files} if len(files) > 1 else set()
    return [file for file in files if file not in labels]


def open_part(file: Path, features: str, labels: str | Path, split: str | None, max_bytes: int) -> Part:
    """Open one shard and check all that headers tell: kinds, shapes, lengths, the classifier stored beside."""
    archive = open_archive(file)
    key = _require(archive, features, split)
    entry = archive.check(key, max_bytes)
    if not entry.is_float or len(entry.shape) != 2:
        raise FileFormatError(
            file, f"{key!r} is {entry}; expected features (N, d) in float16, bfloat16, float32 or float64"
        )
    label_archive, label_key = _open_labels(archive, key, labels, split)
    label_entry = label_archive.check(label_key, max_bytes)
    _check_labels(label_archive.path, label_key, label_entry)
    if label_entry.shape[0] != entry.shape[0]:
        raise FileFormatError(
            label_archive.path,
            f"{label_key!r} holds {label_entry.shape[0]} labels for {entry.shape[0]} rows of {key!r}",
        )
    _check_classifier(archive, entry.shape[1])
    return Part(archive, key, label_archive, label_key)


def _require(archive: Archive, name: str, split: str | None, *, by_option: bool = True) -> str:
    """The entry of a name; `by_option` says that another one could be named instead."""
    key = _find(archive, name, split)
    if key is not None:
        return key
    wanted = f"{name!r} of split {split!r}" if split else repr(name)
    others = [one for one in _LABELS if name == "labels" and one in archive.entries]
    hint, likely = "", next(iter([*close_names(name, archive.entries), *others]), None)
    if likely is not None:
        option = f" Then say {name}={likely!r} (--{name}-key {likely})." if by_option and name in _NAMED else ""
        hint = f" did you mean {likely!r}?{option}"
    raise FileFormatError(
        archive.path, f"there is no {wanted} in it;{hint}{' It' if hint else ' it'} holds {archive.contents()}"
    )


def _open_labels(archive: Archive, features_key: str, labels: str | Path, split: str | None) -> tuple[Archive, str]:
    if is_array_path(labels):
        other = open_archive(Path(labels))
        split = split if _find(other, "labels", None) is None else None
        return other, _require(other, "labels", split, by_option=False)
    labels = str(labels)
    if list(archive.entries) != [features_key]:
        return archive, _require(archive, labels, split)
    beside = _label_file(archive.path)
    if beside is None:
        raise FileFormatError(
            archive.path,
            f"it holds {archive.contents()} alone, and no labels stand beside it: save them as"
            f" {archive.path.stem}_labels{archive.path.suffix}, or name their file with labels=",
        )
    other = open_archive(beside)
    return other, _require(other, labels, None)


def name_labels(path: Path, parts: list[Part], others: list[Part]) -> list[Part]:
    """The parts with the names that their labels count: those stored with them, else all strings of all parts, sorted.

    `others` are the parts of other splits, so that a name is the same class in each.
    """
    texts = {part.has_text_labels for part in parts}
    if texts != {True}:
        if len(texts) > 1:
            raise FileFormatError(path, "the labels of some shards are strings, and of others numbers")
        return parts
    stored = next((names for part in parts if (names := part.features.class_names())), None)
    if stored is not None and len(set(stored)) < len(stored):
        raise FileFormatError(path, "a class name stands twice in class_names, and labels are names")
    every = [part for part in [*parts, *others] if part.has_text_labels]
    names = stored or sorted({text for part in every for block in part.texts() for text in block})
    return [replace(part, names=tuple(names)) for part in parts]


def _check_labels(path: Path, key: str, entry: Entry) -> None:
    if len(entry.shape) not in (1, 2) or (len(entry.shape) == 2 and (entry.shape[1] > 1 and entry.shape[0] > 1)):
        advice = ", of one-hot rows take argmax(1)" if len(entry.shape) == 2 else ""
        raise FileFormatError(path, f"{key!r} is {entry}; expected class numbers (N,){advice}")
    if len(entry.shape) == 2 and (entry.shape[1] > 1 or entry.is_text):
        raise FileFormatError(path, f"{key!r} is {entry}; expected class numbers (N,) or (N, 1)")
    if not entry.is_integer and not entry.is_text:
        advice = "; class numbers stored so become integers by .long() or .astype('int64')" if entry.is_float else ""
        raise FileFormatError(
            path, f"{key!r} is {entry}; expected integers, the class numbers from 0 to K - 1, or strings{advice}"
        )


def _check_classifier(archive: Archive, dim: int) -> None:
    entries, path = archive.entries, archive.path
    weight, bias = entries.get("weight"), entries.get("bias")
    _refuse_misspelt(archive, "class_names", lambda entry: entry.is_text and len(entry.shape) == 1)
    if weight is None:
        _refuse_misspelt(archive, "weight", lambda entry: entry.is_float and entry.shape[1:] == (dim,))
        if bias is not None:
            raise FileFormatError(path, f"it holds 'bias' {bias} but no 'weight' (K, {dim}) that it could go with")
        return
    if len(weight.shape) != 2 or weight.shape[1] != dim or not weight.is_float:
        turned = ", whose columns are classes: store weight.T" if weight.shape[:1] == (dim,) else ""
        raise FileFormatError(
            path, f"'weight' is {weight}; expected a classifier (K, {dim}){turned}: rename it if it is none"
        )
    if bias is not None and (prod(bias.shape) != weight.shape[0] or not is_vector(bias)):
        raise FileFormatError(path, f"'bias' is {bias}; expected ({weight.shape[0]},) to go with 'weight'")
    _refuse_misspelt(archive, "bias", lambda entry: is_vector(entry) and prod(entry.shape) == weight.shape[0])


def _refuse_misspelt(archive: Archive, name: str, fits: Callable[[Entry], bool]) -> None:
    """An optional array under a damaged name would be missed by nobody."""
    if name in archive.entries:
        return
    for other, entry in archive.entries.items():
        if fits(entry) and close_names(other, [name]):
            raise FileFormatError(
                archive.path, f"it holds {other!r} {entry}: call it {name!r} if it is that, else rename it"
            )
