"""``TrainConfig``: everything a training run depends on, as a frozen dataclass. This module never imports torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from .._conditions import Condition
from .._errors import FileFormatError, InputError
from .._files import read_json, write_json
from .._schema import TRAIN_CONFIG
from .._settings import Rule, check_settings, from_known_fields
from ..heads._registry import HEADS, AnyHead, LinearHead, check_pair
from ..losses._registry import LOSSES, AnyLoss, CrossEntropyLoss
from ._choices import Choice, as_dict, options_of, read_choice
from ._parts import AnyBackbone, AnyImbalance, AnyOptimizer, MLPBackbone, SGDOptimizer

CHOICES: Mapping[str, Mapping[str, type[Choice]]] = MappingProxyType(
    {
        "backbone": {kind.name: kind for kind in get_args(AnyBackbone)},
        "head": HEADS,
        "loss": LOSSES,
        "optimizer": {kind.name: kind for kind in get_args(AnyOptimizer)},
        "imbalance": {kind.name: kind for kind in get_args(AnyImbalance)},
    }
)
"""The settings that choose among several, and what each may be, by name."""
_RULES: tuple[Rule, ...] = (
    (("dim", "epochs", "batch_size", "measure_every", "threads"), "of at least 1", lambda value: value >= 1),
    (("lr", "head_lr"), "above 0 and finite", lambda value: 0 < value < math.inf),
    (
        ("weight_decay", "head_weight_decay", "checkpoint_seconds"),
        "of at least 0 and finite",
        lambda value: 0 <= value < math.inf,
    ),
    (("label_noise",), "in [0, 1)", lambda value: 0 <= value < 1),
    (("seed",), "in [0, 2^32)", lambda value: 0 <= value < 2**32),
)
_FIRST_SCHEMA = "neucollapse/config/1"


@dataclass(frozen=True)
class TrainConfig:
    """A training run. The same values give the same weights, bit for bit, on one CPU with one number of threads.

    Attributes:
        dataset: ``digits``, ``fashion-mnist``, or the path of a data set (see ``neucollapse.data.load``).
        backbone: the network up to the features.
        dim: d, by a linear projection after the backbone; None for the backbone's width, without projection.
        normalize: whether features are put on the unit sphere before the head.
        head: the classifier, see ``neucollapse.heads``: learned (linear, cosine, sub-centre), the running means of the
            features (class-means), or fixed.
        loss: what is minimised, see ``neucollapse.losses``. centre is cross-entropy plus ``beta`` times the centre loss.
        optimizer: ``sgd`` with momentum, or ``adam`` with decoupled weight decay.
        lr: learning rate at the start.
        weight_decay: of every parameter.
        head_lr: learning rate of the head and of what the loss learns, at the start; None for ``lr``.
        head_weight_decay: of these parameters; None for ``weight_decay``.
        schedule: of the learning rate, by step: ``constant``; ``cosine`` to zero; ``step``, a tenth after 1/2 and
            again after 3/4 of all steps.
        epochs: passes over the training split.
        stop_when: a condition such as ``train/nc1/pinv<1e-3``: training ends after the first measured epoch at which it
            holds. None for all epochs.
        batch_size: samples a step; the last batch of an epoch may be smaller.
        sampling: ``shuffle``, or ``class-balanced``: as many samples of each class an epoch, by repeating some.
        imbalance: size of the classes of the training split: ``exp`` falls exponentially from the first class to the last
            (arXiv 1901.05555); ``step`` is large in the first half of them, small in the second (arXiv 1710.05381). ``ratio`` is
            the size of the largest class over that of the smallest. None leaves the sizes.
        label_noise: share of the training labels that are replaced by another class, drawn uniformly. What is measured
            as ``train`` is the training split as it is trained on, with imbalance and noise.
        seed: of the split, its changes, the initialisation and the order of samples.
        measure_every: epochs between two measurements of collapse; the last epoch is always measured.
        optimum: for the final result, ``lookup`` the best known code, or ``solve`` for its coordinates, which the report
            draws, where none are known.
        checkpoint_seconds: least time between two checkpoints, written at the end of an epoch; 0 for every epoch.
        threads: torch threads during the run; None leaves them.
        accelerator: ``cpu``, ``gpu`` or ``auto``; one device.

    Raises:
        InputError: for any value that makes no run, in a sentence.

    Examples:
        >>> from neucollapse.heads import CosineHead
        >>> from neucollapse.losses import ArcFaceLoss
        >>> TrainConfig(head=CosineHead(scale=32.0), loss=ArcFaceLoss(margin=0.3)).epochs
        100
        >>> TrainConfig(epochs=0)
        Traceback (most recent call last):
        neucollapse._errors.InputError: expected epochs of at least 1, got 0
    """

    dataset: str = "digits"
    backbone: AnyBackbone = field(default_factory=MLPBackbone)
    dim: int | None = 32
    normalize: bool = False
    head: AnyHead = field(default_factory=LinearHead)
    loss: AnyLoss = field(default_factory=CrossEntropyLoss)
    optimizer: AnyOptimizer = field(default_factory=SGDOptimizer)
    lr: float = 0.1
    weight_decay: float = 5e-4
    head_lr: float | None = None
    head_weight_decay: float | None = None
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    epochs: int = 100
    stop_when: str | None = None
    batch_size: int = 128
    sampling: Literal["shuffle", "class-balanced"] = "shuffle"
    imbalance: AnyImbalance | None = None
    label_noise: float = 0.0
    seed: int = 0
    measure_every: int = 10
    optimum: Literal["lookup", "solve"] = "lookup"
    checkpoint_seconds: float = 10.0
    threads: int | None = None
    accelerator: Literal["cpu", "gpu", "auto"] = "cpu"

    def __post_init__(self) -> None:
        check_settings(self, _RULES)
        if self.stop_when is not None:
            Condition.parse(self.stop_when)
        check_pair(self.loss, self.head)
        given = [name for name in ("head_lr", "head_weight_decay") if getattr(self, name) is not None]
        if given and not (self.head.trained or self.loss.trained):
            raise InputError(
                f"expected no {given[0]} with head {self.head.name} and loss {self.loss.name}, which have no parameters"
            )

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values; a choice is an object of its name and its options."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: value if value is None or name not in CHOICES else as_dict(value) for name, value in values.items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """The inverse of ``to_dict``; what is left out keeps its default, and a choice may be its name alone.

        Raises:
            InputError: for an unknown field or an impossible value.

        Examples:
            >>> TrainConfig.from_dict({"head": {"name": "cosine", "scale": 32.0}, "backbone": "convnet"}).head.scale
            32.0
        """
        for name in values:
            if name not in cls.__dataclass_fields__ and (home := home_of(name)):
                words, setting, choice = home
                raise InputError(
                    f"unknown setting {name!r}; it is an option of {words}, written "
                    f'"{setting}": {{"name": "{choice}", "{name}": ...}}'
                )
        read = {
            name: read_choice(name, CHOICES[name], value) if name in CHOICES and value is not None else value
            for name, value in values.items()
        }
        return from_known_fields(cls, read)

    def save(self, path: str | Path) -> None:
        """Write the config as JSON, atomically."""
        write_json(path, self.to_dict(), schema=TRAIN_CONFIG)

    @classmethod
    def load(cls, path: str | Path) -> "TrainConfig":
        """Read a config written by ``save``, or by hand: a JSON object with ``"schema": "neucollapse/config/2"``.

        Raises:
            FileFormatError: if the file is not a config, or holds an unknown field or an impossible value.
        """
        try:
            content = read_json(path, schema=TRAIN_CONFIG)
            del content["schema"]
            return cls.from_dict(content)
        except FileFormatError as error:
            if _FIRST_SCHEMA not in error.reason:
                raise
            end = 'options of a choice stand with it now, as in "head": {"name": "cosine", "scale": 32}'
            raise FileFormatError(path, f"{error.reason}; {end}") from None
        except InputError as error:
            raise FileFormatError(path, str(error)) from None


def home_of(option: object) -> tuple[str, str, str] | None:
    """Where an option belongs: the choices that have it in words, one of their settings, and a choice of it; None where none has.

    Examples:
        >>> home_of("momentum"), home_of("lr")
        (('head class-means or optimizer sgd', 'optimizer', 'sgd'), None)
    """
    homes = [
        (setting, [name for name in kinds if option in options_of(kinds[name])]) for setting, kinds in CHOICES.items()
    ]
    homes = [(setting, names) for setting, names in homes if names]
    words = " or ".join(f"{setting} {', '.join(names)}" for setting, names in homes)
    return (words, homes[-1][0], homes[-1][1][0]) if homes else None
