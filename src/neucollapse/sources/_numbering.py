"""Which class each label means, over all splits and ranks at once: numbers, sparse ids to renumber, or names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .._errors import InputError, OptionError
from .._labels import renumbered
from .._names import unknown_name
from ._rows import Rows, from_all_ranks
from ._sources import ModelSource, Source

_MANY = 1 << 20  # classes; of more, hardly any label is missing by chance


@dataclass(frozen=True)
class Numbering:
    """The number of classes, their names if they have any, and the sparse ids that are renumbered, if asked for.

    `is_alphabetical` says that labels were strings without an order of their own.
    """

    num_classes: int
    class_names: list[str] | None
    ids: Tensor | None = None
    ignore_index: int = -100
    is_alphabetical: bool = False

    def rows(self, source: Source) -> Iterator[Rows]:
        """The rows of a source with class numbers as labels. Batches without rows are passed over."""
        for rows in source.stream():
            if not rows.labels.numel():
                continue
            if source.places is not None:
                rows = rows._replace(labels=source.places[rows.labels])
            if self.ids is not None:
                rows = rows._replace(labels=renumbered(rows.labels, self.ids, ignore_index=self.ignore_index)[0])
            yield rows


def number_classes(
    sources: Mapping[str, Source],
    rows: int | None,
    *,
    num_classes: int | None,
    class_names: list[str] | None,
    ignore_index: int,
    renumber: bool,
) -> Numbering:
    """Settle what labels mean. `rows` is the number of rows of the classifier, if there is one.

    Raises:
        InputError: names that fit neither labels nor classes; sparse ids, with the cure.
    """
    if num_classes is not None and num_classes < 1:
        raise InputError(f"expected num_classes of at least 1, got {num_classes}")
    if rows is not None and num_classes not in (None, rows):
        raise InputError(f"expected num_classes={rows}, one for each row of the classifier, got {num_classes}")
    names = class_names if class_names is not None else _stored_names(sources)
    if isinstance(next(iter(sources.values())), ModelSource):
        if renumber:
            raise OptionError("renumber= needs features: the rows of a model's classifier say what each label means")
        return _checked(Numbering(num_classes or rows or 1, names, ignore_index=ignore_index))
    texts = _texts(sources)
    if texts is not None:
        ordered = names or texts
        _number_texts(sources, ordered)
        K = num_classes or rows or len(ordered)
        return _checked(Numbering(K, ordered, ignore_index=ignore_index, is_alphabetical=names is None))
    if renumber:
        ids = _ids(sources, ignore_index)
        K = num_classes or rows or max(1, len(ids))
        return _checked(Numbering(K, names or [str(one) for one in ids.tolist()], ids, ignore_index), least=len(ids))
    K = num_classes or rows or _counted(_ids(sources, ignore_index), names)
    return _checked(Numbering(K, names, ignore_index=ignore_index))


def _stored_names(sources: Mapping[str, Source]) -> list[str] | None:
    found = {split: names for split, source in sources.items() if (names := source.class_names())}
    for split, names in found.items():
        first = next(iter(found))
        if names != found[first]:
            raise InputError(
                f"the splits {first!r} and {split!r} have other class names, so their labels mean other classes: "
                "number both alike, or say class_names="
            )
    return next(iter(found.values()), None)


def _checked(numbering: Numbering, least: int = 0) -> Numbering:
    K, names = numbering.num_classes, numbering.class_names
    if least > K:
        raise InputError(f"expected at most {K} different labels to renumber, got {least}")
    if names is not None and len(names) != K:
        raise InputError(f"expected {K} class names, one for each class, got {len(names)}")
    return numbering


def _texts(sources: Mapping[str, Source]) -> list[str] | None:
    """All strings that are labels anywhere, sorted; None where labels are numbers."""
    own = [source.texts for source in sources.values()]
    if all(texts is None for texts in own):
        return None
    if any(texts is None for texts in own):
        raise InputError("expected labels of all splits as strings, or of all as numbers, got some of each")
    return sorted({text for part in from_all_ranks(own) for texts in part for text in texts or []})


def _number_texts(sources: Mapping[str, Source], names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise InputError("expected class_names to differ where labels are names, got one of them twice")
    places = {name: place for place, name in enumerate(names)}
    for source in sources.values():
        texts = source.texts or []
        if (odd := next((text for text in texts if text not in places), None)) is not None:
            raise unknown_name("class", odd, names, owner="class_names=")
        source.places = torch.tensor([places[text] for text in texts], dtype=torch.int64)


def _ids(sources: Mapping[str, Source], ignore_index: int) -> Tensor:
    """The different labels of all splits and ranks, in rising order."""
    own = _different(_different(source.labels()) for source in sources.values()).tolist()
    ids = _different(torch.tensor(part, dtype=torch.int64) for part in from_all_ranks(own))
    return ids[ids != ignore_index]


def _different(blocks: Iterable[Tensor]) -> Tensor:
    ids = torch.zeros(0, dtype=torch.int64)
    for block in blocks:
        ids = torch.unique(torch.cat([ids, torch.unique(block).cpu()]))
    return ids


def _counted(ids: Tensor, names: list[str] | None) -> int:
    """K as names or labels tell, if they look like class numbers."""
    if not len(ids):
        return len(names or "-")
    low, high = int(ids[0]), int(ids[-1])
    if names is not None and high >= len(names):
        raise InputError(f"expected a class name for every label, got {len(names)} names and the label {high}")
    if names is None and high + 1 > 2 * len(ids) and low >= 0:
        absent = f", num_classes={high + 1} says that the others are classes without samples" * (high < _MANY)
        raise InputError(
            f"the labels are {len(ids)} different numbers from {low} to {high}: renumber=True makes them classes 0 to "
            f"{len(ids) - 1}{absent}, and ignore_index={high} leaves out a label that is no class"
        )
    return max(1, high + 1) if names is None else len(names)
