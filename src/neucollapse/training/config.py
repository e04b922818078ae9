"""``TrainConfig``: everything a training run depends on, as a frozen dataclass. This module never imports torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from .._conditions import Condition
from .._errors import FileFormatError, InputError
from .._files import read_json, write_json
from .._settings import Rule, check_settings, from_known_fields
from ._combinations import HeadName, LossName, check_combination

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
        head: the classifier, see ``neucollapse.heads``: learned (linear, cosine, sub-centre), the running means of the
            features (class-means), or fixed.
        bias: whether a linear head has a bias.
        scale: inverse temperature of every head but linear, at the end of training.
        learn_scale: whether a cosine head trains it.
        scale_start: scale at the first step of a cosine head, from where it grows geometrically; None for ``scale``.
        scale_over: share of all steps over which it grows.
        code: file of the code of a fixed head, as ``neucollapse code -o`` writes it; None for the best that is known
            without a search.
        reassign_every: epochs after which a fixed head gives its points to the classes anew, as they lie closest to the
            means of their features; None for never.
        mean_momentum: of the means of a class-means head; None for its own.
        centres: directions a class of a sub-centre head; None for its own.
        loss: what is minimised, see ``neucollapse.losses``. centre is cross-entropy plus ``beta`` times the centre loss.
        margin: of cos-face, arc-face, sphere-face and ada-face; None, here and below, for the loss's own value.
        margin_warmup: share of all steps over which the margin grows, in a line, from none.
        smoothing: of label-smoothing.
        gamma: exponent of focal.
        alpha: weight of the uniformity in hug.
        beta: weight of the attraction in hug (its own: 1) and centre (0.003).
        uniformity: of hug: energy (mhe), separation (mhs) or determinant (mgd).
        proxy: where hug has its proxies from. learnable: from the head. With the others, which the loss owns or does
            without, the head is class-means, and serves to measure.
        temperature: of sup-con.
        optimizer: ``sgd`` with momentum, or ``adam`` (with decoupled weight decay).
        lr: learning rate at the start.
        momentum: of sgd.
        weight_decay: of every parameter.
        head_lr: learning rate of the head and of what the loss itself learns, at the start; None for ``lr``.
        head_weight_decay: of these parameters; None for ``weight_decay``.
        schedule: of the learning rate, by step: ``constant``; ``cosine`` to zero; ``step``, a tenth after 1/2 and
            again after 3/4 of all steps.
        epochs: passes over the training split.
        stop_when: a condition such as ``train/nc1/pinv<1e-3``: training ends after the first measured epoch at which it
            holds. None for all epochs.
        batch_size: samples a step; the last batch of an epoch may be smaller.
        sampling: ``shuffle``, or ``class-balanced``: as many samples of each class an epoch, by repeating some.
        imbalance: size of the classes of the training split: ``none`` as it is; ``exp`` falls exponentially from the first
            class to the last (arXiv 1901.05555); ``step`` is large in the first half of them, small in the second (arXiv
            1710.05381).
        imbalance_ratio: samples of the largest class over those of the smallest.
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
    head: HeadName = "linear"
    bias: bool = True
    scale: float = 16.0
    learn_scale: bool = False
    scale_start: float | None = None
    scale_over: float = 0.5
    code: str | None = None
    reassign_every: int | None = None
    mean_momentum: float | None = None
    centres: int | None = None
    loss: LossName = "cross-entropy"
    margin: float | None = None
    margin_warmup: float = 0.0
    smoothing: float | None = None
    gamma: float | None = None
    alpha: float | None = None
    beta: float | None = None
    uniformity: Literal["mhe", "mhs", "mgd"] | None = None
    proxy: Literal["learnable", "static", "partial", "none"] | None = None
    temperature: float | None = None
    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    head_lr: float | None = None
    head_weight_decay: float | None = None
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    epochs: int = 100
    stop_when: str | None = None
    batch_size: int = 128
    sampling: Literal["shuffle", "class-balanced"] = "shuffle"
    imbalance: Literal["none", "exp", "step"] = "none"
    imbalance_ratio: float | None = None
    label_noise: float = 0.0
    seed: int = 0
    measure_every: int = 10
    optimum: Literal["lookup", "solve"] = "lookup"
    checkpoint_seconds: float = 10.0
    threads: int | None = None
    accelerator: Literal["cpu", "gpu", "auto"] = "cpu"

    def __post_init__(self) -> None:
        check_settings(self, _RANGES)
        if self.backbone != "mlp" and (self.depth is not None or not self.batch_norm):
            raise InputError(f"depth and batch_norm are settings of the mlp; expected neither with the {self.backbone}")
        if self.stop_when is not None:
            Condition.parse(self.stop_when)
        check_combination(self)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """The inverse of ``to_dict``; fields that are left out keep their defaults.

        Raises:
            InputError: for an unknown field or an impossible value.
        """
        return from_known_fields(cls, values)

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


_COUNTS = (
    "width", "depth", "dim", "epochs", "batch_size", "measure_every", "threads", "reassign_every", "centres",
)  # fmt: skip
_RANGES: tuple[Rule, ...] = (
    (_COUNTS, "of at least 1", lambda value: value >= 1),
    (
        ("scale", "scale_start", "lr", "head_lr", "temperature"),
        "above 0 and finite",
        lambda value: 0 < value < math.inf,
    ),
    (
        ("weight_decay", "head_weight_decay", "checkpoint_seconds", "margin", "gamma", "alpha", "beta"),
        "of at least 0 and finite",
        lambda value: 0 <= value < math.inf,
    ),
    (("momentum", "mean_momentum", "label_noise", "smoothing"), "in [0, 1)", lambda value: 0 <= value < 1),
    (("scale_over", "margin_warmup"), "in [0, 1]", lambda value: 0 <= value <= 1),
    (("imbalance_ratio",), "of at least 1 and finite", lambda value: 1 <= value < math.inf),
    (("seed",), "in [0, 2^32)", lambda value: 0 <= value < 2**32),
)
