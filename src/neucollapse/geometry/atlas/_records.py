"""Values on record, mostly without coordinates: the smallest maximal cosines, and the least energies of Thomson's problem."""

import csv
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Record(NamedTuple):
    """A row of `known_codes.csv`."""

    max_cosine: float
    margin: float
    proved: bool  # whether no code has a smaller maximal cosine
    source: str


@cache
def records() -> dict[tuple[int, int], Record]:
    """All codes on record, by (K, d)."""
    return {
        (int(row["K"]), int(row["d"])): Record(
            float(row["max_cosine"]), float(row["margin"]), row["max_cosine_proved"] == "1", row["source"]
        )
        for row in _rows("known_codes.csv")
    }


@cache
def thomson() -> dict[int, tuple[float, str]]:
    """The least energy known of K charges on the sphere, and its source, by K."""
    return {int(row["K"]): (float(row["energy"]), row["source"]) for row in _rows("thomson_energies.csv")}


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = files("neucollapse.geometry.atlas").joinpath(name).read_text(encoding="utf-8")
    return iter(csv.DictReader(text.splitlines()))
