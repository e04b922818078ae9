"""The tables of a measurement: numbers, their optima, reasons of what is absent, flags and arrays."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from .._errors import UnknownNameError
from .._names import unknown_name

if TYPE_CHECKING:
    from torch import Tensor

S = TypeVar("S", bound="Tables")


@dataclass(frozen=True)
class Flag:
    """A sentence a reader must know beside the numbers.

    `code` is short and stable, `sentence` says what it means for the numbers, `where` is the key, split or class
    it concerns (empty for all), `severity` is `"note"` or `"warning"`.
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
class Tables(Mapping[str, float]):
    """The tables of a measurement by flat key, as a read-only mapping of its numbers; see `CollapseResult`."""

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
        return f"{type(self).__name__}({len(self)} numbers, {len(self.flags)} flags)\n{body}"

    def split(self: S, name: str) -> S:
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
        return type(self)(numbers, optima, absent, flags, arrays, self.info)

    @classmethod
    def join(cls: type[S], parts: Mapping[str, "Tables"], info: Mapping[str, Any]) -> S:
        """One result from the results of several splits (the inverse of `split`); the empty name adds no prefix."""
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
