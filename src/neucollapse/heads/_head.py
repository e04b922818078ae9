"""The contract of a head."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, distributed, nn

from .._errors import InputError
from .._names import NamesOptions
from .._types import Float
from ..losses._full_precision import KeepsFullPrecision
from ..losses._normalised import normalised
from ..losses._rows import Labels
from ..losses._rows import at_least_float32 as at_least_float32
from ..losses._scale import check_scale as check_scale
from ..losses._spherical import cosine_logits


class Head(NamesOptions, KeepsFullPrecision, ABC):
    """Base of every head: `.logits(features)`, `.weight` `(K, d)`, and forward = logits.

    Everything that a head knows is a parameter or a buffer: it saves, loads and moves as any module. Features may be of
    any length, and of half precision, under autocast or not.

    Args:
        dim: d, the width of the features.
        num_classes: K, the number of classes.
        scale: $s$, the inverse temperature of cosines, kept as a buffer; None where a head has none, or keeps it otherwise.

    Attributes:
        weight: `(K, d)`, one row a class.
        normalize: whether features are brought to unit length inside.
        full_precision: names of buffers that stay in float32 where the module is made narrower: sums that would stand still.

    Raises:
        InputError: when a size is not a positive integer, or the scale not positive.
    """

    weight: Tensor
    normalize: bool = True

    def __init__(self, dim: int, num_classes: int, *, scale: float | int | None = None) -> None:
        super().__init__()
        if dim < 1 or num_classes < 1:
            raise InputError(f"expected dim and num_classes of at least 1, got dim={dim}, num_classes={num_classes}")
        self.dim = dim
        self.num_classes = num_classes
        if scale is not None:
            check_scale(scale)
            self.register_buffer("scale", torch.tensor(float(scale)))

    @abstractmethod
    def logits(self, features: Tensor) -> Tensor:
        """Logits `(..., K)` of features `(..., d)`."""

    def forward(self, features: Tensor) -> Tensor:
        """The logits."""
        return self.logits(features)

    @property
    def class_directions(self) -> Float[Tensor, "K d"]:
        """Unit rows of the weight `(K, d)`, differentiable where the weight is; a zero row stays zero. At least float32."""
        return normalised(at_least_float32(self.weight))

    def linear_map(self) -> tuple[Tensor, Tensor | None]:
        """Rows `(R, d)` and bias `(R,)` of the logits as a linear map, R = K C: a logit is the largest of C in a row.

        Of the unit features where the head normalises them. C = 1 but for sub-centres. Here: the scale, where there is
        one, times the class directions.
        """
        return getattr(self, "scale", 1.0) * self.class_directions, None

    def to_linear(self) -> nn.Linear:
        """A copy of this head as a plain `nn.Linear`, with the scale folded in and no link to the head.

        Its logits are those of the head; of a head that normalises features they are so on unit features, and on others they
        are multiplied with the features' length, which changes no decision.
        """
        return self._as_linear(*self.linear_map())

    def _as_linear(self, rows: Tensor, bias: Tensor | None) -> nn.Linear:
        linear = nn.Linear(self.dim, self.num_classes, bias=bias is not None, device="meta")  # draws no random numbers
        linear.weight = nn.Parameter(rows.detach().clone())
        if bias is not None:
            linear.bias = nn.Parameter(bias.detach().clone())
        return linear

    def extra_repr(self) -> str:
        """Sizes and scale, for `repr`."""
        scale = getattr(self, "scale", None)
        size = f"dim={self.dim}, num_classes={self.num_classes}"
        return size if scale is None else f"{size}, scale={scale.item():.4g}"

    def update(self, features: Tensor, labels: Labels, ignore_index: int = -100) -> None:
        """What a head learns without a gradient, once a training batch, before the loss. Here: nothing.

        It is no part of forward, which has no labels, and which evaluation and losses call any number of times.
        """


def check_features(features: Tensor, dim: int) -> None:
    """Refuse features that are not floating or not `(..., d)`."""
    if not features.is_floating_point() or features.shape[-1:] != (dim,):
        raise InputError(f"expected floating features (..., {dim}), got {features.dtype} of {tuple(features.shape)}")


def full_precision_cosine_logits(features: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """`cosine_logits` in float32 at least, under autocast too: at s = 64, bfloat16 is wrong by 0.25 in a logit."""
    x, W = at_least_float32(features), at_least_float32(weight)
    dtype = torch.promote_types(x.dtype, W.dtype)
    with torch.autocast(features.device.type, enabled=False):
        return cosine_logits(x.to(dtype), W.to(dtype), scale.to(dtype))


def sum_over_ranks(x: Tensor) -> Tensor:
    """The sum of `x` over all ranks, in place; `x` itself without an initialised process group."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(x)
    return x
