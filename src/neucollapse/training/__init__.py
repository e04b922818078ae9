"""Train a network into collapse and measure it on the way.

``train(config, run_dir)`` does the whole job: a frozen ``TrainConfig`` in, a run folder out, which a killed run resumes
bit for bit. Its parts serve any Lightning training of your own: ``CollapseCallback`` measures every n epochs,
``SafeCheckpointIO`` writes checkpoints without pickle.

Names load when first used, so that a configuration can be built, and ``--help`` printed, without importing torch.

Example:
    >>> TrainConfig(dataset="digits", dim=3, head="cosine", scale=5.0).epochs
    100
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .config import TrainConfig as TrainConfig
from .presets import PRESETS as PRESETS

if TYPE_CHECKING:
    from . import backbones
    from .callback import CollapseCallback
    from .checkpoint import SafeCheckpointIO, latest_checkpoint, load_checkpoint
    from .module import CollapseModule, build_model
    from .run import train

_HOME = {
    "CollapseCallback": "callback",
    "CollapseModule": "module",
    "SafeCheckpointIO": "checkpoint",
    "build_model": "module",
    "latest_checkpoint": "checkpoint",
    "load_checkpoint": "checkpoint",
    "train": "run",
}

__all__ = [
    "PRESETS",
    "CollapseCallback",
    "CollapseModule",
    "SafeCheckpointIO",
    "TrainConfig",
    "backbones",
    "build_model",
    "latest_checkpoint",
    "load_checkpoint",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    elif name == "backbones":
        value = import_module(".backbones", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
