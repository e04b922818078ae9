r"""Margins: what a loss subtracts from the target before it compares it with the other classes.

A margin replaces the target cosine $c = \cos\theta_y$ by $\psi(c) \le c$; nothing else of the loss changes,
so a margin costs B numbers, not B x K. Each is a small frozen object with
`target(cos_y, norms=None, margin_grad="exact", sin_y=None)`:

- `norms` are the lengths of the features, for margins that depend on the quality of a sample;
- `margin_grad="exact"` differentiates $\psi$; `"detached"` takes $\psi - c$ as a constant, as the
  official codes of ArcFace and SphereFace-R train (characteristic gradient detachment, arXiv 2109.05565);
- `sin_y` is $\sin\theta_y$ where it is known better than from the cosine, which near 1 has lost half of its
  digits. `sine` finds it from the two points.

No angle is taken by `acos`, whose derivative at 1 is not finite.

Examples:
    >>> import torch
    >>> ArcMargin(0.5).target(torch.tensor([0.5, 0.0]))  # cos(60 degrees + 0.5), cos(90 degrees + 0.5)
    tensor([ 0.0236, -0.4794])
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor

from .._errors import InputError
from .._types import Float


def sine(x: Float[Tensor, "n d"], w: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    r"""$\sin\theta = |x - w|\,|x + w| / 2$ of unit rows, to rounding of the points at every angle.

    Its gradient at $\theta = 0$, where it has none, is zero. A row of zeros has no direction: its cosine counts as 0,
    and its sine, without a gradient, as 1.
    """
    none = ((x == 0).all(dim=1) | (w == 0).all(dim=1)).detach()
    return (torch.linalg.vector_norm(x - w, dim=1) * torch.linalg.vector_norm(x + w, dim=1) / 2).where(~none, 1)


def _sine_of_cosine(c: Tensor) -> Tensor:
    """From a cosine alone, with a floor: rounding may put it above 1, and at 1 the root has no finite derivative."""
    square = (1 - c) * (1 + c)
    return square.where(square > 0, 0).clamp_min(torch.finfo(c.dtype).eps).sqrt()


def _shifted(c: Tensor, sin: Tensor, shift: float | Tensor) -> Tensor:
    r"""$\cos(\theta + a)$, 1 where the angle is below 0, and falling on with slope 1 in c where it is above pi.

    Continuous; the same a for all samples, or one for each.
    """
    a = torch.as_tensor(shift, dtype=c.dtype, device=c.device)
    # theta + a > pi: cos(theta) < -cos(a) for a > 0; theta + a < 0: cos(theta) > cos(a) for a < 0.
    beyond, before = (a > 0) & (c < -a.cos()), (a < 0) & (c > a.cos())
    inside = c * a.cos() - sin * a.sin()
    return inside.where(~beyond, c - 2 * (a / 2).sin().square()).where(~before, 1)


def norm_statistics(norms: Float[Tensor, " n"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean and standard deviation, by n - 1, of lengths of which NaN do not count; the deviation of one is 0."""
    mean = norms.nanmean()
    count = (~norms.isnan()).sum()
    return mean, ((norms - mean).square().nansum() / (count - 1).clamp_min(1)).sqrt()


class _Target(NamedTuple):
    cos: Tensor
    sin: Tensor
    norms: Tensor | None


class Margin(ABC):
    r"""Base of every margin; a subclass gives the formula, $\psi$ of a target's cosine, sine and norms."""

    _none: ClassVar[dict[str, float]] = {"m": 0.0}  # its sizes where it changes nothing

    @abstractmethod
    def _psi(self, at: _Target) -> Tensor: ...

    def target(
        self,
        cos_y: Float[Tensor, " n"],
        norms: Float[Tensor, " n"] | None = None,
        margin_grad: str = "exact",
        sin_y: Float[Tensor, " n"] | None = None,
    ) -> Float[Tensor, " n"]:
        r"""The target $\psi(\cos_y)$ of each sample; see the module for the arguments.

        Raises:
            InputError: for another `margin_grad` than `"exact"` and `"detached"`.
        """
        if margin_grad not in ("exact", "detached"):
            raise InputError(f"expected margin_grad 'exact' or 'detached', got {margin_grad!r}")
        detached = margin_grad == "detached"
        with torch.set_grad_enabled(torch.is_grad_enabled() and not detached):
            psi = self._psi(_Target(cos_y, _sine_of_cosine(cos_y) if sin_y is None else sin_y, norms))
            correction = psi - cos_y
        return cos_y + correction if detached else psi

    def grown(self, progress: float) -> "Margin":
        """The margin at a part of its size, from 0, no margin, to 1, the margin itself.

        Examples:
            >>> ArcMargin(0.5).grown(0.5), SphereMargin(2.0).grown(0.5)
            (ArcMargin(m=0.25), SphereMargin(m=1.5, version='v1'))
        """
        sizes = {name: none + progress * (getattr(self, name) - none) for name, none in self._none.items()}
        return replace(cast(Any, self), **sizes)


def _check(margin: float, least: float, most: float, what: str) -> None:
    if not least <= margin <= most:
        raise InputError(f"expected {what} from {least:g} to {most:g}, got {margin}")


@dataclass(frozen=True)
class CosMargin(Margin):
    r"""CosFace: $\psi = \cos\theta - m$ (arXiv 1801.09414, equation 4; AM-softmax, arXiv 1801.05599).

    The two `margin_grad` agree: the margin is a constant.

    Examples:
        >>> import torch
        >>> CosMargin(0.35).target(torch.tensor([1.0]))
        tensor([0.6500])
    """

    m: float = 0.35

    def __post_init__(self) -> None:
        _check(self.m, 0.0, 2.0, "a cosine margin")

    def _psi(self, at: _Target) -> Tensor:
        return at.cos - self.m


@dataclass(frozen=True)
class ArcMargin(Margin):
    r"""ArcFace: $\psi = \cos(\theta + m)$, m in radians (arXiv 1801.07698, equation 3).

    Past $\theta = \pi - m$, where the cosine would rise again, $\psi = \cos\theta - (1 - \cos m)$, which
    falls on and meets the formula without a jump. (The official code has $\cos\theta - m \sin m$ there.)

    At $\theta = 0$ the slope in the cosine is infinite, the slope in the angle $-\sin m$: pass `sin_y`, as
    `spherical_ce` does, and gradients in the points are exact however small the angle is.
    """

    m: float = 0.5

    def __post_init__(self) -> None:
        _check(self.m, 0.0, math.pi, "an angle")

    def _psi(self, at: _Target) -> Tensor:
        return _shifted(at.cos, at.sin, self.m)


@dataclass(frozen=True)
class SphereMargin(Margin):
    r"""SphereFace: the target angle times m >= 1, in the two versions that act on the target alone.

    - `"v1"` (SphereFace-R, arXiv 2109.05565): $\psi = \cos(\min(m\theta, \pi))$. Flat, without an exact gradient,
      past $\pi / m$; the paper trains it detached.
    - `"v0"` (SphereFace, arXiv 1704.08063): $\psi = (-1)^k \cos(m\theta) - 2k$ with
      $k = \lfloor m\theta / \pi \rfloor$, which falls all the way.

    Version v2 of SphereFace-R divides the angles of the wrong classes by m instead, so it is no margin on the target.

    Examples:
        >>> import torch
        >>> SphereMargin(2.0).target(torch.tensor([1.0, 0.5, -0.5]))
        tensor([ 1.0000, -0.5000, -1.0000])
    """

    m: float = 1.5
    version: str = "v1"
    _none = {"m": 1.0}  # noqa: RUF012

    def __post_init__(self) -> None:
        _check(self.m, 1.0, 16.0, "a factor")
        if self.version not in ("v0", "v1"):
            raise InputError(f"expected version 'v0' or 'v1', got {self.version!r}")

    def _psi(self, at: _Target) -> Tensor:
        angle = self.m * torch.atan2(at.sin, at.cos)
        if self.version == "v1":
            return angle.clamp_max(math.pi).cos()
        k = (angle.detach() / math.pi).floor()
        return (1 - 2 * k.remainder(2)) * angle.cos() - 2 * k


@dataclass(frozen=True)
class CombinedMargin(Margin):
    r"""ArcFace's combined form: $\psi = \cos(m_1 \theta + m_2) - m_3$ (arXiv 1801.07698, equation 4).

    (1, 0, m) is CosFace, (1, m, 0) ArcFace, (m, 0, 0) SphereFace up to $\theta = \pi / m$. Where the angle
    $m_1 \theta + m_2$ is beyond $\pi$ and the cosine would rise again, $\psi$ falls on with slope 1 in
    $\cos\theta$ and meets the formula without a jump, as in `ArcMargin`. (The official code rises again.)

    Examples:
        >>> import torch
        >>> CombinedMargin(1.0, 0.0, 0.35).target(torch.tensor([1.0]))
        tensor([0.6500])
    """

    m1: float = 1.0
    m2: float = 0.3
    m3: float = 0.2
    _none = {"m1": 1.0, "m2": 0.0, "m3": 0.0}  # noqa: RUF012

    def __post_init__(self) -> None:
        _check(self.m1, 0.1, 16.0, "a factor m1")
        _check(self.m2, 0.0, math.pi, "an angle m2")
        _check(self.m3, 0.0, 2.0, "a cosine margin m3")

    def _psi(self, at: _Target) -> Tensor:
        if self.m1 == 1:
            return _shifted(at.cos, at.sin, self.m2) - self.m3
        angle = self.m1 * torch.atan2(at.sin, at.cos) + self.m2
        edge = math.cos((math.pi - self.m2) / self.m1) if self.m1 * math.pi + self.m2 > math.pi else -1.0
        inside = angle.clamp_max(math.pi).cos()
        return inside.where(angle <= math.pi, at.cos - edge - 1) - self.m3


@dataclass(frozen=True)
class AdaMargin(Margin):
    r"""AdaFace: sharp samples get a margin on the cosine, blurred ones on the angle (arXiv 2204.00964, equation 11).

    $$ \psi = \cos(\theta + g) - (m + m \hat z), \qquad g = -m \hat z, \qquad
       \hat z = \mathrm{clip}\left(h \frac{|x| - \mu}{\sigma}, -1, 1\right) $$

    The quality $\hat z$ of a sample is the length of its feature, without gradient, against the mean and standard
    deviation of lengths: those of the batch (where NaN stands for a sample that does not count), or `norm_mean` and
    `norm_std`, such as running averages, which the paper uses and the module `AdaFace` keeps. As in the official code,
    1e-3 is added to $\sigma$. Angles below 0 count as 0, as there; above $\pi$ the formula goes on as in
    `ArcMargin`.
    """

    m: float = 0.4
    h: float = 0.333
    norm_mean: float | Tensor | None = None
    norm_std: float | Tensor | None = None

    def __post_init__(self) -> None:
        _check(self.m, 0.0, math.pi / 2, "an angle")
        if (self.norm_mean is None) != (self.norm_std is None):
            raise InputError("expected norm_mean and norm_std together, or neither, got one of them")

    def _psi(self, at: _Target) -> Tensor:
        if at.norms is None:
            raise InputError("the AdaFace margin expected the norms of the features, got None")
        size = at.norms.detach()
        mean, std = self.norm_mean, self.norm_std
        if mean is None or std is None:
            mean, std = norm_statistics(size)
        # The official code's 1e-3: samples of one length, or a single one, count as average, and so does a NaN.
        quality = (self.h * (size - mean) / (std + 1e-3)).clamp(-1, 1).nan_to_num(0)
        return _shifted(at.cos, at.sin, -self.m * quality) - (self.m + self.m * quality)
