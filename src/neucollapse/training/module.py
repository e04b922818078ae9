"""The network of a config, and the Lightning module that trains it."""

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from ..heads import Cosine, Head, Linear
from ..losses import CrossEntropy
from ..losses.spherical import unit_rows
from ._lightning import pl
from .backbones import Backbone, build
from .config import TrainConfig

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig


class UnitSphere(nn.Module):
    """Features divided by their norms; a zero feature stays zero."""

    def forward(self, features: Tensor) -> Tensor:
        """``(..., d)`` to ``(..., d)`` of norm 1."""
        return unit_rows(features)


def build_model(config: TrainConfig, input_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """The network of a config: ``backbone``, ``sphere`` where features are normalised, ``head``.

    Args:
        config: what to build; initialised from torch's global random state.
        input_shape: shape of one input.
        num_classes: K.

    Returns:
        A module from inputs ``(B, *input_shape)`` to logits ``(B, K)``.

    Raises:
        InputError: when the backbone does not take such inputs.

    Example:
        >>> model = build_model(TrainConfig(dim=3, head="cosine"), input_shape=(1, 8, 8), num_classes=10)
        >>> model.head
        Cosine(dim=3, num_classes=10, scale=16)
    """
    options: dict[str, Any] = {n: size for n in ("width", "depth") if (size := getattr(config, n)) is not None}
    if config.backbone == "mlp":
        options["batch_norm"] = config.batch_norm
    backbone = build(config.backbone, input_shape, config.dim, **options)
    model = nn.Sequential()
    model.add_module("backbone", backbone)
    if config.normalize:
        model.add_module("sphere", UnitSphere())
    model.add_module("head", _build_head(config, backbone, num_classes))
    return model


def _build_head(config: TrainConfig, backbone: Backbone, num_classes: int) -> Head:
    if config.head == "cosine":
        return Cosine(backbone.dim, num_classes, config.scale, config.learn_scale)
    return Linear(backbone.dim, num_classes, config.bias)


class CollapseModule(pl.LightningModule):
    """Trains a network made by :func:`build_model`, as its config says.

    Logs ``train/loss`` and ``train/accuracy``, means over the samples of an epoch, each taken before the step that
    used the sample.

    Args:
        config: optimiser, schedule and loss.
        model: modules from inputs to features, then a head.
    """

    def __init__(self, config: TrainConfig, model: nn.Sequential) -> None:
        super().__init__()
        self.config = config
        self.model = model
        self.loss = CrossEntropy()
        self._sums, self._samples = torch.zeros(2, dtype=torch.float64), 0  # of losses, of right decisions

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``(B, K)``."""
        return self.model(inputs)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The loss of a batch of inputs and labels."""
        inputs, labels = batch
        features, head = self.model[:-1](inputs), cast(Head, self.model[-1])
        loss = self.loss(features, labels, head)
        with torch.no_grad():
            right = (head.logits(features).argmax(dim=1) == labels).sum()
        self._count(loss.detach() * len(labels), right, len(labels))
        return loss

    def _count(self, loss: Tensor, right: Tensor, samples: int) -> None:
        """Sum over the epoch and log at its end: one call of ``log`` a step would cost as much as a small network."""
        self._sums = self._sums.to(loss.device) + torch.stack([loss.double(), right.double()])
        self._samples += samples
        if self.trainer.is_last_batch:
            means = self._sums / self._samples
            self.log_dict(
                {"train/loss": means[0], "train/accuracy": means[1]}, on_step=False, on_epoch=True, batch_size=1
            )
            self._sums, self._samples = torch.zeros_like(self._sums), 0

    def configure_optimizers(self) -> "OptimizerLRSchedulerConfig":
        """The optimiser, and the schedule of its learning rate by step."""
        config = self.config
        if config.optimizer == "adam":
            optimizer = torch.optim.AdamW(self.parameters(), config.lr, weight_decay=config.weight_decay)
        else:
            optimizer = torch.optim.SGD(self.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay)
        factor = partial(schedule_factor, config.schedule, steps=int(self.trainer.estimated_stepping_batches))
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def schedule_factor(schedule: str, step: int, steps: int) -> float:
    r"""What the learning rate is multiplied with at a step: a pure function of it, so that a resumed run agrees.

    Args:
        schedule: ``constant``: 1; ``cosine``: :math:`(1 + \cos(\pi t / T)) / 2`; ``step``: 1, from T/2 on 0.1, from 3T/4
            on 0.01.
        step: t, from 0.
        steps: T, the steps of the whole run.

    Returns:
        The factor, in [0, 1].

    Example:
        >>> [round(schedule_factor("cosine", step, 4), 3) for step in range(5)]
        [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if schedule == "cosine":
        return (1 + math.cos(math.pi * step / steps)) / 2
    if schedule == "step":
        return 0.1 ** ((2 * step >= steps) + (4 * step >= 3 * steps))
    return 1.0
