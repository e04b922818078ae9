"""The network of a config, and the Lightning module that trains it."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from .._labels import flat_labels
from ..heads import Cosine, CosineHead, Fixed, FixedHead, Head
from ..losses import Margin
from ..losses._normalised import normalised
from ._config import TrainConfig
from ._lightning import pl
from ._schedules import ramp, schedule_factor
from ._training_set import IGNORED

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig


class UnitSphere(nn.Module):
    """Features divided by their norms; a zero feature stays zero."""

    def forward(self, features: Tensor) -> Tensor:
        """``(..., d)`` to ``(..., d)`` of norm 1."""
        return normalised(features)


def build_model(config: TrainConfig, input_shape: Sequence[int], num_classes: int) -> nn.Sequential:
    """The network of a config: ``backbone``, ``sphere`` where features are normalised, ``head``.

    Args:
        config: what to build; initialised from torch's global random state.
        input_shape: shape of one input.
        num_classes: K.

    Returns:
        A module from inputs ``(B, *input_shape)`` to logits ``(B, K)``. What does not fit is refused by backbone or head.

    Examples:
        >>> model = build_model(TrainConfig(dim=3, head=CosineHead()), input_shape=(1, 8, 8), num_classes=10)
        >>> model.head
        Cosine(dim=3, num_classes=10, scale=16)
    """
    backbone = config.backbone.build(input_shape, config.dim)
    model = nn.Sequential()
    model.add_module("backbone", backbone)
    if config.normalize:
        model.add_module("sphere", UnitSphere())
    model.add_module("head", config.head.build(backbone.dim, num_classes))
    return model


class CollapseModule(pl.LightningModule):
    """Trains a network made by `build_model`, as its config says.

    Logs ``train/loss`` and ``train/accuracy``, means over the samples of an epoch, each taken before the step that
    used the sample.

    Before a step the scale of the head and the margin of the loss are set to their values at that step, and what a
    head learns without a gradient is learned from the batch. After an epoch in which that is due, a fixed head gives its
    points to the classes anew, by the means of the unit features that the epoch trained on.

    Args:
        config: optimiser, schedules and loss.
        model: modules from inputs to features, then a head.
    """

    def __init__(self, config: TrainConfig, model: nn.Sequential) -> None:
        super().__init__()
        self.config = config
        self.model = model
        self.loss = config.loss.build(self.head.dim, self.head.num_classes)
        self._margin: Margin | None = getattr(self.loss, "margin", None)
        self._margin_warmup: float = getattr(config.loss, "margin_warmup", 0.0)
        self._reassign_every = config.head.reassign_every if isinstance(config.head, FixedHead) else None
        self._sums, self._samples = torch.zeros(2, dtype=torch.float64), 0  # of losses, of right decisions
        self._class_sums: Tensor | None = None  # of unit features, (K, d), over the epoch, where the head needs them

    @property
    def head(self) -> Head:
        """The last module of the model."""
        return cast(Head, self.model[-1])

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``(B, K)``."""
        return self.model(inputs)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The loss of a batch of inputs and labels, of any integer type; rows with the label -100 are left out."""
        inputs, labels = batch[0], flat_labels(batch[1], batch[0].shape[:1])
        features, head = self.model[:-1](inputs), self.head
        self._schedule(head)
        counted = labels != IGNORED
        if not bool(counted.all()):
            features, labels = features[counted], labels[counted]
        if not len(labels):  # the sum of no rows is 0, and so are its gradients
            self._count(features.new_zeros(()), labels.sum(), 0)
            return features.sum()
        head.update(features.detach(), labels)
        loss = self.loss(features, labels, head)
        with torch.no_grad():
            right = (head.logits(features).argmax(dim=1) == labels).sum()
            self._sum_classes(features, labels)
        self._count(loss.detach() * len(labels), right, len(labels))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Assign the points of a fixed head anew, where this batch ends an epoch in which that is due."""
        del outputs, batch, batch_idx
        # Not at the end of the epoch: there callbacks measure first, and what they measure would not be what is saved.
        if self._class_sums is not None and self.trainer.is_last_batch:
            if self._reassign_every and (self.current_epoch + 1) % self._reassign_every == 0:
                cast(Fixed, self.head).reassign(normalised(self._class_sums))
            self._class_sums = None

    def _schedule(self, head: Head) -> None:
        step, steps = self.trainer.global_step, int(self.trainer.estimated_stepping_batches)
        choice = self.config.head
        if isinstance(head, Cosine) and isinstance(choice, CosineHead) and choice.scale_start is not None:
            head.anneal(ramp(step, steps, choice.scale_over))
        if self._margin_warmup and self._margin is not None:
            cast(Any, self.loss).margin = self._margin.grown(ramp(step, steps, self._margin_warmup))

    def _sum_classes(self, features: Tensor, labels: Tensor) -> None:
        if self._reassign_every is None:
            return
        before = self._class_sums
        sums = features.new_zeros(self.head.num_classes, self.head.dim) if before is None else before
        self._class_sums = sums.index_add(0, labels, normalised(features))

    def _count(self, loss: Tensor, right: Tensor, samples: int) -> None:
        """Sum over the epoch and log at its end: one call of ``log`` a step would cost as much as a small network."""
        self._sums = self._sums.to(loss.device) + torch.stack([loss.double(), right.double()])
        self._samples += samples
        if self.trainer.is_last_batch:
            means = self._sums / max(self._samples, 1)
            self.log_dict(
                {"train/loss": means[0], "train/accuracy": means[1]}, on_step=False, on_epoch=True, batch_size=1
            )
            self._sums, self._samples = torch.zeros_like(self._sums), 0

    def configure_optimizers(self) -> "OptimizerLRSchedulerConfig":
        """The optimiser, and the schedule of its learning rate by step."""
        config, groups = self.config, self._parameter_groups()
        optimizer = config.optimizer.build(groups, config.lr, config.weight_decay)
        factor = partial(schedule_factor, config.schedule, steps=int(self.trainer.estimated_stepping_batches))
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """The backbone's parameters, then those of head and loss with their own settings; no empty group."""
        config = self.config
        own = {"lr": config.head_lr, "weight_decay": config.head_weight_decay}
        groups = [
            {"params": list(self.model[:-1].parameters())},
            {
                "params": [*self.head.parameters(), *self.loss.parameters()],
                **{name: value for name, value in own.items() if value is not None},
            },
        ]
        return [group for group in groups if group["params"]]
