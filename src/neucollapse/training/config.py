"""``TrainConfig``: everything a training run depends on, as a frozen dataclass. This module never imports torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from .._errors import FileFormatError, InputError
from .._files import read_json, write_json

SCHEMA = "neucollapse/config/1"


@dataclass(frozen=True)
class TrainConfig:
    """A training run. The same values give the same weights, bit for bit, on one CPU with one number of threads.

    Attributes:
        dataset: ``digits``, ``fashion-mnist``, or the path of a data set (see ``neucollapse.data.load``).
        backbone: the network up to the features.
        width: units of a hidden layer (mlp) or channels of the first block; None for the backbone's own.
        depth: number of hidden layers (mlp); None for its own.
        batch_norm: whether the mlp has batch norm; the others always do.
        dim: d, by a linear projection after the backbone; None for the backbone's own width, without projection.
        normalize: whether features are put on the unit sphere before the head.
        head: the classifier.
        bias: whether a linear head has a bias.
        scale: inverse temperature of a cosine head.
        learn_scale: whether it is trained.
        loss: what is minimised.
        optimizer: ``sgd`` with momentum, or ``adam`` (with decoupled weight decay).
        lr: learning rate at the start.
        momentum: of sgd.
        weight_decay: of every parameter.
        schedule: of the learning rate, by step: ``constant``; ``cosine`` to zero; ``step``, a tenth after 1/2 and
            again after 3/4 of all steps.
        epochs: passes over the training split.
        batch_size: samples a step; the last batch of an epoch may be smaller.
        seed: of the split, the initialisation and the order of samples.
        measure_every: epochs between two measurements of collapse; the last epoch is always measured.
        optimum: for the final result, ``lookup`` the best known code, or ``solve`` for its coordinates, which the report
            draws, where none are known.
        checkpoint_seconds: least time between two checkpoints, written at the end of an epoch; 0 for every epoch.
        threads: torch threads during the run; None leaves them.
        accelerator: ``cpu``, ``gpu`` or ``auto``; one device.

    Raises:
        InputError: for any value that makes no run, in a sentence.

    Example:
        >>> TrainConfig(epochs=0)
        Traceback (most recent call last):
        neucollapse._errors.InputError: expected epochs of at least 1, got 0
    """

    dataset: str = "digits"
    backbone: Literal["mlp", "convnet", "resnet18"] = "mlp"
    width: int | None = None
    depth: int | None = None
    batch_norm: bool = True
    dim: int | None = 32
    normalize: bool = False
    head: Literal["linear", "cosine"] = "linear"
    bias: bool = True
    scale: float = 16.0
    learn_scale: bool = False
    loss: Literal["cross-entropy"] = "cross-entropy"
    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    epochs: int = 100
    batch_size: int = 128
    seed: int = 0
    measure_every: int = 10
    optimum: Literal["lookup", "solve"] = "lookup"
    checkpoint_seconds: float = 10.0
    threads: int | None = None
    accelerator: Literal["cpu", "gpu", "auto"] = "cpu"

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name), field.type)
        for name in ("width", "depth", "dim", "epochs", "batch_size", "measure_every", "threads"):
            _check(name, getattr(self, name), "of at least 1", lambda value: value >= 1)
        for name in ("scale", "lr"):
            _check(name, getattr(self, name), "above 0 and finite", lambda value: 0 < value < math.inf)
        for name in ("weight_decay", "checkpoint_seconds"):
            _check(name, getattr(self, name), "of at least 0 and finite", lambda value: 0 <= value < math.inf)
        _check("momentum", self.momentum, "in [0, 1)", lambda value: 0 <= value < 1)
        _check("seed", self.seed, "in [0, 2^32)", lambda value: 0 <= value < 2**32)
        if self.backbone != "mlp" and (self.depth is not None or not self.batch_norm):
            raise InputError(f"depth and batch_norm are settings of the mlp; expected neither with the {self.backbone}")

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """The inverse of ``to_dict``; fields that are left out keep their defaults.

        Raises:
            InputError: for an unknown field or an impossible value.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise InputError(f"unknown setting {unknown[0]!r}; expected some of {', '.join(sorted(known))}")
        return cls(**values)

    def save(self, path: str | Path) -> None:
        """Write the config as JSON, atomically."""
        write_json(path, self.to_dict(), schema=SCHEMA)

    @classmethod
    def load(cls, path: str | Path) -> "TrainConfig":
        """Read a config written by ``save``, or by hand: a JSON object with ``"schema": "neucollapse/config/1"``.

        Raises:
            FileFormatError: if the file is not a config, or holds an unknown field or an impossible value.
        """
        content = read_json(path, schema=SCHEMA)
        del content["schema"]
        try:
            return cls.from_dict(content)
        except InputError as error:
            raise FileFormatError(path, str(error)) from None


def _check(name: str, value: Any, rule: str, holds: Any) -> None:
    if value is not None and not holds(value):
        raise InputError(f"expected {name} {rule}, got {value}")


def _check_type(name: str, value: Any, annotation: Any) -> None:
    """Check a value, which may come from a JSON file, against its annotation."""
    options = get_args(annotation)
    if options and all(isinstance(option, str) for option in options):  # a Literal
        if value not in options:
            raise InputError(f"expected {name} among {', '.join(options)}, got {value!r}")
        return
    types = options or (annotation,)
    allowed = (*types, int) if float in types else types  # an int serves as a float, a bool never as a number
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in types):
        names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in types)
        raise InputError(f"expected {name} to be {names}, got {value!r}")
