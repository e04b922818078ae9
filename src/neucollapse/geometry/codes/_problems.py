"""What to ask of K points on the sphere: five problems of the literature, each with one number to make best.

They share the simplex for K <= d+1 and differ beyond. `solve` takes any of them.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from .._rows import check_size
from ..frames import coherence, max_cosine, mean_energy, unit_rows
from ..frames._energy import check_exponent
from ..hull import one_vs_rest

Kind = Literal["spherical", "softmax", "grassmannian", "energy", "determinant"]


@dataclass(frozen=True)
class Problem(ABC):
    """K unit vectors in d dimensions with the best value of something.

    Attributes:
        K: number of points, at least 2.
        d: dimension.
        kind: short name, as the command line takes it.
        symbol: the formula that is optimised.
        maximise: whether large values are good.
        made_of: `"lines"` where the absolute cosine counts, else `"code"`, as in the atlas and the catalogue.
    """

    K: int
    d: int
    kind: ClassVar[Kind]
    symbol: ClassVar[str]
    maximise: ClassVar[bool] = False
    made_of: ClassVar[Literal["code", "lines"]] = "code"

    def __post_init__(self) -> None:
        check_size(self.K, self.d)

    @abstractmethod
    def value(self, points: Any) -> float:
        """What is optimised, for the directions of the rows (K, d) of a code."""

    def better(self, first: float, second: float) -> bool:
        """Whether the first value beats the second."""
        return first > second if self.maximise else first < second


@dataclass(frozen=True)
class SphericalCode(Problem):
    r"""The Tammes problem: the smallest maximal cosine, $\min_W \max_{i \ne j} \langle w_i, w_j \rangle$.

    Examples:
        >>> from neucollapse.geometry import simplex
        >>> round(SphericalCode(4, 3).value(simplex(4)), 12)
        -0.333333333333
    """

    kind: ClassVar[Kind] = "spherical"
    symbol: ClassVar[str] = "max_{i≠j} ⟨w_i, w_j⟩"

    def value(self, points: Any) -> float:
        """The largest cosine."""
        return max_cosine(points)


@dataclass(frozen=True)
class SoftmaxCode(Problem):
    r"""The softmax code of Jiang et al. (arXiv 2310.05351): the largest one-vs-rest margin.

    $$\max_W \min_k \operatorname{dist}(w_k, \operatorname{conv}\{w_j\}_{j \ne k})$$

    It is also what HardMax asks of (W, H): for given W `best_features` reach `hard_max(W, H)` = the margin.

    Examples:
        >>> from neucollapse.geometry import orthoplex
        >>> round(SoftmaxCode(6, 3).value(orthoplex(6, 3)), 12)
        1.0
    """

    kind: ClassVar[Kind] = "softmax"
    symbol: ClassVar[str] = "min_k dist(w_k, conv{w_j: j≠k})"
    maximise: ClassVar[bool] = True

    def value(self, points: Any) -> float:
        """The one-vs-rest margin."""
        return one_vs_rest(unit_rows(points)).margin


@dataclass(frozen=True)
class GrassmannianFrame(Problem):
    r"""Lines as far apart as possible: the smallest coherence $\min_W \max_{i \ne j} |\langle w_i, w_j \rangle|$.

    Absolute values make it another problem than neural collapse: for K <= d its optimum is an orthonormal set.

    Examples:
        >>> from neucollapse.geometry import orthoplex
        >>> round(GrassmannianFrame(3, 3).value(torch.eye(3)), 12) == 0
        True
    """

    kind: ClassVar[Kind] = "grassmannian"
    symbol: ClassVar[str] = "max_{i≠j} |⟨w_i, w_j⟩|"
    made_of: ClassVar[Literal["code", "lines"]] = "lines"

    def value(self, points: Any) -> float:
        """The coherence."""
        return coherence(points)


@dataclass(frozen=True)
class MinimumEnergy(Problem):
    r"""Hyperspherical uniformity (arXiv 2303.06484): the least mean Riesz energy `mean_energy(W, s)`; s = 0 is log.

    Examples:
        >>> from neucollapse.geometry import simplex
        >>> round(MinimumEnergy(3, 2, s=2).value(simplex(3)), 12)
        0.333333333333
    """

    s: float | int = 1.0
    kind: ClassVar[Kind] = "energy"
    symbol: ClassVar[str] = "mean_{i<j} ‖w_i - w_j‖⁻ˢ"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_exponent(self.s)

    def value(self, points: Any) -> float:
        """The mean Riesz energy."""
        return mean_energy(points, self.s)


@dataclass(frozen=True)
class MaximumGramDeterminant(Problem):
    r"""The largest mean log-eigenvalue of the centred Gram matrix (the MGD of arXiv 2303.06484).

    $$\max_W \frac1r \sum_{i \le r} \log \lambda_i(\bar W \bar W^\top), \quad r = \min(K - 1, d)$$

    At most $\log(K/r)$, reached by the simplex and, beyond, by every unit-norm tight frame of zero sum: it does not
    ask for points to be far apart.

    Examples:
        >>> from neucollapse.geometry import simplex
        >>> from math import log
        >>> abs(MaximumGramDeterminant(4, 3).value(simplex(4)) - log(4 / 3)) < 1e-12
        True
    """

    kind: ClassVar[Kind] = "determinant"
    symbol: ClassVar[str] = "mean log λ_i of the centred Gram matrix"
    maximise: ClassVar[bool] = True

    def value(self, points: Any) -> float:
        """The mean log-eigenvalue of the centred Gram matrix."""
        rows = unit_rows(points)
        s = torch.linalg.svdvals(rows - rows.mean(dim=0))[: min(self.K - 1, self.d)]
        return float(2 * s.log().mean())


PROBLEMS: dict[str, type[Problem]] = {
    problem.kind: problem
    for problem in (SoftmaxCode, SphericalCode, GrassmannianFrame, MinimumEnergy, MaximumGramDeterminant)
}
