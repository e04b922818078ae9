"""The terms metrics are computed from: class statistics and classifier, checked and reduced to the classes present."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from ..geometry import Optimum, best_known
from ..statistics import ClassStatistics, Precision, ScatterByClass
from ._absent import Absent
from ._decisions import Decisions
from ._discriminant import Discriminant, discriminant
from ._linear_algebra import EPS, Inverse, finite, inverse_gram, resolved_spectrum
from ._rows import Rows, power_of_two
from ._shared import shared

Need = Literal["scatter", "unit norm", "classifier", "bias", "decisions", "outside", "each class"]
"""What a metric may need beside the traces and means of the features."""

EXACT_MARGINS_UP_TO = 2000
_NO_SCATTER_BY_CLASS = (
    'needs the scatter of each class, which takes K d^2 numbers: measure(..., scatter="class") keeps it'
)
_SMALLEST = 2.0**-430  # features of this size still have a scatter of 1e-16 of it, squared, among ordinary numbers


@dataclass
class Terms:
    """Everything a metric may ask for. Rows are the K' classes that have samples; float64 on the CPU.

    What is read of features is in units of ``unit``, and of the classifier in units of ``weight_unit``: powers of two, 1
    for ordinary sizes, so that squares of very large or small numbers neither overflow nor vanish.

    Attributes:
        stats: statistics of the features.
        normalized: statistics of the unit-norm features, or None.
        full_weight: classifier rows (K, d), or None; ``full_bias`` (K,), or None.
        decisions: what a second pass counted, or None; ``reference``: the statistics whose class means decided.
        ood: statistics of out-of-distribution features (one class), or None.
        by_class: the scatter of each class by itself, or None.
        exact_margins: whether ``gnc2/margin`` is exact (else its bound, 1 - max cosine); None: up to 2,000 classes.
        find_optimum: whether optima are looked up.
        solved: a code found for this measurement, which counts if it is of this size and beats the best known one.
        of_classifier: whether these are the terms of the classifier alone: every row counts, with samples or without.
        few: the classes that were left out of the statistics, as they had fewer than ``min_samples`` samples.
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
    doubt: float = field(default=0.0, init=False)  # largest share of a number that may be rounding of the sum S_W
    made: dict[Hashable, Any] = field(default_factory=dict, init=False)  # by functions that are ``shared``

    @property
    @shared
    def present(self) -> Tensor:
        """Which classes count, (K,) on the CPU: those with samples."""
        present = self.stats.present.cpu()
        return torch.ones_like(present) if self.of_classifier else present

    @property
    @shared
    def classifier(self) -> "Terms":
        """The terms of the classifier alone, over all of its rows, whatever classes have samples."""
        return self if bool(self.present.all()) else replace(self, of_classifier=True)

    @property
    @shared
    def K(self) -> int:
        """K', the number of classes that count."""
        return int(self.present.sum())

    def need(self, *needs: Need) -> None:
        """Raise ``Absent``, with what to do, for the first of these that was not given."""
        for need in needs:
            reason = self._lacks(need)
            if reason:
                raise Absent(reason)

    def _lacks(self, need: Need) -> str | None:
        if need == "scatter":
            return self.stats.why_no_scatter("sample")
        if need == "decisions":
            return self._why_no_decisions()
        given, reason = {
            "unit norm": (
                self.normalized,
                "needs the statistics of unit-norm features: pass normalized= (measure keeps them)",
            ),
            "classifier": (self.full_weight, "needs the classifier: pass weight="),
            "bias": (self.full_bias, "the classifier has no bias"),
            "outside": (self.ood, "needs out-of-distribution features: pass ood="),
            "each class": (self.by_class, _NO_SCATTER_BY_CLASS),
        }[need]
        return reason if given is None else None

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

    @property
    def d(self) -> int:
        """Dimension of the features."""
        return self.stats.dim

    def need_pairs(self) -> None:
        """Raise ``Absent`` with fewer than two classes present."""
        if self.K < 2:
            having = "" if self.K == self.stats.num_classes else " with samples"
            raise Absent(f"needs at least two classes{having}, and there {'is one' if self.K else 'are none'}")

    @property
    def exact(self) -> bool:
        """Whether margins are exact."""
        return self.K <= EXACT_MARGINS_UP_TO if self.exact_margins is None else self.exact_margins

    def need_distinct_means(self, *, normalized: bool = False) -> None:
        """Raise ``Absent`` where the features cannot tell the class means apart."""
        self.need_pairs()
        means = self.normalized_means if normalized else self.means
        precision = self.normalized_precision if normalized else self.precision
        if bool(means.is_central.all()):
            raise Absent(f"all class means coincide to within the rounding of {precision.name} features")

    # ---- features --------------------------------------------------------------------------------------------------

    @property
    @shared
    def _class_means(self) -> Tensor:
        return self.stats.class_means.cpu()

    @property
    @shared
    def _class_variances(self) -> Tensor:
        return self.stats.class_variances.cpu()

    @property
    @shared
    def unit(self) -> float:
        """The power of two that features are counted in."""
        spread = float(self._class_variances.nan_to_num(posinf=0.0).max())
        return power_of_two(max(float(self._class_means.nan_to_num().abs().max()), spread**0.5))

    def _rows(self, kept: Tensor) -> Tensor:
        """Those of the classes that count, in units of ``unit``; copied only where they change."""
        kept = kept.cpu() if self.K == len(self.present) else kept.cpu()[self.present]
        return kept if self.unit == 1 else kept / self.unit

    @property
    @shared
    def precision(self) -> Precision:
        """What the features can tell apart, in units of ``unit``."""
        if self.unit == 1:
            return self.stats.precision
        shares, variance = self.class_weights("sample"), self.within_trace() / self.d
        dtype = self.stats.feature_dtype or torch.float64
        return Precision.of(dtype, self._rows(self._class_means), shares, variance, num_samples=self.stats.num_samples)

    @shared
    def within_scatter(self, weighting: str = "sample", *, normalized: bool = False) -> Tensor:
        """S_W (d, d); raises ``Absent`` where it was not kept."""
        stats = self._side(normalized)
        reason = stats.why_no_scatter(weighting)
        if reason:
            raise Absent(reason)
        return self.in_units(self._side(normalized).within_scatter(weighting).cpu(), normalized)

    def in_units(self, squares: Tensor, normalized: bool = False) -> Tensor:
        """Sums of squares of features, in units of ``unit``; ``Absent`` where double precision does not hold them."""
        if not bool(torch.isfinite(squares).all()):
            raise Absent("the sums of squares of the features are too large for double precision: scale the features")
        if normalized or self.unit == 1:
            return squares
        if self.unit < _SMALLEST:
            raise Absent("the sums of squares of the features are too small for double precision: scale the features")
        return squares / self.unit / self.unit

    @shared
    def within_trace(self, weighting: str = "sample", *, normalized: bool = False) -> float:
        """tr S_W."""
        variances = self.in_units(self._side(normalized).class_variances.cpu()[self.present], normalized)
        return float(self.class_weights(weighting) @ variances)

    @property
    @shared
    def class_variances(self) -> Tensor:
        """E ||h - mu_c||^2 of each class, (K',)."""
        return self.in_units(self._class_variances[self.present], normalized=False)

    def between_trace(self, weighting: str = "class", *, normalized: bool = False) -> float:
        """tr S_B."""
        means = self.centred_means(weighting, normalized=normalized)
        return float(self.class_weights(weighting) @ torch.linalg.vecdot(means, means))

    @property
    @shared
    def is_balanced(self) -> bool:
        """Whether all classes present have equally many samples: class and sample weighting then agree."""
        counts = self.stats.counts.cpu()[self.present]
        return bool((counts == counts[0]).all())

    def class_weights(self, weighting: str) -> Tensor:
        """Weights of the classes present in an average, (K',)."""
        return self.stats.weights(weighting).cpu()[self.present]

    @shared
    def centred_means(self, weighting: str = "class", *, normalized: bool = False) -> Tensor:
        """Class means less the global mean, (K', d)."""
        if weighting == "class" or self.is_balanced:
            return (self.normalized_means if normalized else self.means).centred
        centred = self._side(normalized).centred_means(weighting)
        return centred.cpu()[self.present] if normalized else self._rows(centred)

    @property
    @shared
    def normalized_precision(self) -> Precision:
        """What the unit-norm features can tell apart."""
        return self.need_normalized().precision

    @shared
    def mean_spectrum(self, about: str = "class", *, normalized: bool = False) -> tuple[Tensor, Tensor]:
        """Spreads s (r,) and directions V (d, r) of the class means: S_B = V diag(s^2) V^T, averaged over classes.

        ``about`` says which global mean is subtracted. Directions that the features do not resolve are left out;
        ``Absent`` where none is left.
        """
        if about != "class" and self.is_balanced:
            return self.mean_spectrum(normalized=normalized)
        rows, precision = self._mean_shares(about, normalized)
        s, V = resolved_spectrum(rows, precision, min(self.K - 1, self.d))
        if not len(s):
            raise Absent(f"all class means coincide to within the rounding of {precision.name} features")
        return s, V

    @shared
    def between_inverse(self, about: str = "class", *, normalized: bool = False) -> Inverse | None:
        """S_B^-1, where the features resolve all d directions and S_B is not nearly singular; else None."""
        if about != "class" and self.is_balanced:
            return self.between_inverse(normalized=normalized)
        rows, precision = self._mean_shares(about, normalized)
        return inverse_gram(rows, float(precision.noise(self.K).max()))

    def between_rank(self, about: str = "class", *, normalized: bool = False) -> int:
        """In how many directions the features tell class means apart."""
        if self.between_inverse(about, normalized=normalized) is not None:
            return self.d
        return len(self.mean_spectrum(about, normalized=normalized)[0])

    def _mean_shares(self, about: str, normalized: bool) -> tuple[Tensor, Precision]:
        """Rows whose Gram matrix is S_B, averaged over classes, and the precision they carry."""
        rows = finite(self.centred_means(about, normalized=normalized), "class means") / self.K**0.5
        return rows, self.normalized_precision if normalized else self.precision

    @property
    @shared
    def discriminant(self) -> Discriminant:
        """S_W against S_B, both over samples, along the directions that the features resolve."""
        self.need_distinct_means()
        within = finite(self.within_scatter(), "within-class scatter")
        if self.is_balanced:  # then S_B over samples is S_B over classes
            return discriminant(within, *self.mean_spectrum(), self.precision)
        rows = self.class_weights("sample").sqrt()[:, None] * finite(self.centred_means("sample"), "class means")
        return discriminant(within, *resolved_spectrum(rows, self.precision, min(self.K - 1, self.d)), self.precision)

    @shared
    def columns_inner(self, rows: Tensor) -> Tensor:
        """Inner products (d, d) of the columns of one of the sets of rows kept here."""
        return rows.T @ rows

    def _side(self, normalized: bool) -> ClassStatistics:
        return self.need_normalized() if normalized else self.stats

    @property
    @shared
    def means(self) -> "Rows":
        """Class means."""
        means = finite(self._rows(self._class_means), "class means")
        centred = self._rows(self.stats.centred_means())
        return self._mean_rows(means, centred, self.class_variances, self.precision)

    def _mean_rows(self, means: Tensor, centred: Tensor, variances: Tensor, precision: Precision) -> Rows:
        # Rounding of a class mean is relative to the samples of its class, that of a difference to those of all.
        squares = torch.linalg.vecdot(means, means)
        is_zero = squares <= precision.arithmetic**2 * (squares + variances)
        return Rows(means, centred, self.present.nonzero()[:, 0], is_zero, precision.coincide(centred), precision)

    def need_normalized(self) -> ClassStatistics:
        """Statistics of unit-norm features, or ``Absent``."""
        self.need("unit norm")
        assert self.normalized is not None  # noqa: S101 - for the type checker
        return self.normalized

    @property
    @shared
    def normalized_means(self) -> "Rows":
        """Class means of the unit-norm features."""
        stats = self.need_normalized()
        means = finite(stats.class_means.cpu()[self.present], "normalised class means")
        centred = stats.centred_means().cpu()[self.present]
        return self._mean_rows(means, centred, stats.class_variances.cpu()[self.present], self.normalized_precision)

    # ---- classifier ------------------------------------------------------------------------------------------------

    @property
    @shared
    def weight(self) -> "Rows":
        """Classifier rows of the classes that count; ``Absent`` without a classifier."""
        self.need("classifier")
        assert self.full_weight is not None  # noqa: S101 - for the type checker
        rows = self.full_weight[self.present] / self.weight_unit
        centred = rows - rows.mean(0)
        is_central = (centred.abs() <= 4 * EPS * rows.abs().amax(dim=0)).all(dim=1)
        return Rows(rows, centred, self.present.nonzero()[:, 0], ~rows.any(dim=1), is_central)

    @property
    @shared
    def weight_unit(self) -> float:
        """The power of two that the classifier is counted in."""
        return 1.0 if self.full_weight is None else power_of_two(float(self.full_weight.abs().max()))

    @property
    def bias(self) -> Tensor:
        """Classifier bias of the classes that count; ``Absent`` without one."""
        self.need("classifier", "bias")
        assert self.full_bias is not None  # noqa: S101 - for the type checker
        return self.full_bias[self.present]

    # ---- the optimum -----------------------------------------------------------------------------------------------

    @property
    @shared
    def optimum(self) -> Optimum | None:
        """Best known code for K' classes in d dimensions."""
        if not self.find_optimum or self.K < 2:
            return None
        known = best_known(self.K, self.d)
        solved = self.solved
        if solved is None or (solved.K, solved.d) != (self.K, self.d):
            return known
        return solved if known.status == "bound" or solved.margin > known.margin else known
