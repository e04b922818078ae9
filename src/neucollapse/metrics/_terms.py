"""The terms metrics are computed from: class statistics and classifier, checked and reduced to the classes present."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from .._errors import InputError
from ..geometry import Optimum, best_known
from ..statistics import ClassStatistics
from ._linear_algebra import finite, spectrum
from ._metric import Absent
from ._pairs import PairSums, pair_sums
from .decisions import Decisions

if TYPE_CHECKING:
    from .cdnv import CDNV
    from .mse import Decomposition

T = TypeVar("T")


@dataclass
class Terms:
    """Everything a metric may ask for. Rows are the K' classes that have samples; float64 on the CPU.

    Attributes:
        stats: statistics of the features.
        normalized: statistics of the unit-norm features, or None.
        full_weight: classifier rows (K, d), or None; ``full_bias`` (K,), or None.
        decisions: what a second pass counted, or None; ``reference``: the statistics whose class means decided.
        ood: statistics of out-of-distribution features (one class), or None.
        exact_margins: whether ``gnc2/margin`` is exact (else its bound, 1 - max cosine).
        find_optimum: whether optima are looked up.
        solved: a code found for this measurement, which counts if it beats the best known one.
    """

    stats: ClassStatistics
    normalized: ClassStatistics | None = None
    full_weight: Tensor | None = None
    full_bias: Tensor | None = None
    decisions: Decisions | None = None
    reference: ClassStatistics | None = None
    ood: ClassStatistics | None = None
    exact_margins: bool = True
    find_optimum: bool = True
    solved: Optimum | None = None
    # Shared by several metrics, each filled by the first that needs it.
    margins: dict[str, Tensor] = field(default_factory=dict)
    cdnv: "CDNV | None" = None
    mse: "Decomposition | None" = None
    _made: dict[Hashable, Any] = field(default_factory=dict)

    @cached_property
    def present(self) -> Tensor:
        """Which classes have samples, (K,) on the CPU."""
        return self.stats.present.cpu()

    @cached_property
    def K(self) -> int:
        """K', the number of classes present."""
        return int(self.present.sum())

    @property
    def d(self) -> int:
        """Dimension of the features."""
        return self.stats.dim

    def need_pairs(self) -> None:
        """Raise ``Absent`` with fewer than two classes present."""
        if self.K < 2:
            raise Absent(f"needs at least two classes with samples, and {self.K} has any")

    def need_distinct_means(self) -> None:
        """Raise ``Absent`` where all class means coincide."""
        self.need_pairs()
        if not self.between_trace():
            raise Absent("all class means coincide, so the scatter between classes is zero")

    # ---- features --------------------------------------------------------------------------------------------------

    def within_scatter(self, weighting: str = "sample", *, normalized: bool = False) -> Tensor:
        """S_W (d, d); raises ``Absent`` where it was not kept."""
        stats = self._side(normalized)
        reason = stats.why_no_scatter(weighting)
        if reason:
            raise Absent(reason)
        return self.once(("within", weighting, normalized), lambda: stats.within_scatter(weighting).cpu())

    def within_trace(self, weighting: str = "sample", *, normalized: bool = False) -> float:
        """tr S_W."""
        return self.once(
            ("within trace", weighting, normalized), lambda: self._side(normalized).within_trace(weighting)
        )

    def between_trace(self, weighting: str = "class", *, normalized: bool = False) -> float:
        """tr S_B."""
        means = self.centred_means(weighting, normalized=normalized)
        return float(self.class_weights(weighting) @ torch.linalg.vecdot(means, means))

    @cached_property
    def is_balanced(self) -> bool:
        """Whether all classes present have equally many samples: class and sample weighting then agree."""
        counts = self.stats.counts.cpu()[self.present]
        return bool((counts == counts[0]).all())

    def class_weights(self, weighting: str) -> Tensor:
        """Weights of the classes present in an average, (K',)."""
        return self.stats.weights(weighting).cpu()[self.present]

    def centred_means(self, weighting: str = "class", *, normalized: bool = False) -> Tensor:
        """Class means less the global mean, (K', d)."""
        if weighting == "class" or self.is_balanced:
            return (self.normalized_means if normalized else self.means).centred
        return self._side(normalized).centred_means(weighting).cpu()[self.present]

    def mean_spectrum(self, weighting: str = "class", *, normalized: bool = False) -> tuple[Tensor, Tensor]:
        """Singular values and right singular vectors of the centred class means."""
        weighting = "class" if self.is_balanced else weighting

        def make() -> tuple[Tensor, Tensor]:
            return spectrum(finite(self.centred_means(weighting, normalized=normalized), "class means"))

        return self.once(("spectrum", weighting, normalized), make)

    def columns_inner(self, rows: Tensor) -> Tensor:
        """Inner products (d, d) of the columns of one of the sets of rows kept here, formed once."""
        return self.once(("inner", id(rows)), lambda: rows.T @ rows)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, made by the first metric that needs it."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def _side(self, normalized: bool) -> ClassStatistics:
        return self.need_normalized() if normalized else self.stats

    @cached_property
    def means(self) -> "Rows":
        """Class means."""
        means = self.stats.class_means.cpu()[self.present]
        return Rows(finite(means, "class means"), self.stats.centred_means().cpu()[self.present])

    def need_normalized(self) -> ClassStatistics:
        """Statistics of unit-norm features, or ``Absent``."""
        if self.normalized is None:
            raise Absent("needs the statistics of unit-norm features: pass normalized= (measure keeps them)")
        return self.normalized

    @cached_property
    def normalized_means(self) -> "Rows":
        """Class means of the unit-norm features."""
        stats = self.need_normalized()
        means = finite(stats.class_means.cpu()[self.present], "normalised class means")
        return Rows(means, stats.centred_means().cpu()[self.present])

    # ---- classifier ------------------------------------------------------------------------------------------------

    @cached_property
    def weight(self) -> "Rows":
        """Classifier rows of the classes present; ``Absent`` without a classifier."""
        if self.full_weight is None:
            raise Absent("needs the classifier: pass weight=")
        rows = self.full_weight[self.present]
        return Rows(rows, rows - rows.mean(0))

    @property
    def bias(self) -> Tensor:
        """Classifier bias of the classes present; ``Absent`` without one."""
        if self.full_bias is None:
            raise Absent(
                "the classifier has no bias" if self.full_weight is not None else "needs the classifier: pass weight="
            )
        return self.full_bias[self.present]

    # ---- the optimum -----------------------------------------------------------------------------------------------

    @cached_property
    def optimum(self) -> Optimum | None:
        """Best known code for K' classes in d dimensions."""
        if not self.find_optimum or self.K < 2:
            return None
        known = best_known(self.K, self.d)
        if self.solved is not None and (known.status == "bound" or self.solved.margin > known.margin):
            return self.solved
        return known


@dataclass
class Rows:
    """Rows (K', d) of one kind, as they are and less their mean, with what several metrics derive from them."""

    raw: Tensor
    centred: Tensor

    def __post_init__(self) -> None:
        if self.raw.shape != self.centred.shape:
            raise InputError(f"expected rows of one shape, got {tuple(self.raw.shape)} and {tuple(self.centred.shape)}")

    def need_nonzero(self, *, centred: bool) -> Tensor:
        """The rows at unit norm; ``Absent`` where one is zero and has no direction."""
        rows = self.centred if centred else self.raw
        norms = torch.linalg.vector_norm(rows, dim=1)
        if bool((norms == 0).any()):
            which = "equals the global mean" if centred else "is zero"
            raise Absent(f"the row of class {int((norms == 0).nonzero()[0])} {which} and has no direction")
        return rows / norms[:, None]

    @cached_property
    def pairs(self) -> PairSums:
        """Sums over pairs of the directions of the rows."""
        return pair_sums(self.need_nonzero(centred=False))

    @cached_property
    def centred_pairs(self) -> PairSums:
        """Sums over pairs of the directions of the centred rows."""
        return pair_sums(self.need_nonzero(centred=True))
