"""Sub-centres: several centres a class, so that noise and rare views gather at centres that are theirs."""

import torch
from torch import Tensor, nn

from .._errors import InputError
from .._types import Float
from ..losses._log_odds import negatives_logsumexp
from ..losses._normalised import normalised
from ..losses._rows import CountedRows, Labels
from ..losses._statistics import Negatives
from ._head import Head, at_least_float32, check_features, full_precision_cosine_logits, sum_over_ranks

_MEMORY = 0.99  # of a class's usage, kept at each batch with samples of it


class SubCentre(Head):
    r"""Logits $z_k = s \max_c \cos(w_{kc}, x)$ with C centres a class.

    A sample only has to be near one centre of its class. In noisy data one centre of a class becomes dominant, and hard and
    mislabelled samples gather at the others. `.weight` are the dominant centres: what is measured, and what stays when
    the others are dropped, as the paper does before it trains on.

    Which centre is dominant, `update` counts, called by the training loop before the loss; counts of earlier
    batches fade. Without it, it is the first. Losses of logits and losses of the sphere (`CrossEntropy`, `ArcFace`) see
    all centres, other losses that take `head.weight` (`HUG`, `Centre`) the dominant ones alone.

    `ArcFace()(features, labels, head)` is sub-centre ArcFace: the margin is on the angle to the nearest centre of the
    label. It forms all (n, K C) cosines.

    Args:
        dim: d, the width of the features.
        num_classes: K.
        centres: C.
        scale: $s$, the inverse temperature.

    Attributes:
        centres: the parameter (K, C, d), of which directions count.
        weight: (K, d), the dominant centre of each class, differentiable.
        usage: a buffer (K, C): how often a centre was the nearest of its class to one of its samples, fading; in float32
            also where the model is narrower.
        scale: a buffer, a scalar tensor.

    Raises:
        InputError: when there is not at least one centre, or the scale is not positive.

    References:
        Deng et al., "Sub-center ArcFace: Boosting Face Recognition by Large-Scale Noisy Web Faces", ECCV 2020.

    Examples:
        >>> import torch
        >>> head = SubCentre(dim=2, num_classes=1, centres=2, scale=10.0)
        >>> _ = head.centres.data.copy_(torch.eye(2))
        >>> head.update(torch.tensor([[0.1, 3.0]]), torch.tensor([0]))
        >>> head.logits(torch.tensor([[4.0, 3.0]])).detach(), head.weight.detach()
        (tensor([[8.]]), tensor([[0., 1.]]))
    """

    scale: Tensor
    usage: Tensor
    full_precision = ("usage",)  # counts of a hundred batches: too many for half precision

    def __init__(self, dim: int, num_classes: int, *, centres: int = 3, scale: float | int = 16.0) -> None:
        super().__init__(dim, num_classes, scale=scale)
        if centres < 1:
            raise InputError(f"expected at least 1 centre a class, got {centres}")
        self.centres = nn.Parameter(torch.randn(num_classes, centres, dim) * dim**-0.5)
        self.register_buffer("usage", torch.zeros(num_classes, centres))

    @property
    def weight(self) -> Float[Tensor, "K d"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The dominant centre of each class (K, d)."""
        dominant = self.usage.argmax(dim=1)
        return self.centres[torch.arange(self.num_classes, device=dominant.device), dominant]

    def logits(self, features: Tensor) -> Tensor:
        """Logits `(..., K)` in `[-s, s]` of features `(..., d)` of any length."""
        each = full_precision_cosine_logits(features, self.centres.flatten(0, 1), self.scale)
        # One centre takes the gradient, not all that are as near: coincident centres can part.
        return each.unflatten(-1, self.centres.shape[:2]).max(dim=-1).values

    def negatives(self, x: Tensor, labels: Tensor, scale: Tensor) -> Negatives:
        """What losses of the sphere need of all classes, see `losses/_statistics.py`; any number of derivatives."""
        centres = self.centres.to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            each = (x @ normalised(centres.flatten(0, 1)).mT).unflatten(1, centres.shape[:2])
        cosines, nearest = each.max(dim=2)
        own = nearest.gather(1, labels[:, None]).squeeze(1)
        # The sum over classes of their cosines, as an inner product with x, which is all that it is used for.
        total = cosines.sum(dim=1, keepdim=True) * x
        return Negatives(centres[labels, own], negatives_logsumexp(scale * cosines, labels), total)

    @torch.no_grad()
    def update(self, features: Tensor, labels: Labels, ignore_index: int = -100) -> None:
        """Count which centre is the nearest to each sample of its class, over all ranks.

        Args:
            features: `(..., d)`, of any length.
            labels: `(...)`, of any integer type, in `[0, K)` or `ignore_index`.
            ignore_index: label of samples that do not count.
        """
        check_features(features, self.dim)
        rows = CountedRows(features, labels, self.num_classes, {"ignore_index": ignore_index}, coupled=True)
        x, y = rows.take(features), rows.labels
        own = normalised(at_least_float32(self.centres)[y])
        nearest = (own * x[:, None, :]).sum(dim=-1).argmax(dim=1)
        counts = torch.zeros_like(self.usage, dtype=torch.float32)
        counts = sum_over_ranks(counts.index_put_((y, nearest), counts.new_ones(()), accumulate=True))
        present = counts.sum(dim=1, keepdim=True) > 0
        self.usage.copy_((_MEMORY * self.usage + counts).where(present, self.usage))

    def linear_map(self) -> tuple[Tensor, Tensor | None]:
        """The scale times all centres (K C, d), those of a class one after another."""
        return self.scale * normalised(at_least_float32(self.centres).flatten(0, 1)), None

    def to_linear(self) -> nn.Linear:
        """The dominant centres as a plain `nn.Linear`: the head without its other centres, so its logits are not the same."""
        return self._as_linear(self.scale * self.class_directions, None)

    def extra_repr(self) -> str:
        """Sizes, scale and centres, for `repr`."""
        return f"{super().extra_repr()}, centres={self.centres.shape[1]}"
