"""A search in a file, to go on from."""

from pathlib import Path

import torch

from ..._errors import FileFormatError
from ..._files import load_tensors, save_tensors
from ._search import Candidate, Search

SCHEMA = "neucollapse/search/1"


def save(search: Search, path: Path) -> None:
    """Write the batches that are finished."""
    tensors = {f"points{i}": torch.from_numpy(candidate.points) for i, candidate in enumerate(search.best)}
    best = [[candidate.value, candidate.start] for candidate in search.best]
    values = {str(start): value for start, value in search.values.items()}
    metadata = {"goal": list(search.goal), "seed": search.seed, "done": search.done, "best": best, "values": values}
    save_tensors(path, tensors, schema=SCHEMA, metadata=metadata)


def restore(search: Search, path: Path) -> None:
    """Bring a search to where the file is.

    Raises:
        FileFormatError: if the file is damaged or of another search.
    """
    tensors, rest = load_tensors(path, schema=SCHEMA)
    try:
        asked, held = [list(search.goal), search.seed], [rest["goal"], rest["seed"]]
        if asked != held:
            raise FileFormatError(path, f"it holds another search: expected (K, d, ...) and seed {asked}, got {held}")
        search.best = [
            Candidate(value, start, tensors[f"points{i}"].numpy()) for i, (value, start) in enumerate(rest["best"])
        ]
        if any(candidate.points.shape != search.goal[:2] for candidate in search.best):
            raise ValueError("points of another shape")
        search.done = int(rest["done"])
        search.values = {int(start): value for start, value in rest["values"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(path, f"its contents do not fit together ({error})") from None
