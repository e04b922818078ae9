"""Fixed heads whose codes have a structure: logits by formula or fast transform, no weight stored or multiplied."""

import math
from abc import abstractmethod
from itertools import islice

import torch
from torch import Tensor

from .._errors import InputError
from .._types import Float, Int
from ..losses._log_odds import negatives_logsumexp
from ..losses._normalised import normalised
from ..losses._statistics import Negatives
from ._hadamard import code_cosines, code_lse, code_rows
from ._head import Head, at_least_float32, check_features

_TILE = 512  # rows of the weight made at once: their temporaries stay in cache


class StructuredHead(Head):
    r"""Base of fixed heads of known structure: logits $z_j = s \cos(w_j, x)$ with unit $w_j$ that are not stored.

    Losses of the sphere (`spherical_ce`, `NormFace`, `CosFace`, `ArcFace`, `SphereFace`) take such a head as it
    is, and find their sums over classes by its structure; every other loss reads `.weight`, which is made at each access.

    Attributes:
        scale: the scale, a scalar buffer.
    """

    scale: Tensor

    @property
    def weight(self) -> Float[Tensor, "K d"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The class directions, unit rows, K d numbers: made anew at each access, so take it once."""
        W = torch.empty(self.num_classes, self.dim, dtype=self.scale.dtype, device=self.scale.device)
        for part, labels in zip(
            W.split(_TILE), torch.arange(self.num_classes, device=W.device).split(_TILE), strict=True
        ):
            part.copy_(self.rows(labels, W.dtype))
        return W

    @abstractmethod
    def rows(self, labels: Int[Tensor, " n"], dtype: torch.dtype) -> Float[Tensor, "n d"]:
        """Class directions of `labels`, without the others."""

    @abstractmethod
    def cosines(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n K"]:
        """Inner products of features with all class directions."""

    @abstractmethod
    def negatives(self, x: Tensor, labels: Tensor, scale: Tensor) -> Negatives:
        """What losses of the sphere need of all classes, see `losses/_statistics.py`."""

    def logits(self, features: Tensor) -> Tensor:
        """Logits `(..., K)` in `[-s, s]` of features `(..., d)` of any length; a zero row has zero logits."""
        check_features(features, self.dim)
        x = normalised(at_least_float32(features).reshape(-1, self.dim))
        with torch.autocast(x.device.type, enabled=False):  # logits of s = 64 in bfloat16 are wrong by 0.25
            z = self.cosines(self.scale.to(x.dtype) * x)  # features are scaled, not the logits, the largest tensor here
        return z.reshape(*features.shape[:-1], self.num_classes)


class FixedSimplex(StructuredHead):
    r"""The simplex as a fixed head, in O(d) operations a sample: the target of neural collapse, from the start.

    With n = K - 1, in the first n coordinates,

    $$ w_k = \sqrt{1 + \tfrac1n}\, e_k - \frac{\sqrt{n+1} - 1}{n^{3/2}}\, \mathbf 1 \;(k < n), \qquad
       w_n = -\tfrac{1}{\sqrt n}\, \mathbf 1, $$

    so that a sample's logits need its coordinates and their sum. All cosines of two classes are -1/(K-1).

    Args:
        dim: d, the width of the features; coordinates from K - 1 on do not count.
        num_classes: K, from 2 to d + 1.
        scale: $s > 0$.

    Raises:
        InputError: when K is out of range or the scale not positive and finite.

    References:
        Zhu et al., arXiv 2105.02375: features collapse to a fixed simplex as they do to a learned one.

    Examples:
        >>> head = FixedSimplex(dim=3, num_classes=4)
        >>> W = head.weight
        >>> [round(c, 4) for c in (W @ W.T)[0].tolist()]
        [1.0, -0.3333, -0.3333, -0.3333]
    """

    def __init__(self, dim: int, num_classes: int, *, scale: float = 16.0) -> None:
        super().__init__(dim, num_classes, scale=scale)
        if not 2 <= num_classes <= dim + 1:
            raise InputError(f"expected num_classes from 2 to dim + 1 = {dim + 1} for a simplex, got {num_classes}")
        n = num_classes - 1
        self._height, self._shift = math.sqrt(1 + 1 / n), (math.sqrt(n + 1) - 1) / n**1.5

    def rows(self, labels: Int[Tensor, " n"], dtype: torch.dtype) -> Float[Tensor, "n d"]:
        """Class directions of `labels`, without the others."""
        n = self.num_classes - 1
        ordinary = (labels < n)[:, None]
        W = torch.zeros(len(labels), self.dim, dtype=dtype, device=labels.device)
        W[:, :n].fill_(-self._shift).masked_fill_(~ordinary, -(n**-0.5))
        return W.scatter_add_(1, labels[:, None].clamp(max=n - 1), self._height * ordinary.to(dtype))

    def cosines(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n K"]:
        """Inner products of features with all class directions."""
        n = self.num_classes - 1
        used = x[:, :n]
        total = used.sum(dim=1, keepdim=True)
        return torch.cat([self._height * used - self._shift * total, -(n**-0.5) * total], dim=1)

    def negatives(self, x: Tensor, labels: Tensor, scale: Tensor) -> Negatives:
        """What losses of the sphere need of all classes; any number of derivatives."""
        lse = negatives_logsumexp(scale * self.cosines(x), labels)
        return Negatives(self.rows(labels, x.dtype), lse, x.new_zeros(self.dim))  # a simplex is centred


class _SignedBases(StructuredHead):
    """A code of signed Hadamard bases, see `_hadamard.py`; `axes` says whether the axes are the first of them."""

    axes: bool
    signs: Tensor

    def rows(self, labels: Int[Tensor, " n"], dtype: torch.dtype) -> Float[Tensor, "n d"]:
        """Class directions of `labels`, without the others."""
        return code_rows(labels, self.signs, self.axes, dtype)

    def cosines(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n K"]:
        """Inner products of features with all class directions."""
        return code_cosines(x, self.signs, self.axes)[:, : self.num_classes]

    def negatives(self, x: Tensor, labels: Tensor, scale: Tensor) -> Negatives:
        """What losses of the sphere need of all classes, without (n, K) logits; one derivative."""
        lse = code_lse(x, self.signs, labels, scale, self.num_classes, self.axes)
        # Whole bases sum to zero with their opposites.
        whole = self.num_classes // (2 * self.dim) * 2 * self.dim
        rest = torch.arange(whole, self.num_classes, device=x.device)
        return Negatives(self.rows(labels, x.dtype), lse, self.rows(rest, x.dtype).sum(dim=0))


class FixedHadamard(_SignedBases):
    r"""The rows of a Hadamard matrix and their opposites as a fixed head, by a fast transform: $O(d^{3/2})$ a sample.

    A biorthogonal code, the cross-polytope: maximal cosine 0, the best there is for d + 2 <= K <= 2d. The first d classes are
    the rows of the Sylvester matrix over $\sqrt d$, the others their opposites: the points of `geometry.dual_bch(m, 1)`
    for $d = 2^m$, in that order.

    Args:
        dim: d, a power of two from 2 on.
        num_classes: K, up to 2d.
        scale: $s > 0$.

    Raises:
        InputError: when d or K is out of range or the scale not positive and finite.

    Examples:
        >>> import torch
        >>> head = FixedHadamard(dim=2, num_classes=4, scale=1.0)
        >>> head(torch.tensor([[1.0, 1.0]]))
        tensor([[ 1.0000,  0.0000, -1.0000, -0.0000]])
    """

    axes = False

    def __init__(self, dim: int, num_classes: int, *, scale: float = 16.0) -> None:
        super().__init__(dim, num_classes, scale=scale)
        if dim < 2 or dim.bit_count() != 1 or num_classes > 2 * dim:
            raise InputError(
                f"expected dim a power of two and num_classes up to 2 dim for a Hadamard code, "
                f"got dim={dim}, num_classes={num_classes}"
            )
        self.register_buffer("signs", torch.ones(1, dim), persistent=False)


class FixedKerdock(_SignedBases):
    r"""A Kerdock code as a fixed head: up to d(d+2) classes at cosines of at most $1/\sqrt d$, by fast transforms.

    The ± vectors of d/2 + 1 mutually unbiased bases: the axes, and $H D_t / \sqrt d$ with signs $D_t$ from a
    Kerdock set. No larger antipodal code has a smaller maximal cosine. The points of `geometry.kerdock(m, K)`, in that
    order; small K are best possible too. A fast transform takes $O(\sqrt d)$ operations a class, and the dense product d.

    Losses of the sphere hold no (n, K) logits with it, and no (K, d) weight exists: memory is O(n d).

    | d | largest K | cosine at most |
    | --- | --- | --- |
    | 16 | 288 | 1/4 |
    | 64 | 4224 | 1/8 |
    | 256 | 66048 | 1/16 |
    | 1024 | 1050624 | 1/32 |

    Args:
        dim: d, a power of four.
        num_classes: K, up to d(d+2).
        scale: $s > 0$.

    Raises:
        InputError: when d or K is out of range or the scale not positive and finite.

    References:
        Calderbank, Cameron, Kantor and Seidel 1997, "Z4-Kerdock codes, orthogonal spreads, and extremal Euclidean line-sets".

    Examples:
        >>> import torch
        >>> from neucollapse.losses import ArcFace
        >>> head = FixedKerdock(dim=64, num_classes=4224, scale=64.0)
        >>> labels = torch.tensor([5, 4223])
        >>> loss = ArcFace()(head.rows(labels, torch.float32), labels, head)  # features at their classes
        >>> print(f"{loss.item():.1e}")
        2.5e-18
    """

    axes = True

    def __init__(self, dim: int, num_classes: int, *, scale: float = 16.0) -> None:
        super().__init__(dim, num_classes, scale=scale)
        m = (dim.bit_length() - 1) // 2
        if m < 1 or dim != 4**m or num_classes > dim * (dim + 2):
            raise InputError(
                f"expected dim a power of four and num_classes up to dim (dim + 2) for a Kerdock code, "
                f"got dim={dim}, num_classes={num_classes}"
            )
        from ..geometry.constructions._binary import (
            _quadratic_signs,  # the room of geometry takes longer to load than this one
        )

        bases = -(-num_classes // (2 * dim)) - 1  # all that are needed but the axes
        signs = [torch.from_numpy(row).to(torch.get_default_dtype()) for row in islice(_quadratic_signs(m, 1), bases)]
        self.register_buffer("signs", torch.stack(signs) if signs else torch.empty(0, dim), persistent=False)
