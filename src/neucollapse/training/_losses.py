"""The loss of a config: one line a name."""

from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn

from .. import losses
from ..heads import Head
from .config import TrainConfig

_CENTRE_WEIGHT = 0.003  # lambda of the paper of the centre loss


def build_loss(config: TrainConfig, dim: int, num_classes: int) -> nn.Module:
    """The loss of a config, called as ``loss(features, labels, head)``."""
    return _BUILDERS[config.loss](config, dim, num_classes)


class _CrossEntropyAndCentre(nn.Module):
    """Cross-entropy plus a small multiple of the centre loss, as its paper trains it."""

    def __init__(self, num_classes: int, dim: int, beta: float | int) -> None:
        super().__init__()
        self.cross_entropy, self.centre, self.beta = losses.CrossEntropy(), losses.Centre(dim, num_classes), beta

    def forward(self, features: Tensor, labels: Tensor, head: Head) -> Tensor:
        centres = cast(Tensor, self.centre.weight).detach()
        drawn = self.cross_entropy(features, labels, head) + self.beta * losses.centre_loss(features, labels, centres)
        # Centres follow at their own rate, whatever the weight: a term of value zero moves them alone.
        following = self.centre(features.detach(), labels)
        return drawn + (following - following.detach())


class _WithoutHead(nn.Module):
    """HUG with proxies of its own: the head is there to be measured alone."""

    def __init__(self, loss: losses.HUG) -> None:
        super().__init__()
        self.hug = loss

    def forward(self, features: Tensor, labels: Tensor, head: Head) -> Tensor:  # noqa: ARG002
        return self.hug(features, labels)


def _plain(make: Callable[..., nn.Module], *names: str) -> Callable[[TrainConfig, int, int], nn.Module]:
    """A loss that the settings of these names are handed to, where they are given."""
    return lambda config, dim, num_classes: make(**_given(config, *names))  # noqa: ARG005


def _hug(config: TrainConfig, dim: int, num_classes: int) -> nn.Module:
    options = _given(config, "uniformity", "proxy", "alpha", "beta")
    if config.proxy in ("static", "partial"):
        return _WithoutHead(losses.HUG(dim, num_classes, **options))
    return losses.HUG(**options)


def _centre(config: TrainConfig, dim: int, num_classes: int) -> nn.Module:
    return _CrossEntropyAndCentre(num_classes, dim, _CENTRE_WEIGHT if config.beta is None else config.beta)


_BUILDERS: dict[str, Callable[[TrainConfig, int, int], nn.Module]] = {
    "cross-entropy": _plain(losses.CrossEntropy),
    "norm-face": _plain(losses.NormFace),
    "cos-face": _plain(losses.CosFace, "margin"),
    "arc-face": _plain(losses.ArcFace, "margin"),
    "sphere-face": _plain(losses.SphereFace, "margin"),
    "ada-face": _plain(losses.AdaFace, "margin"),
    "combined-face": _plain(losses.CombinedFace),
    "focal": _plain(losses.FocalLoss, "gamma"),
    "label-smoothing": _plain(losses.LabelSmoothing, "smoothing"),
    "log": _plain(losses.LogCrossEntropy),
    "mse": _plain(losses.MSE),
    "hug": _hug,
    "sup-con": _plain(losses.SupCon, "temperature"),
    "centre": _centre,
    "dot-regression": _plain(losses.DotRegression),
    "nonl": _plain(losses.NONL),
    "ntce": _plain(losses.NTCE),
    "hard-max": _plain(losses.HardMax),
}


def _given(config: TrainConfig, *names: str) -> dict[str, Any]:
    """Settings that are not None: the loss's own defaults stand for the others."""
    return {name: value for name in names if (value := getattr(config, name)) is not None}
