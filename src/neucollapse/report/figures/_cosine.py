"""Cosines between the rows that the Gram matrices and the pair histograms show."""

import numpy as np

from .._run import Run
from .._story import has_simplex
from ._tracks import split_name


def unit_rows(rows: np.ndarray, centre: bool) -> np.ndarray:
    """Rows of unit norm, about their mean if asked. Rows that are NaN or zero become NaN."""
    rows = np.asarray(rows, dtype=np.float64)
    if centre:
        present = rows[np.isfinite(rows).all(axis=1)]
        rows = rows - present.mean(axis=0) if len(present) else rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.full_like(rows, np.nan), where=norms > 0)


def codes(run: Run) -> dict[str, np.ndarray]:
    """Unit rows by label: class means of each split, classifier weights, and the best code where it is known."""
    centre = has_simplex(run)  # a simplex is one about its mean, a code with K > d + 1 about the origin
    found = {}
    for split in run.splits:
        # The uncentred geometry is about unit-norm features, the centred one about the features as they are.
        names = ("class_means", "normalized_means") if centre else ("normalized_means", "class_means")
        rows = next((array for name in names if (array := run.array(name, split)) is not None), None)
        if rows is not None:
            found[f"Class means, {split_name(split)}" if split else "Class means"] = unit_rows(rows, centre)
    if (weight := run.array("weight")) is not None:
        found["Classifier weights"] = unit_rows(weight, centre)
    if (target := run.array("target")) is not None:
        found["Best code"] = unit_rows(target, False)
    return found


def pairs(units: np.ndarray) -> np.ndarray:
    """Cosines of all pairs of different rows that are present."""
    units = units[np.isfinite(units).all(axis=1)]
    return (units @ units.T)[np.triu_indices(len(units), k=1)]
