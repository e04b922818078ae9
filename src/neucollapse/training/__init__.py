"""Train a network into collapse and measure it on the way.

``train(config, run_dir)`` does the whole job: a frozen ``TrainConfig`` in, a run folder out, which a killed run resumes
bit for bit. Its parts serve any Lightning training of your own: ``CollapseCallback`` measures every n epochs,
``SafeCheckpointIO`` writes checkpoints without pickle.

Names load when first used, so that a configuration can be built, and ``--help`` printed, without importing torch.

Example:
    >>> TrainConfig(dataset="digits", dim=3, head="cosine", scale=5.0).epochs
    100
"""

from typing import TYPE_CHECKING

import lazy_loader

from .config import TrainConfig as TrainConfig
from .presets import PRESETS as PRESETS

if TYPE_CHECKING:
    from . import backbones
    from .callback import CollapseCallback
    from .checkpoint import SafeCheckpointIO, latest_checkpoint, load_checkpoint
    from .module import CollapseModule, build_model
    from .run import train

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submodules=("backbones",),
    submod_attrs={
        "callback": ["CollapseCallback"],
        "checkpoint": ["SafeCheckpointIO", "latest_checkpoint", "load_checkpoint"],
        "module": ["CollapseModule", "build_model"],
        "run": ["train"],
    },
)
