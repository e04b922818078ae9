"""Configurations with a name. The two of the demo reach collapse on digits in seconds on one core."""

from .config import TrainConfig

PRESETS = {
    # K <= d + 1: ten classes collapse to a simplex in 32 dimensions.
    "digits-simplex": TrainConfig(
        dataset="digits",
        backbone="mlp",
        width=256,
        depth=4,
        dim=32,
        head="linear",
        lr=0.1,
        weight_decay=2e-2,
        epochs=140,
        batch_size=256,
    ),
    # K > d + 1: ten classes on a sphere in three dimensions, where no simplex fits. The scale is small because larger
    # ones stall: their gradients vanish before the classes have spread.
    "digits-sphere": TrainConfig(
        dataset="digits",
        backbone="mlp",
        width=256,
        depth=3,
        dim=3,
        normalize=True,
        head="cosine",
        scale=5.0,
        lr=0.05,
        weight_decay=1e-2,
        epochs=120,
        batch_size=256,
        optimum="solve",
    ),
}
