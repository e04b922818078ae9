"""``CollapseResult``: the numbers of a measurement, their optima, their flags, and why what is absent is absent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._citations import bibtex
from .._errors import UnknownNameError
from .._names import unknown_name

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Flag:
    """A sentence a reader must know beside the numbers.

    ``code`` is short and stable, ``sentence`` says what it means for the numbers, ``where`` is the key, split or class
    it concerns (empty for all), ``severity`` is ``"note"`` or ``"warning"``.
    """

    code: str
    sentence: str
    where: str = ""
    severity: str = "note"

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}" if self.where else self.sentence


def _join(prefix: str, key: str) -> str:
    return f"{prefix}/{key}" if prefix else key


def _part(items: Mapping[str, Any], split: str) -> dict[str, Any]:
    return {key.removeprefix(f"{split}/"): item for key, item in items.items() if key.startswith(f"{split}/")}


@dataclass(repr=False, eq=False)
class CollapseResult(Mapping[str, float]):
    """Measured numbers by flat key, as a read-only mapping; the name of a split gives its part of the numbers.

    Keys are ``family/variant`` (``nc1/pinv``), with ``@weight`` where the quantity is taken on the classifier and
    ``@layer:NAME`` on an inner layer. With several splits each key starts with its split: ``test/nc1/pinv``, and
    ``result["test"]["nc1/pinv"]`` is the same number.

    Attributes:
        numbers: the values, by key.
        optima: for some keys, the best value possible (or best known) for this K and d.
        absent: for keys that could not be computed, the reason in words.
        flags: what a reader must know beside the numbers.
        arrays: tensors the report draws (class means, weight, histograms of margins, ...), by key.
        info: plain JSON values: ``num_classes``, ``dim``, ``class_names``, ``verdict``, ``environment``, ...
        splits: the names of the splits; empty where there is one unnamed split.

    Example:
        >>> result = CollapseResult({"train/nc1/pinv": 0.1, "test/nc1/pinv": 0.5}, splits=("train", "test"))
        >>> result["test"]["nc1/pinv"], result["test/nc1/pinv"]
        (0.5, 0.5)
    """

    numbers: dict[str, float] = field(default_factory=dict)
    optima: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    flags: list[Flag] = field(default_factory=list)
    arrays: dict[str, "Tensor"] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    splits: tuple[str, ...] = ()

    def __getitem__(self, key: str) -> Any:
        if key in self.splits:
            return self.split(key)
        if key in self.numbers:
            return self.numbers[key]
        if key in self.absent:
            raise UnknownNameError(f"{key} was not computed: {self.absent[key]}")
        matches = [known for known in self.numbers if known.endswith(f"/{key}")]
        if matches:
            raise UnknownNameError(f"there is no metric {key!r}; did you mean {matches[0]!r}?")
        raise unknown_name("metric", key, [*self.splits, *self.numbers])

    def __iter__(self) -> Iterator[str]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        body = "\n".join(f"  {key} = {value:.6g}" for key, value in self.numbers.items())
        return f"CollapseResult({len(self)} numbers, {len(self.flags)} flags)\n{body}"

    def split(self, name: str) -> "CollapseResult":
        """The part of one split, its keys without the prefix. Flags of other splits are left out."""
        if name not in self.splits:
            raise unknown_name("split", name, self.splits)
        others = tuple(f"{other}/" for other in self.splits if other != name)
        flags = [
            flag
            for flag in self.flags
            if (not flag.where.startswith(others) and flag.where not in self.splits) or flag.where == name
        ]
        numbers, optima, absent, arrays = (_part(items, name) for items in self.tables())
        return CollapseResult(numbers, optima, absent, flags, arrays, self.info)

    @classmethod
    def join(cls, parts: Mapping[str, "CollapseResult"], info: Mapping[str, Any]) -> "CollapseResult":
        """One result from the results of several splits (the inverse of ``split``); the empty name adds no prefix."""
        joined = cls(info=dict(info), splits=tuple(name for name in parts if name))
        for name, part in parts.items():
            for own, items in zip(joined.tables(), part.tables(), strict=True):
                own.update({_join(name, key): item for key, item in items.items()})
            joined.flags.extend(
                Flag(f.code, f.sentence, _join(name, f.where) if f.where else name, f.severity) for f in part.flags
            )
        return joined

    def tables(self) -> tuple[dict[str, Any], ...]:
        """The dictionaries by key: numbers, optima, absent, arrays."""
        return self.numbers, self.optima, self.absent, self.arrays

    def to_dict(self) -> dict[str, float]:
        """The numbers as a plain flat dictionary, ready for any logger."""
        return dict(self.numbers)

    def citation(self) -> str:
        """BibTeX of the papers whose metrics were measured."""
        return bibtex(self.info.get("citations", ()))

    def verdict(self) -> list[str]:
        """What the numbers say, in sentences for a person; the headline first."""
        from ._verdict import verdict

        return [sentence.text for sentence in verdict(self)]

    def save(self, folder: str | Path) -> Path:
        """Write the result into a folder (``result.json``, ``arrays.safetensors``, ``metrics.parquet``), atomically."""
        from ._storage import save_result

        return save_result(self, folder)

    @staticmethod
    def load(folder: str | Path) -> "CollapseResult":
        """Read a folder written by ``save``; raises ``FileFormatError`` if it cannot be used."""
        from ._storage import load_result

        return load_result(folder)

    def to_parquet(self, path: str | Path) -> None:
        """Write the numbers as a long table (key, split, name, layer, value, optimum, absent), atomically."""
        from ._storage import result_rows, write_table

        write_table(path, list(result_rows(self)))
