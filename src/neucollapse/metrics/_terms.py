"""The terms metrics are computed from: features and classifier, checked and reduced to the classes that count."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from ..geometry import Optimum, best_known
from ..statistics import ClassStatistics, ScatterByClass
from ._absent import Absent
from ._decisions import Decisions
from ._features import Features, too_few
from ._linear_algebra import EPS
from ._rows import Rows, power_of_two

T = TypeVar("T")
Need = Literal["scatter", "unit norm", "classifier", "bias", "decisions", "outside", "each class", "pairs"]
"""What a metric may need beside the traces and means of the features; `pairs`: at least two classes."""

EXACT_MARGINS_UP_TO = 2000
_GIVEN = {
    "unit norm": ("normalized", "needs the statistics of unit-norm features: pass normalized= (measure keeps them)"),
    "classifier": ("full_weight", "needs the classifier: pass weight="),
    "bias": ("full_bias", "the classifier has no bias"),
    "outside": ("ood", "needs out-of-distribution features: pass ood="),
    "each class": (
        "by_class",
        'needs the scatter of each class, which takes K d^2 numbers: measure(..., scatter="class") keeps it',
    ),
}  # a need, the attribute that meets it, and what to do


@dataclass(eq=False)
class Terms:
    """Everything a metric may ask for; the arguments are those of `collapse_metrics`. float64 on the CPU.

    Attributes:
        features: the features as metrics read them; `unit_norm` the unit-norm features.
        means: class means, `normalized_means` those of unit-norm features, `weight` the classifier: rows of the K'
            classes that count.
        of_classifier: whether these are the terms of the classifier alone: every row counts, with samples or without.
        few: the classes that were left out of the statistics, as they had fewer than `min_samples` samples.
    """

    stats: ClassStatistics
    normalized: ClassStatistics | None = None
    full_weight: Tensor | None = None
    full_bias: Tensor | None = None
    decisions: Decisions | None = None
    reference: ClassStatistics | None = None
    ood: ClassStatistics | None = None
    by_class: ScatterByClass | None = None
    exact_margins: bool | None = None
    find_optimum: bool = True
    solved: Optimum | None = None
    of_classifier: bool = False
    few: tuple[int, ...] = ()
    min_samples: int = 1
    made: dict[Hashable, Any] = field(default_factory=dict, init=False)  # by functions that are `shared`

    def need(self, *needs: Need) -> None:
        """Raise `Absent`, with what to do, for the first of these that was not given."""
        for need in needs:
            reason = self._lacks(need)
            if reason:
                raise Absent(reason)

    def _lacks(self, need: Need) -> str | None:
        if need == "scatter":
            return self.stats.why_no_scatter("sample")
        if need == "decisions":
            return self._why_no_decisions()
        if need == "pairs":
            return too_few(self.K, self.stats)
        attribute, reason = _GIVEN[need]
        return reason if getattr(self, attribute) is None else None

    def _why_no_decisions(self) -> str | None:
        decisions = self.decisions
        if decisions is None or not decisions.counts["samples"]:
            return "needs a second pass over the features: use measure, or pass decisions="
        if decisions.min_samples == self.min_samples:
            return None
        return (
            f"decisions were counted with min_samples={decisions.min_samples}, and metrics are asked for with "
            f"min_samples={self.min_samples}"
        )

    def _needed(self, need: Need, value: T | None) -> T:
        self.need(need)
        assert value is not None  # noqa: S101 - for the type checker
        return value

    @cached_property
    def features(self) -> Features:
        """The features, of the classes that have samples."""
        return Features(self.stats)

    @cached_property
    def unit_norm(self) -> Features:
        """The unit-norm features; `Absent` without statistics of them."""
        return Features(self._needed("unit norm", self.normalized))

    @property
    def counted(self) -> Decisions:
        """What a second pass counted; `Absent` without one."""
        return self._needed("decisions", self.decisions)

    @cached_property
    def present(self) -> Tensor:
        """Which classes count, (K,): those with samples."""
        present = self.features.present
        return torch.ones_like(present) if self.of_classifier else present

    @cached_property
    def classifier(self) -> "Terms":
        """The terms of the classifier alone, over all of its rows, whatever classes have samples."""
        return self if bool(self.present.all()) else replace(self, of_classifier=True)

    @cached_property
    def K(self) -> int:
        """K', the number of classes that count."""
        return int(self.present.sum())

    @property
    def d(self) -> int:
        """Dimension of the features."""
        return self.stats.dim

    @property
    def means(self) -> Rows:
        """Class means."""
        return self.features.means

    @property
    def normalized_means(self) -> Rows:
        """Class means of the unit-norm features."""
        return self.unit_norm.means

    @cached_property
    def weight(self) -> Rows:
        """Classifier rows of the classes that count; `Absent` without a classifier."""
        every = self._needed("classifier", self.full_weight)
        unit = power_of_two(float(every.abs().max()))
        rows = every if self.K == len(every) else every[self.present]
        rows = rows if unit == 1 else rows / unit
        centred = rows - rows.mean(0)
        is_central = (centred.abs() <= 4 * EPS * rows.abs().amax(dim=0)).all(dim=1)
        return Rows(rows, centred, self.present.nonzero()[:, 0], ~rows.any(dim=1), is_central, unit)

    @property
    def bias(self) -> Tensor:
        """Classifier bias of the classes that count; `Absent` without one."""
        self.need("classifier")
        return self._needed("bias", self.full_bias)[self.present]

    @property
    def exact(self) -> bool:
        """Whether margins are exact: by default up to 2,000 classes; else their bound 1 - max cosine."""
        return self.K <= EXACT_MARGINS_UP_TO if self.exact_margins is None else self.exact_margins

    @cached_property
    def optimum(self) -> Optimum | None:
        """Best known code for K' classes in d dimensions, or `solved` where it is of this size and beats that."""
        if not self.find_optimum or self.K < 2:
            return None
        known, solved = best_known(self.K, self.d), self.solved
        if solved is None or (solved.K, solved.d) != (self.K, self.d):
            return known
        return solved if known.status == "bound" or solved.margin > known.margin else known
