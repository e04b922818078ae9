"""The head of a config: one line a name."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from .. import data, geometry, heads
from .._errors import FileFormatError
from ..heads import Head
from .config import TrainConfig


def build_head(config: TrainConfig, dim: int, num_classes: int) -> Head:
    """The head of a config for features (B, d) and K classes.

    Raises:
        InputError: when the head does not fit these sizes.
        FileFormatError: when the file of a code cannot be used.
    """
    return _BUILDERS[config.head](config, dim, num_classes)


def _linear(config: TrainConfig, dim: int, num_classes: int) -> Head:
    return heads.Linear(dim, num_classes, bias=config.bias)


def _cosine(config: TrainConfig, dim: int, num_classes: int) -> Head:
    return heads.Cosine(
        dim, num_classes, scale=config.scale, learn_scale=config.learn_scale, scale_start=config.scale_start
    )


def _fixed(config: TrainConfig, dim: int, num_classes: int) -> Head:
    return heads.Fixed(
        _code(config, dim, num_classes), scale=config.scale, learn_assignment=config.reassign_every is not None
    )


def _class_means(config: TrainConfig, dim: int, num_classes: int) -> Head:
    return heads.ClassMeanFeatures(dim, num_classes, scale=config.scale, **_given(momentum=config.mean_momentum))


def _sub_centre(config: TrainConfig, dim: int, num_classes: int) -> Head:
    return heads.SubCentre(dim, num_classes, scale=config.scale, **_given(centres=config.centres))


def _simplex(config: TrainConfig, dim: int, num_classes: int) -> Head:
    return heads.FixedSimplex(dim, num_classes, scale=config.scale)


def _hadamard(config: TrainConfig, dim: int, num_classes: int) -> Head:
    return heads.FixedHadamard(dim, num_classes, scale=config.scale)


def _kerdock(config: TrainConfig, dim: int, num_classes: int) -> Head:
    return heads.FixedKerdock(dim, num_classes, scale=config.scale)


_BUILDERS: dict[str, Callable[[TrainConfig, int, int], Head]] = {
    "linear": _linear,
    "cosine": _cosine,
    "fixed": _fixed,
    "class-means": _class_means,
    "sub-centre": _sub_centre,
    "fixed-simplex": _simplex,
    "fixed-hadamard": _hadamard,
    "fixed-kerdock": _kerdock,
}


def _given(**options: Any) -> dict[str, Any]:
    """Options that are not None: the head's own defaults stand for the others."""
    return {name: value for name, value in options.items() if value is not None}


def _code(config: TrainConfig, dim: int, num_classes: int) -> Tensor:
    if config.code is None:
        # Without a search, which ends after a time and not after a number of steps: a run would not repeat itself.
        return geometry.best_code(num_classes, dim, budget=0, progress=False).points
    points = data.load_weight(config.code, transpose=False).weight  # rows of a code are its points
    if points.shape != (num_classes, dim):
        raise FileFormatError(
            config.code,
            f"expected a code of {num_classes} classes in {dim} dimensions, found {tuple(points.shape)}; "
            f"neucollapse code --classes {num_classes} --dim {dim} -o FILE makes one",
        )
    return points
