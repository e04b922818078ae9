"""`CollapseResult`: the numbers of a measurement, their optima, their flags, and why what is absent is absent."""

from pathlib import Path

from .._citations import bibtex
from ._storage import read_result, result_rows, save_result, write_rows
from ._tables import Tables
from ._verdict import verdict


class CollapseResult(Tables):
    """Measured numbers by flat key, as a read-only mapping; the name of a split gives its part of the numbers.

    Keys are `family/variant` (`nc1/pinv`), with `@weight` where the quantity is taken on the classifier and
    `@layer:NAME` on an inner layer. With several splits each key starts with its split: `test/nc1/pinv`, and
    `result["test"]["nc1/pinv"]` is the same number.

    Attributes:
        numbers: the values, by key.
        optima: for some keys, the best value possible (or best known) for this K and d.
        absent: for keys that could not be computed, the reason in words.
        flags: what a reader must know beside the numbers.
        arrays: tensors the report draws (class means, weight, histograms of margins, ...), by key.
        info: plain JSON values: `num_classes`, `dim`, `class_names`, `verdict`, `environment`, ...
        splits: the names of the splits; empty where there is one unnamed split.

    Examples:
        >>> result = CollapseResult({"train/nc1/pinv": 0.1, "test/nc1/pinv": 0.5}, splits=("train", "test"))
        >>> result["test"]["nc1/pinv"], result["test/nc1/pinv"]
        (0.5, 0.5)
    """

    def citation(self) -> str:
        """BibTeX of the papers whose metrics were measured."""
        return bibtex(self.info.get("citations", ()))

    def verdict(self) -> list[str]:
        """What the numbers say, in sentences for a person; the headline first."""
        return [sentence.text for sentence in verdict(self)]

    def save(self, folder: str | Path) -> Path:
        """Write the result into a folder (`result.json`, `arrays.safetensors`, `metrics.parquet`), atomically."""
        return save_result(self, folder)

    @staticmethod
    def load(folder: str | Path) -> "CollapseResult":
        """Read a folder written by `save`; raises `FileFormatError` if it cannot be used."""
        return CollapseResult(**read_result(folder))

    def to_parquet(self, path: str | Path) -> None:
        """Write the numbers as a long table (key, split, name, layer, value, optimum, absent), atomically."""
        write_rows(path, list(result_rows(self)))
