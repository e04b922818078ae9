"""A file of codes with coordinates: what each reaches, and where it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..._errors import InputError
from ..._files import fitting_contents, load_tensors, save_tensors
from ..._schema import ATLAS
from ..._types import Float
from ..codes import Solution
from ..frames import coherence, max_cosine, unit_rows
from ..hull import one_vs_rest

_ROUNDING = 1e-12
MARGINS_UP_TO = 2000  # points; beyond, the margin is given by its bound 1 - max cosine


@dataclass(frozen=True)
class Entry:
    """A code of the atlas. Its numbers are computed from its points, never taken on trust.

    Attributes:
        K: number of points; d: dimension.
        kind: `"code"`, or `"lines"` where the absolute cosine counts.
        points: unit rows (K, d).
        max_cosine: the largest cosine, or absolute cosine.
        margin: the smallest one-vs-rest distance of a code; 0 for lines.
        source: who found it and how, a sentence.
    """

    K: int
    d: int
    kind: str
    max_cosine: float
    margin: float
    source: str
    points: Float[Tensor, "K d"]

    @classmethod
    def of(cls, points: Any, source: str, *, kind: str = "code") -> "Entry":
        """The entry of a code or solution, with its numbers worked out.

        Raises:
            InputError: if `kind` is another word.

        Examples:
            >>> from neucollapse.geometry import icosahedron
            >>> round(Entry.of(icosahedron(), "by hand").margin, 12)
            0.5527864045
        """
        if kind not in ("code", "lines"):
            raise InputError(f"expected kind 'code' or 'lines', got {kind!r}")
        if isinstance(points, Solution):
            kind, points = points.problem.made_of, points.points
        rows = unit_rows(points)
        K, d = rows.shape
        if kind == "lines":
            return cls(K, d, kind, coherence(rows), 0.0, source, rows)
        s = max_cosine(rows)
        margin = one_vs_rest(rows).margin if K <= MARGINS_UP_TO else 1 - s
        return cls(K, d, kind, s, margin, source, rows)

    def beats(self, other: "Entry") -> bool:
        """Whether it has the larger margin, or the same and the smaller cosine, by more than rounding."""
        if self.kind == "code" and abs(self.margin - other.margin) > _ROUNDING:
            return self.margin > other.margin
        return self.max_cosine < other.max_cosine - _ROUNDING


class Atlas:
    """Codes by (kind, K, d), the best of each.

    Examples:
        >>> from neucollapse.geometry import icosahedron
        >>> mine = Atlas()
        >>> mine.add(Entry.of(icosahedron(), "by hand")), mine.add(Entry.of(icosahedron(), "again"))
        (True, False)
        >>> mine.get(12, 3).source
        'by hand'
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[str, int, int], Entry] = {}

    def add(self, entry: Entry) -> bool:
        """Keep the entry if it beats the one held; returns whether it does."""
        held = self._entries.get((entry.kind, entry.K, entry.d))
        if held is not None and not entry.beats(held):
            return False
        self._entries[entry.kind, entry.K, entry.d] = entry
        return True

    def get(self, K: int, d: int, kind: str = "code") -> Entry | None:
        """The best code of that size, or None."""
        return self._entries.get((kind, K, d))

    def containing(self, K: int, d: int, kind: str = "code") -> Iterator[Entry]:
        """Codes of at least K points in at most d dimensions: any K of their points, padded with zeros, are as good."""
        return (entry for entry in self if entry.kind == kind and entry.K >= K and entry.d <= d)

    def __iter__(self) -> Iterator[Entry]:
        return iter(sorted(self._entries.values(), key=lambda entry: (entry.kind, entry.d, entry.K)))

    def __len__(self) -> int:
        return len(self._entries)

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file, atomically."""
        tensors = {f"{entry.kind}/{entry.d}/{entry.K}": entry.points for entry in self}
        rows = [{key: value for key, value in vars(entry).items() if key != "points"} for entry in self]
        save_tensors(path, tensors, schema=ATLAS, metadata={"entries": rows})

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = True) -> "Atlas":
        """Read a file written by `save`.

        With `verify` every number is worked out again, and one that does not hold raises `FileFormatError`.
        """
        tensors, rest = load_tensors(path, schema=ATLAS)
        atlas = cls()
        with fitting_contents(path):
            for row in rest["entries"]:
                points = tensors[f"{row['kind']}/{row['d']}/{row['K']}"]
                entry = Entry(**row, points=points)
                if points.shape != (entry.K, entry.d) or points.dtype != torch.float64:
                    raise ValueError(f"points of ({entry.d}, {entry.K}) of shape {tuple(points.shape)}, {points.dtype}")
                if verify:
                    _verify(entry)
                atlas.add(entry)
        return atlas


def _verify(entry: Entry) -> None:
    again = Entry.of(entry.points, entry.source, kind=entry.kind)
    for name in ("max_cosine", "margin"):
        claimed, found = getattr(entry, name), getattr(again, name)
        if not abs(claimed - found) <= 1e-10:
            raise ValueError(f"the code ({entry.d}, {entry.K}) claims {name} {claimed}, and has {found}")
