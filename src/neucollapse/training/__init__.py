"""Train a network into collapse and measure it on the way.

``train(config, run_dir)`` does the whole job: a frozen ``TrainConfig`` in, a run folder out, which a killed run resumes
bit for bit. Its parts serve any Lightning training of your own: ``CollapseCallback`` measures every n epochs,
``SafeCheckpointIO`` writes checkpoints without pickle.

A configuration chooses among options of heads (`neucollapse.heads.CosineHead`), of losses (`neucollapse.losses.ArcFaceLoss`), of
backbones, optimisers and imbalances. Names load when first used, so that it can be built, and ``--help`` printed, without torch.

Examples:
    >>> from neucollapse.heads import CosineHead
    >>> TrainConfig(dataset="digits", dim=3, head=CosineHead(scale=5.0)).epochs
    100
"""

from typing import TYPE_CHECKING

import lazy_loader

from ._config import TrainConfig as TrainConfig
from ._parts import AdamOptimizer as AdamOptimizer
from ._parts import ConvNetBackbone as ConvNetBackbone
from ._parts import ExpImbalance as ExpImbalance
from ._parts import MLPBackbone as MLPBackbone
from ._parts import ResNet18Backbone as ResNet18Backbone
from ._parts import SGDOptimizer as SGDOptimizer
from ._parts import StepImbalance as StepImbalance
from ._presets import PRESETS as PRESETS

if TYPE_CHECKING:
    from . import backbones
    from ._callback import CollapseCallback
    from ._checkpoint import SafeCheckpointIO, latest_checkpoint, load_checkpoint
    from ._module import CollapseModule, build_model
    from ._run import train

__all__ = [
    "PRESETS",
    "AdamOptimizer",
    "CollapseCallback",
    "CollapseModule",
    "ConvNetBackbone",
    "ExpImbalance",
    "MLPBackbone",
    "ResNet18Backbone",
    "SGDOptimizer",
    "SafeCheckpointIO",
    "StepImbalance",
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
        "_callback": ["CollapseCallback"],
        "_checkpoint": ["SafeCheckpointIO", "latest_checkpoint", "load_checkpoint"],
        "_module": ["CollapseModule", "build_model"],
        "_run": ["train"],
    },
)
