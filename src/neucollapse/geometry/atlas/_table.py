"""Values on record: (K, d) with the smallest maximal cosine published or proved, mostly without coordinates."""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Record(NamedTuple):
    """A row of ``known_codes.csv``."""

    max_cosine: float
    margin: float
    proved: bool  # whether no code has a smaller maximal cosine
    source: str


@cache
def records() -> dict[tuple[int, int], Record]:
    """All of them, by (K, d)."""
    text = files("neucollapse.geometry.atlas").joinpath("known_codes.csv").read_text(encoding="utf-8")
    return {
        (int(row["K"]), int(row["d"])): Record(
            float(row["max_cosine"]), float(row["margin"]), row["max_cosine_proved"] == "1", row["source"]
        )
        for row in csv.DictReader(text.splitlines())
    }
