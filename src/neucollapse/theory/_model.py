"""What every model of the literature is here: work in pieces, and in the end the prediction beside what was found.

A simulation is a state, a dictionary of tensors, that advances piece by piece: so many steps of gradient descent, one point
of a path, one cell of a phase diagram. After each piece the state can be saved, and the next process goes on from there to
the same numbers, bit for bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from .settings import Settings

S = TypeVar("S", bound=Settings)
State = dict[str, Tensor]


class Row(NamedTuple):
    """A number of the trajectory: of which series (a run, a depth, a seed), at which x (step, time, temperature), what."""

    series: str
    x: float
    key: str
    value: float


@dataclass(frozen=True)
class Comparison:
    """A number that the theory predicts, beside the one that was found.

    ``name`` is a key of ``neucollapse.metrics.REGISTRY`` where it is that metric, and words otherwise; ``meaning`` is a phrase
    that says what the number is, and where the prediction comes from.
    """

    name: str
    predicted: float
    found: float
    meaning: str = ""


@dataclass(frozen=True)
class Line:
    """A line of a plot; its role gives colour and dash: found (solid), predicted (dashed), baseline (dotted, grey)."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    role: Literal["found", "predicted", "baseline"] = "found"
    points: bool = False


@dataclass(frozen=True)
class Plot:
    """Lines over a common axis, with a caption that says what to see.

    ``metric`` is the key in ``neucollapse.metrics.REGISTRY`` of what stands on the y-axis, where it is one: a measured run
    (``--overlay``) is drawn into the plots that have it.
    """

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    caption: str = ""
    log_x: bool = False
    log_y: bool = False
    metric: str = ""


@dataclass(frozen=True)
class HeatMap:
    """A table of numbers as colours, with the number written into each cell; NaN stays empty."""

    title: str
    x: str
    y: str
    x_labels: Sequence[str]
    y_labels: Sequence[str]
    values: Sequence[Sequence[float]]
    caption: str = ""


@dataclass(frozen=True)
class Findings:
    """What a simulation tells in the end.

    Attributes:
        sentences: the answer, in words; the first is the headline.
        comparisons: predictions beside what was found.
        plots: in the order of the page.
        tensors: what is worth keeping: features, weights, targets.
        agrees: whether the prediction held, by the tolerance that the sentences name; None where nothing is predicted.
    """

    sentences: Sequence[str]
    comparisons: Sequence[Comparison] = ()
    plots: Sequence[Plot | HeatMap] = ()
    tensors: State = field(default_factory=dict, compare=False)  # tensors have no truth value
    agrees: bool | None = None


class Model(ABC, Generic[S]):
    """A model: its settings, its work in pieces, and its findings. ``pieces`` may depend on the settings alone.

    ``version`` counts up when states or rows become others, so that a folder of an earlier version is not taken up.
    """

    settings_type: ClassVar[type[Settings]]
    version: ClassVar[int] = 1

    def __init__(self, settings: S) -> None:
        self.settings = settings

    @property
    @abstractmethod
    def pieces(self) -> int:
        """How many pieces of work there are, each of about a second or less."""

    @abstractmethod
    def start(self) -> State:
        """The state before the first piece."""

    @abstractmethod
    def advance(self, state: State, piece: int) -> tuple[State, list[Row]]:
        """The state after a piece, and what was measured. It draws from ``generator(piece)`` alone."""

    @abstractmethod
    def findings(self, state: State, rows: Sequence[Row]) -> Findings:
        """What the last state and the whole trajectory tell."""

    def generator(self, stream: int = -1) -> torch.Generator:
        """A generator of this seed; every piece has a stream of its own, so that a resumed run draws the same."""
        return torch.Generator().manual_seed((self.settings.seed << 20) + stream + 1)


def series(rows: Sequence[Row], key: str, name: str | None = None) -> tuple[list[float], list[float]]:
    """x and values of a key, of one series or of all."""
    chosen = [row for row in rows if row.key == key and name in (None, row.series)]
    return [row.x for row in chosen], [row.value for row in chosen]
