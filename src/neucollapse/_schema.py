"""The structure of every file of a run, declared once: writers make these objects, readers check files against them.

A field that this version does not know is passed over, since a file may be from a newer version of the same schema. The columns
of tables are declared here too, with the types of Arrow, and what stands beside the tensors of tensor files. `_records` reads
and writes them.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

ARRAYS = "neucollapse/arrays/1"
ATLAS = "neucollapse/atlas/1"
TRAIN_CONFIG = "neucollapse/config/2"  # the fields of TrainConfig, with a choice as an object of its name and options
CHECKPOINT = "neucollapse/checkpoint/1"  # beside the tensors a tree, in which they are named
CHECKPOINT = "neucollapse/checkpoint/1"
CONFIG = "neucollapse/config/2"

HISTORY = {"epoch": "int32", "key": "string", "value": "float64"}
TRAJECTORY = {"series": "string", "x": "float64", "key": "string", "value": "float64"}
METRICS = {
    "key": "string", "split": "string", "name": "string", "layer": "string",
    "value": "float64", "optimum": "float64", "absent": "string",
}  # fmt: skip


class Metric(Struct, frozen=True):
    """One row of a result: a number, or the reason why it is absent."""

    key: str
    name: str
    value: float | None
    optimum: float | None
    absent: str | None
    split: str = ""
    layer: str = ""


class Definition(Struct, frozen=True):
    """What a metric means. `log` says that it is read on a logarithmic axis."""

    title: str
    symbol: str = ""
    definition: str = ""
    range: str = ""
    at_collapse: str = ""
    citation: str = ""
    family: str = ""
    log: bool = False


class Flag(Struct, frozen=True):
    """A sentence that a reader must know beside the numbers."""

    sentence: str
    code: str = ""
    where: str = ""
    severity: str = ""


class Sentence(Struct, frozen=True):
    """A sentence of the verdict; its tone is good, fair, bad or note."""

    tone: str
    text: str


class Digest(Struct, frozen=True):
    """The SHA-256 of another file of the folder, by which the result knows it."""

    sha256: str | None = None


class Training(Struct, frozen=True):
    """How the measured model was trained."""

    zero_error_epoch: int | None = None
    epochs: int | None = None
    stopped_when: str | None = None
    config: dict[str, Any] | None = None
    files: dict[str, str] | None = None
    history: Digest | None = None


class Result(Struct, frozen=True):
    """`result.json`: a measurement."""

    SCHEMA: ClassVar[str] = "neucollapse/result/1"

    metrics: list[Metric]
    flags: list[Flag]
    splits: list[str]
    num_classes: int | None = None
    dim: int | None = None
    title: str | None = None
    class_names: list[str] | None = None
    classifier: str | None = None
    seed: int | None = None
    training: Training | None = None
    created: str | None = None
    command: str | None = None
    environment: dict[str, Any] | None = None
    verdict: list[Sentence] | None = None
    definitions: dict[str, Definition] | None = None
    citations: list[str] | None = None
    arrays: Digest | None = None


class Comparison(Struct, frozen=True):
    """A number that theory predicts beside the one that was found; `title` is that of the metric, where it is one."""

    name: str = ""
    title: str = ""
    predicted: float | None = None
    found: float | None = None
    meaning: str = ""


class Line(Struct, frozen=True):
    """A line of a plot, null where it has a gap.

    Its role gives colour and dash: found (solid), predicted (dashed), baseline (dotted, grey), measured (a run laid over it).
    """

    name: str
    x: Sequence[float | None]
    y: Sequence[float | None]
    role: str = "found"
    points: bool = False


class Plot(Struct, frozen=True, tag_field="kind", tag="lines"):
    """Lines over a common axis, with a caption that says what to see.

    `metric` is the key in `neucollapse.metrics.REGISTRY` of what stands on the y-axis, where it is one: a measured run
    (`--overlay`) is drawn into the plots that have it.
    """

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    caption: str = ""
    log_x: bool = False
    log_y: bool = False
    metric: str = ""


class HeatMap(Struct, frozen=True, tag_field="kind", tag="heat"):
    """A table of numbers as colours, with the number written into each cell: a row for each label of y. null stays empty."""

    title: str
    x: str
    y: str
    x_labels: Sequence[str]
    y_labels: Sequence[str]
    values: Sequence[Sequence[float | None]]
    caption: str = ""


class SimulationFile(Struct, frozen=True):
    """`simulation.json`: what a model of the theory did, beside what was predicted."""

    SCHEMA: ClassVar[str] = "neucollapse/simulation/1"

    model: str
    title: str
    sentences: list[str]
    agrees: bool | None = None
    comparisons: list[Comparison] | None = None
    plots: list[Plot | HeatMap] | None = None
    settings: dict[str, Any] | None = None
    citations: list[str] | None = None
    seconds: float | None = None
    command: str | None = None
    environment: dict[str, Any] | None = None
    arrays: Digest | None = None


Count = Annotated[int, Meta(ge=0)]


class StatisticsSettings(Struct, frozen=True):
    """What class statistics were made with."""

    num_classes: Annotated[int, Meta(ge=1)]
    dim: Annotated[int, Meta(ge=1)]
    scatter: Literal["full", "trace"]
    normalize: bool
    ignore_index: int
    nan: Literal["raise", "drop"]


class Statistics(Struct, frozen=True):
    """What stands beside the sums of class statistics. `coarsest` numbers the coarsest type that features came in."""

    SCHEMA: ClassVar[str] = "neucollapse/statistics/2"

    settings: StatisticsSettings
    left_out: dict[str, Count]
    coarsest: Annotated[int, Meta(ge=-1)]
    reduced: bool


class Code(Struct, frozen=True):
    """What stands beside the points of a code's file; None where something was not worked out.

    Attributes:
        K: number of points (classes).
        d: dimension.
        kind: what is optimised.
        value: of that, at this code.
        max_cosine: the largest cosine of a pair; of lines the largest absolute one.
        margin: the smallest one-vs-rest distance; None for lines and for more than 2,000 points.
        bound: what no code does better than; for energies the best known value.
        bound_name: whose it is.
        relative_gap: between the value and the bound; 0 is met.
        certificate: numbers of the certificate, {} without one.
        words: the certificate in sentences.
    """

    SCHEMA: ClassVar[str] = "neucollapse/code/1"

    K: int
    d: int
    kind: str
    value: float
    max_cosine: float
    margin: float | None
    bound: float | None
    bound_name: str
    relative_gap: float | None
    certificate: dict[str, Any]
    words: str
