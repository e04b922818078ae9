"""What every model of the literature is here: a loop that yields rows, and findings that set the prediction beside them."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from .._schema import HeatMap as HeatMap
from .._schema import Line as Line
from .._schema import Plot as Plot
from ._settings import Settings

S = TypeVar("S", bound=Settings)
State = dict[str, Tensor]


class Row(NamedTuple):
    """A number of the trajectory: of which series (a run, a depth, a seed), at which x (step, time, temperature), what."""

    series: str
    x: float
    key: str
    value: float


Run = Generator[Row, None, State]
"""Rows as they come; the tensors that the run ended with are returned."""


@dataclass(frozen=True)
class Comparison:
    """A number that the theory predicts, beside the one that was found.

    `name` is a key of `neucollapse.metrics.REGISTRY` where it is that metric, and words otherwise; `meaning` is a phrase
    that says what the number is, and where the prediction comes from.
    """

    name: str
    predicted: float
    found: float
    meaning: str = ""


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
    """A model of these settings: a loop that yields what it measures, and the findings at its end."""

    def __init__(self, settings: S) -> None:
        self.settings = settings

    @abstractmethod
    def run(self) -> Run:
        """Yield the trajectory; return the tensors that `findings` needs. Random numbers come from `generator` alone."""

    @abstractmethod
    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """What the end of the run and the whole trajectory tell."""

    def generator(self, stream: int = -1) -> torch.Generator:
        """A generator of this seed; each stream draws other numbers, so that one part of a model does not shift another's."""
        return torch.Generator().manual_seed((self.settings.seed << 20) + stream + 1)

    def draw(self, stream: int, shapes: Mapping[str, Sequence[int]], over: float = 1.0) -> State:
        """Gaussian float64 tensors of these shapes, one after the other from a stream, divided by a number."""
        generator = self.generator(stream)
        return {
            name: torch.randn(*shape, generator=generator, dtype=torch.float64) / over for name, shape in shapes.items()
        }


def model_of(settings: Settings) -> Model[Any]:
    """The model of these settings: its module loads now."""
    module = import_module(f".{settings.name.replace('-', '_')}.model", __package__)
    return getattr(module, f"{type(settings).__name__}Model")(settings)


def series(rows: Sequence[Row], key: str, name: str | None = None) -> tuple[list[float], list[float]]:
    """x and values of a key, of one series or of all."""
    chosen = [row for row in rows if row.key == key and name in (None, row.series)]
    return [row.x for row in chosen], [row.value for row in chosen]
