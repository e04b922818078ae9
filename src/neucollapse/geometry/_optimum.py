"""What is known of the best K points in d dimensions, and floors under distances to frames that do not fit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from .._types import Float
from ._rows import check_size

Status = Literal["proved", "record", "found", "bound"]


@dataclass(frozen=True)
class Optimum:
    """What is known of the best K unit vectors in d dimensions.

    Attributes:
        K: number of points (classes).
        d: dimension.
        margin: the largest margin rho, the smallest one-vs-rest distance of a code (the softmax code of arXiv 2310.05351).
        max_cosine: the smallest maximal cosine s (the spherical code or Tammes problem); rho >= 1 - s for every code.
        status: of the margin. ``"proved"``: no code does better. ``"record"``: the best on public record,
            which another code might beat. ``"found"``: where a search of ours ended, or what a larger code or a construction
            gives: others may know better. ``"bound"``: no code does better, and none this good is known.
        max_cosine_status: the same of the maximal cosine.
        source: where the numbers come from, a sentence.
        family: whether codes of different shape reach the optimum, so that distance to ``points`` says nothing.
        build: makes ``points``; None where no coordinates are at hand.
    """

    K: int
    d: int
    margin: float
    max_cosine: float
    status: Status
    max_cosine_status: Status
    source: str
    family: bool = False
    build: Callable[[], Tensor] | None = field(default=None, compare=False)

    @property
    def points(self) -> Float[Tensor, "K d"] | None:
        """Unit rows that reach these values, made anew at each use; None where no coordinates are at hand."""
        return None if self.build is None else self.build()


def etf_floor(K: int, d: int) -> float:
    r"""The smallest distance any K points in d dimensions can have from the simplex ETF Gram matrix.

    With the K x K Gram matrix G of rank at most d, scaled to unit Frobenius norm, and :math:`E = (I - 11^T/K) /
    \sqrt{K-1}`, the distance :math:`\|G - E\|_F` is at least

    .. math:: \sqrt{2 - 2\sqrt{d/(K-1)}} \quad (K > d+1), \qquad 0 \text{ otherwise,}

    as :math:`\langle G, E\rangle` is at most the root of the sum of squares of the d largest eigenvalues of E, and all
    K-1 of them are :math:`1/\sqrt{K-1}`. It is reached by points whose Gram matrix is a projection of rank d orthogonal to 1.

    Raises:
        InputError: if K < 2 or d < 1.

    Example:
        >>> round(etf_floor(8, 2), 4), etf_floor(10, 9)
        (0.9649, 0.0)
    """
    check_size(K, d)
    return _projection_floor(d, K - 1)


def orthogonal_frame_floor(K: int, d: int) -> float:
    r"""The smallest distance any K points in d dimensions can have from the orthogonal frame :math:`I/\sqrt K`.

    :math:`\sqrt{2 - 2\sqrt{d/K}}` for K > d, else 0: see ``etf_floor``, with K in place of K-1.

    Raises:
        InputError: if K < 2 or d < 1.

    Example:
        >>> round(orthogonal_frame_floor(8, 2), 4), orthogonal_frame_floor(8, 8)
        (1.0, 0.0)
    """
    check_size(K, d)
    return _projection_floor(d, K)


def _projection_floor(d: int, rank: int) -> float:
    return (2 - 2 * (d / rank) ** 0.5) ** 0.5 if d < rank else 0.0
