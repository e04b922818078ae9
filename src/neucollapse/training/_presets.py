"""Configurations with a name. Those of the demo reach collapse on digits in seconds on one core."""

from dataclasses import replace

from ..heads._registry import CosineHead, FixedHead
from ..losses._registry import HUGLoss
from ._config import TrainConfig
from ._parts import MLPBackbone

# K > d + 1: ten classes on a sphere in three dimensions, where no simplex fits. The scale is small because larger ones
# stall: their gradients vanish before the classes have spread.
_SPHERE = TrainConfig(
    dataset="digits",
    backbone=MLPBackbone(width=256, depth=3),
    dim=3,
    normalize=True,
    head=CosineHead(scale=5.0),
    lr=0.05,
    weight_decay=1e-2,
    epochs=120,
    batch_size=256,
    optimum="solve",
)

PRESETS = {
    # K <= d + 1: ten classes collapse to a simplex in 32 dimensions.
    "digits-simplex": TrainConfig(
        dataset="digits",
        backbone=MLPBackbone(width=256, depth=4),
        dim=32,
        lr=0.1,
        weight_decay=2e-2,
        epochs=140,
        batch_size=256,
    ),
    "digits-sphere": _SPHERE,
    # Proxies that uniformity alone spreads. Energy repels near proxies so hard that their norms would grow without bound
    # and their directions stop; strong weight decay of the proxies holds the norms.
    "digits-hug": replace(
        _SPHERE, head=CosineHead(scale=16.0), loss=HUGLoss(), head_lr=0.05, head_weight_decay=0.1, epochs=100
    ),
    # The classifier is the best code from the start, and features have only to come to it.
    "digits-fixed-code": replace(_SPHERE, head=FixedHead(scale=5.0), epochs=80, optimum="lookup"),
}
