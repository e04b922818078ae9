"""Directions of features, means, weights and the best code, as the sphere and the circle draw them."""

from dataclasses import dataclass

import numpy as np

from .._run import Run
from .._text import plot_text, shorten
from ._cosine import unit_rows
from ._plot import CLASS_COLOURS, Json
from ._tracks import split_name


@dataclass(frozen=True)
class Points:
    """Unit vectors with their classes. `kind` is `features`, `means`, `weights` or `target`."""

    kind: str
    name: str
    units: np.ndarray
    labels: np.ndarray


def points(run: Run) -> list[Points]:
    """Everything the run can show on the sphere, features first so that the rest is drawn over them."""
    found = []
    for split in run.splits:
        features, labels = run.array("features_sample", split), run.array("labels_sample", split)
        if features is not None and labels is not None:
            found.append(_present("features", _named("features", split), features, labels))
    for split in run.splits:
        means = run.array("normalized_means", split)
        means = run.array("class_means", split) if means is None else means
        if means is not None:
            found.append(_present("means", _named("class means", split), means))
    for kind, name, key in (("weights", "classifier weights", "weight"), ("target", "best code", "target")):
        if (rows := run.array(key)) is not None:
            found.append(_present(kind, name, rows))
    return [item for item in found if len(item.labels)]


def _named(name: str, split: str) -> str:
    return f"{name}, {split_name(split)}" if split else name


def _present(kind: str, name: str, rows: np.ndarray, labels: np.ndarray | None = None) -> Points:
    units = unit_rows(rows, False)
    labels = np.arange(len(rows)) if labels is None else labels.astype(np.int64)
    keep = np.isfinite(units).all(axis=1)
    return Points(kind, name, units[keep], labels[keep])


def class_of(run: Run, label: int) -> str:
    """The name of a class; a label outside [0, K), such as an ignored one, is shown as its number."""
    return run.classes[label] if 0 <= label < run.num_classes else f"label {label}"


def explained(run: Run) -> str:
    """The caption: what each kind of mark is, and what collapse looks like."""
    known = run.array("target") is not None
    code = ", rings the best code, turned to fit the means" if known else ""
    ring = " and the ring" if known else ""
    return (
        f"Every vector scaled to unit length: small dots are samples, large {'balls' if run.dim == 3 else 'dots'} the means of "
        f"the classes, diamonds the classifier's weights{code}; one colour a class. At collapse the dots of a class shrink to "
        f"its mean, with the diamond{ring} on it."
    )


def described(run: Run, item: Points) -> Json:
    """What every trace of points shares: its name in the legend and, in the hover, the class of each point."""
    return {
        "mode": "markers",
        "name": plot_text(item.name),
        "text": [plot_text(shorten(class_of(run, int(label)), 60)) for label in item.labels],
        "hovertemplate": "%{text}",
    }


def point_colours(run: Run, item: Points) -> list[str]:
    """The colour of each point's class, one of ten in turn."""
    return np.array(CLASS_COLOURS)[item.labels % run.num_classes % len(CLASS_COLOURS)].tolist()


def second_splits(found: list[Points]) -> set[str]:
    """The names of features and means of all splits but the first; they start hidden, and the legend shows them."""
    return {name for kind in ("features", "means") for name in [item.name for item in found if item.kind == kind][1:]}


def named(run: Run, found: list[Points], radius: float, most: int) -> list[tuple[list[float], str]]:
    """Where to write the name of each class: beside its mean (or weight), a little outside; none if too many."""
    shown = next((item for kind in ("means", "weights", "target") for item in found if item.kind == kind), None)
    if shown is None or run.num_classes > most:
        return []
    places = np.round(shown.units * radius, 6).tolist()
    texts = [plot_text(shorten(class_of(run, int(label)), 14)) for label in shown.labels]
    return list(zip(places, texts, strict=True))
