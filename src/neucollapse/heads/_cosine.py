"""The cosine head: only directions count, and a scale sharpens them."""

import math

import torch
from torch import Tensor, nn

from .._errors import InputError
from ..losses._margins import AdaMargin as AdaMargin
from ..losses._margins import ArcMargin as ArcMargin
from ..losses._margins import CombinedMargin as CombinedMargin
from ..losses._margins import CosMargin as CosMargin
from ..losses._margins import Margin
from ..losses._margins import SphereMargin as SphereMargin
from ..losses._stepped_weight import StepsInBackward
from ._head import Head, check_scale, full_precision_cosine_logits


class Cosine(StepsInBackward, Head):
    r"""Logits $z_j = s \cos(w_j, x)$, with scale $s$ the inverse temperature.

    The head of generalized neural collapse (arXiv 2310.05351): for any K and d, its features and weights tend to a
    softmax code. A small temperature (large scale) is the goal but a bad start: gradients vanish before the classes
    have spread. So the scale may be learned, or annealed from a smaller one.

    Args:
        dim: d, the width of the features.
        num_classes: K.
        scale: $s > 0$, its starting value when learned, its last when annealed.
        learn_scale: train $\log s$, so that the scale stays positive.
        scale_start: where `anneal` begins, and the scale until it is called; None for a scale that is not annealed.
        margin: one of the margins of `neucollapse.losses`, for the losses of the sphere that are made without a margin:
            `NormFace()(features, labels, head)` subtracts it. Logits never contain it, nor do losses of logits.

    Attributes:
        weight: the raw parameter `(K, d)`; its rows are normalised inside, so that only their directions count.
        scale: the current scale, a scalar tensor.

    Raises:
        InputError: when a scale is not positive and finite, or is to be learned and annealed at once.

    Examples:
        >>> import torch
        >>> head = Cosine(dim=2, num_classes=2, scale=10.0)
        >>> _ = head.weight.data.copy_(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
        >>> head.logits(torch.tensor([[3.0, 4.0]])).detach()
        tensor([[6., 8.]])
    """

    log_scale: Tensor
    fixed_scale: Tensor

    def __init__(
        self,
        dim: int,
        num_classes: int,
        *,
        scale: float | int = 16.0,
        learn_scale: bool = False,
        scale_start: float | int | None = None,
        margin: Margin | None = None,
    ) -> None:
        super().__init__(dim, num_classes)
        check_scale(scale)
        if scale_start is not None:
            check_scale(scale_start, name="scale_start")
            if learn_scale:
                raise InputError("expected a scale that is learned or annealed, got learn_scale and scale_start")
        self.learn_scale = learn_scale
        self.scale_start, self.scale_end = scale_start, scale
        self.margin = margin
        # Directions uniform on the sphere, of norm about 1.
        self.weight = nn.Parameter(torch.randn(num_classes, dim) * dim**-0.5)
        if learn_scale:
            self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        else:
            self.register_buffer("fixed_scale", torch.tensor(float(scale if scale_start is None else scale_start)))

    @property
    def scale(self) -> Tensor:
        """The current scale, a scalar tensor."""
        return self.log_scale.exp() if self.learn_scale else self.fixed_scale

    def anneal(self, progress: float | int) -> None:
        r"""Set the scale to $s_0^{1-p} s^p$: geometric in p, and a function of p alone, so that a resumed run agrees.

        Args:
            progress: p, 0 for `scale_start`, 1 for `scale`.

        Raises:
            InputError: when p is outside [0, 1], or the head was made without `scale_start`.

        Examples:
            >>> head = Cosine(dim=2, num_classes=3, scale=64.0, scale_start=4.0)
            >>> head.anneal(0.5)
            >>> head.scale
            tensor(16.)
        """
        if self.scale_start is None:
            raise InputError("expected a head made with scale_start to anneal, got one whose scale has no start")
        if not 0 <= progress <= 1:
            raise InputError(f"expected progress from 0 to 1, got {progress}")
        self.fixed_scale.fill_(self.scale_start ** (1 - progress) * self.scale_end**progress)

    def logits(self, features: Tensor) -> Tensor:
        """Logits `(..., K)` in `[-s, s]` of features `(..., d)` of any length."""
        return full_precision_cosine_logits(features, self.weight, self.scale)

    def extra_repr(self) -> str:
        """Sizes, scale and margin, for `repr`."""
        learned = ", learned" if self.learn_scale else ""
        if self.scale_start is not None:
            learned = f", annealed from {self.scale_start:.4g} to {self.scale_end:.4g}"
        margin = "" if self.margin is None else f", margin={self.margin}"
        return f"{super().extra_repr()}{learned}{margin}"
