"""What can be read off the sums: counts, means, variances, scatters and their traces, by class or by sample."""

import torch
from torch import Tensor

from .._errors import InputError
from .._types import Bool, Float, Int
from ._moments import Moments


class DerivedStatistics:
    """The reading half of `ClassStatistics`. Everything is float64, on the device of the sums."""

    _moments: Moments
    lost_scatter: str | None = None  # why the scatter, though kept, says nothing any more

    @property
    def device(self) -> torch.device:
        """Where the sums live."""
        return self._moments.counts.device

    @property
    def counts(self) -> Int[Tensor, "K"]:
        """Samples of each class."""
        return self._moments.counts.clone()

    @property
    def num_samples(self) -> int:
        """Samples seen, without those left out."""
        return int(self._moments.counts.sum())

    @property
    def present(self) -> Bool[Tensor, "K"]:
        """Which classes have samples."""
        return self._moments.counts > 0

    @property
    def class_means(self) -> Float[Tensor, "K d"]:
        """Mean of each class; NaN where a class has no samples."""
        means = self._moments.centres + self._moments.offsets()
        return torch.where(self.present[:, None], means, torch.nan)

    @property
    def class_variances(self) -> Float[Tensor, "K"]:
        """E ||h - mu_c||^2 of each class (divided by n_c, not n_c - 1); NaN where it has no samples."""
        offsets = self._moments.offsets()
        about_means = self._moments.squares - self._moments.counts * torch.linalg.vecdot(offsets, offsets)
        return about_means.clamp(min=0) / self._moments.counts  # rounding alone can make it negative

    @property
    def mean_norms(self) -> Float[Tensor, "K"]:
        """Mean of ||h|| before any normalisation, class by class; NaN where a class has no samples."""
        return self._moments.norms / self._moments.counts

    @property
    def largest_norms(self) -> Float[Tensor, "K"]:
        """Largest ||h|| before any normalisation, class by class; NaN where a class has no samples."""
        return torch.where(self.present, self._moments.largest, torch.nan)

    def weights(self, weighting: str) -> Float[Tensor, "K"]:
        """Weight of each class in an average: 1/K' for `"class"`, n_c/N for `"sample"`; zero where absent."""
        check_choice("weighting", weighting, ("class", "sample"))
        if not self.num_samples:
            raise InputError("expected at least one sample, got none: call update first")
        counts = self._moments.counts.double() if weighting == "sample" else self.present.double()
        return counts / counts.sum()

    def global_mean(self, weighting: str = "class") -> Float[Tensor, "d"]:
        """Mean of the class means (`"class"`) or of all samples (`"sample"`)."""
        reference, relative = self._relative_means()
        return reference + self.weights(weighting) @ relative

    def centred_means(self, weighting: str = "class") -> Float[Tensor, "K d"]:
        """Class means less the global mean; NaN where a class has no samples."""
        _, relative = self._relative_means()
        centred = relative - self.weights(weighting) @ relative
        return torch.where(self.present[:, None], centred, torch.nan)

    def _relative_means(self) -> tuple[Tensor, Tensor]:
        # About the centre of one class, so that a common offset of all features costs no digits.
        present = self.present
        reference = self._moments.centres[present][0] if bool(present.any()) else self._moments.centres[0]
        relative = (self._moments.centres - reference) + self._moments.offsets()
        return reference, relative * present[:, None]

    def within_trace(self, weighting: str = "sample") -> float:
        """tr S_W: mean over samples (or over classes) of the squared distance to the class mean."""
        return float(self.weights(weighting) @ self.class_variances.nan_to_num())

    def between_trace(self, weighting: str = "class", about: str | None = None) -> float:
        """tr S_B: mean over classes (or samples) of the squared distance of class means to the global mean.

        `about` weighs that global mean; by default as `weighting` does.
        """
        centred = self.centred_means(about or weighting).nan_to_num()
        return float(self.weights(weighting) @ torch.linalg.vecdot(centred, centred))

    def within_scatter(self, weighting: str = "sample") -> Float[Tensor, "d d"]:
        """S_W (d, d), pooled over samples, or averaged over classes where `class_counts` were given beforehand.

        Raises:
            InputError: with `scatter="trace"`; or for `"class"` without `class_counts`, or with wrong ones.
        """
        reason = self.why_no_scatter(weighting)
        offsets = self._moments.offsets()
        if weighting == "sample":
            about_centres, total = self._moments.scatter, self._moments.counts
        else:
            about_centres, total = self._moments.weighted_scatter, self.present
        if reason or about_centres is None:
            raise InputError(reason or "the scatter was not kept")
        upper = (about_centres - (total[:, None] * offsets).T @ offsets).triu()
        return (upper + upper.triu(1).T) / total.sum()

    def coordinate_variances(self) -> Float[Tensor, "d"]:
        """Variance within classes of each coordinate, pooled over samples; their mean where only traces were kept."""
        offsets, scatter = self._moments.offsets(), self._moments.scatter
        if scatter is None:
            return torch.full_like(offsets[0], self.within_trace() / offsets.shape[1])
        total = scatter.diagonal() - self._moments.counts.double() @ offsets.square()
        return total.clamp(min=0) / self.num_samples  # rounding alone can make it negative

    def why_no_scatter(self, weighting: str = "sample") -> str | None:
        """The reason why `within_scatter` has no answer, or None if it has one."""
        self.weights(weighting)
        if self.lost_scatter is not None:
            return self.lost_scatter
        if self._moments.scatter is None:
            return "the (d, d) within-class scatter was not kept: scatter='trace'; use scatter='full'"
        if weighting == "sample":
            return None
        if self._moments.class_counts is None:
            return "the class-weighted scatter needs class_counts= before the pass, and none were given"
        given, seen = self._moments.class_counts, self._moments.counts
        if not torch.equal(given, seen):
            first = int((given != seen).nonzero()[0])
            return (
                f"class_counts promised {int(given[first])} samples of class {first}, but {int(seen[first])} were seen"
            )
        return None

    def between_scatter(self, weighting: str = "class", about: str | None = None) -> Float[Tensor, "d d"]:
        """S_B (d, d), the scatter of the class means about the global mean; arguments as in `between_trace`."""
        centred = self.centred_means(about or weighting).nan_to_num()
        return (self.weights(weighting)[:, None] * centred).T @ centred


def check_choice(name: str, choice: object, choices: tuple[str, ...]) -> None:
    if choice not in choices:
        raise InputError(f"expected {name} to be one of {', '.join(map(repr, choices))}, got {choice!r}")
