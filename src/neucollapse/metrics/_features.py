"""Class statistics as metrics read them: of the classes with samples, in double precision, along what features resolve."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..statistics import ClassStatistics, Precision
from ._absent import Absent
from ._discriminant import Discriminant, discriminant
from ._linear_algebra import Inverse, finite, inverse_gram, resolved_spectrum
from ._rows import Rows, unit_of
from ._shared import shared

_SMALLEST = 2.0**-430  # features of this size still have a scatter of 1e-16 of it, squared, among ordinary numbers


@dataclass(eq=False)
class Features:
    """Means and scatter of the K' classes that have samples, on the CPU, of features or of unit-norm features.

    They are in units of `unit`: a power of two, 1 for ordinary sizes, so that squares of very large or small numbers
    neither overflow nor vanish. Averages weigh each `"class"` or each `"sample"` alike; `about` says so for the
    global mean.
    """

    stats: ClassStatistics
    doubt: float = field(default=0.0, init=False)  # largest share of a number that may be rounding of the sum S_W
    made: dict[Hashable, Any] = field(default_factory=dict, init=False)  # by functions that are `shared`

    @cached_property
    def present(self) -> Tensor:
        """Which classes have samples, (K,)."""
        return self.stats.present.cpu()

    @cached_property
    def K(self) -> int:
        """K', how many those are."""
        return int(self.present.sum())

    @property
    def d(self) -> int:
        """Dimension."""
        return self.stats.dim

    @cached_property
    def counts(self) -> Tensor:
        """Samples of each class, (K',)."""
        return self.stats.counts.cpu()[self.present]

    @cached_property
    def is_balanced(self) -> bool:
        """Whether all classes present have equally many samples: class and sample weighting then agree."""
        return bool((self.counts == self.counts[0]).all())

    def class_weights(self, weighting: str) -> Tensor:
        """Weights of the classes in an average, (K',)."""
        return self.stats.weights(weighting).cpu()[self.present]

    @cached_property
    def class_means(self) -> Tensor:
        """Mean of each class, (K, d), as the statistics have it; NaN where a class has no samples."""
        return self.stats.class_means.cpu()

    @cached_property
    def _all_variances(self) -> Tensor:
        return self.stats.class_variances.cpu()

    @cached_property
    def unit(self) -> float:
        """The power of two that features are counted in."""
        return unit_of(self.class_means, self._all_variances)

    def _kept(self, rows: Tensor) -> Tensor:
        """Those of the classes that count, in units of `unit`; copied only where they change."""
        rows = rows.cpu() if self.K == len(self.present) else rows.cpu()[self.present]
        return rows if self.unit == 1 else rows / self.unit

    def in_units(self, squares: Tensor) -> Tensor:
        """Sums of squares of features, in units of `unit`; `Absent` where double precision does not hold them."""
        size = "large" if not bool(torch.isfinite(squares).all()) else "small" if self.unit < _SMALLEST else ""
        if size:
            raise Absent(f"the sums of squares of the features are too {size} for double precision: scale the features")
        return squares if self.unit == 1 else squares / self.unit / self.unit

    @cached_property
    def precision(self) -> Precision:
        """What the features can tell apart, in units of `unit`."""
        if self.unit == 1:
            return self.stats.precision
        shares, variance = self.class_weights("sample"), self.within_trace() / self.d
        dtype = self.stats.feature_dtype or torch.float64
        return Precision.of(dtype, self._kept(self.class_means), shares, variance, num_samples=self.stats.num_samples)

    # ---- within classes --------------------------------------------------------------------------------------------

    @cached_property
    def class_variances(self) -> Tensor:
        """E ||h - mu_c||^2 of each class, (K',)."""
        return self.in_units(self._all_variances[self.present])

    def within_trace(self, weighting: str = "sample") -> float:
        """tr S_W."""
        return float(self.class_weights(weighting) @ self.class_variances)

    @shared
    def within_scatter(self, weighting: str = "sample") -> Tensor:
        """S_W (d, d); raises `Absent` where it was not kept."""
        reason = self.stats.why_no_scatter(weighting)
        if reason:
            raise Absent(reason)
        return self.in_units(self.stats.within_scatter(weighting).cpu())

    # ---- between classes -------------------------------------------------------------------------------------------

    @cached_property
    def means(self) -> Rows:
        """Class means."""
        what = "normalised class means" if self.stats.normalize else "class means"
        means, centred = finite(self._kept(self.class_means), what), self._kept(self.stats.centred_means())
        # Rounding of a class mean is relative to the samples of its class, that of a difference to those of all.
        squares, precision = torch.linalg.vecdot(means, means), self.precision
        is_zero = squares <= precision.arithmetic**2 * (squares + self.class_variances)
        classes, is_central = self.present.nonzero()[:, 0], precision.coincide(centred)
        return Rows(means, centred, classes, is_zero, is_central, self.unit, precision)

    def need_distinct_means(self) -> None:
        """Raise `Absent` where the features cannot tell the class means apart."""
        reason = too_few(self.K, self.stats)
        if reason or bool(self.means.is_central.all()):
            raise Absent(reason or self._coincident)

    @property
    def _coincident(self) -> str:
        return f"all class means coincide to within the rounding of {self.precision.name} features"

    def _is_plain(self, about: str) -> bool:
        return about == "class" or self.is_balanced

    @shared
    def centred_means(self, about: str = "class") -> Tensor:
        """Class means less the global mean, (K', d)."""
        return self.means.centred if self._is_plain(about) else self._kept(self.stats.centred_means(about))

    def between_trace(self, weighting: str = "class") -> float:
        """tr S_B."""
        means = self.centred_means(weighting)
        return float(self.class_weights(weighting) @ torch.linalg.vecdot(means, means))

    @shared
    def gram(self, about: str = "class") -> Tensor:
        """Inner products (d, d) of the columns of `centred_means`: K' S_B, averaged over classes."""
        if self._is_plain(about):
            return self.means.gram(centred=True)
        rows = self.centred_means(about)
        return rows.T @ rows

    @shared
    def mean_spectrum(self, about: str = "class") -> tuple[Tensor, Tensor]:
        """Spreads s (r,) and directions V (d, r) of the class means: S_B = V diag(s^2) V^T, averaged over classes.

        Directions that the features do not resolve are left out; `Absent` where none is left.
        """
        rows = finite(self.centred_means(about), "class means")
        if self._is_plain(about):
            s, V = self.means.centred_spectrum
        else:
            s, V = resolved_spectrum(rows / self.K**0.5, self.precision, min(self.K - 1, self.d))
        if not len(s):
            raise Absent(self._coincident)
        return s, V

    @shared
    def between_inverse(self, about: str = "class") -> Inverse | None:
        """S_B^-1, where the features resolve all d directions and S_B is not nearly singular; else None."""
        if about != "class" and self.is_balanced:
            return self.between_inverse()
        finite(self.centred_means(about), "class means")
        if self.K <= self.d:
            return None
        return inverse_gram(self.gram(about) / self.K, self.K, float(self.precision.noise(self.K).max()))

    def between_rank(self, about: str = "class") -> int:
        """In how many directions the features tell class means apart."""
        return self.d if self.between_inverse(about) is not None else len(self.mean_spectrum(about)[0])

    @cached_property
    def discriminant(self) -> Discriminant:
        """S_W against S_B, both over samples, along the directions that the features resolve."""
        self.need_distinct_means()
        within = finite(self.within_scatter(), "within-class scatter")
        if self.is_balanced:  # then S_B over samples is S_B over classes
            return discriminant(within, *self.mean_spectrum(), self.precision)
        rows = self.class_weights("sample").sqrt()[:, None] * finite(self.centred_means("sample"), "class means")
        return discriminant(within, *resolved_spectrum(rows, self.precision, min(self.K - 1, self.d)), self.precision)


def too_few(K: int, stats: ClassStatistics) -> str | None:
    """Why K classes make no pair; None where they do."""
    having = "" if stats.num_classes == K else " with samples"
    return f"needs at least two classes{having}, and there {'is one' if K else 'are none'}" if K < 2 else None
