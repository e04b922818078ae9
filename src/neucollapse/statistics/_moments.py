"""First and second moments of each class about a provisional centre, and the algebra of moving that centre."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from .._memory import check_memory
from ._blocks import Sums, add_crosses

_PATIENCE = 8  # samples of a class before its centre is first checked
# A centre moves once its offset makes up more than this share of its class's squares. One sample as centre makes up about
# half, and serves; moving it would cost a product in float64.
_MAX_SHARE = 0.6


@dataclass
class Moments:
    r"""Sums over the samples h of each class c, with r = h - centre_c. All float64 but the counts.

    Any centre near the class serves: the mean is centre + residuals / n, and the scatter about the mean is the scatter
    about the centre less n (mean - centre)(mean - centre)^T, where nothing cancels while the two are close.
    """

    counts: Tensor  # (K,) int64
    checked_at: Tensor  # (K,) int64, the count at which the centre was last checked
    centres: Tensor  # (K, d)
    residuals: Tensor  # (K, d), sum of r
    squares: Tensor  # (K,), sum of |r|^2
    norms: Tensor  # (K,), sum of |h|
    largest: Tensor  # (K,), the largest |h|
    scatter: Tensor | None  # (d, d), sum of r r^T over all classes, on and above the diagonal alone
    weighted_scatter: Tensor | None  # (d, d), the same with each class divided by its final count
    class_counts: Tensor | None  # (K,), those final counts
    narrow: bool = True  # whether every centre is exact in float32

    @classmethod
    def empty(cls, K: int, d: int, *, full: bool, class_counts: Tensor | None, device: torch.device) -> "Moments":
        """Moments of no samples; an `InputError` if they need more memory than there is."""
        if device.type == "cpu":
            check_memory(8 * (K * (2 * d + 4) + full * d * d), f"statistics of {K} classes in {d} dimensions")

        def zeros(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
            return torch.zeros(*shape, dtype=dtype, device=device)

        return cls(
            counts=zeros(K, dtype=torch.int64),
            checked_at=zeros(K, dtype=torch.int64),
            centres=zeros(K, d),
            residuals=zeros(K, d),
            squares=zeros(K),
            norms=zeros(K),
            largest=zeros(K),
            scatter=zeros(d, d) if full else None,
            weighted_scatter=None if class_counts is None else zeros(d, d),
            class_counts=None if class_counts is None else class_counts.to(device),
        )

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor that is kept, with its name."""
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Tensor):
                yield item.name, value

    def add(self, classes: Tensor, counts: Tensor, sums: Sums) -> None:
        """Add sums that were taken about this object's own centres; `classes` (m,) are distinct."""
        self.counts.index_add_(0, classes, counts)
        self.residuals.index_add_(0, classes, sums.residuals)
        self.squares.index_add_(0, classes, sums.squares)
        self.norms.index_add_(0, classes, sums.norms)
        self.largest[classes] = torch.maximum(self.largest[classes], sums.largest)
        if self.scatter is not None and sums.scatter is not None:
            self.scatter += sums.scatter
        if self.weighted_scatter is not None and sums.weighted is not None:
            self.weighted_scatter += sums.weighted
        if self.scatter is not None and sums.products is not None:
            sums.products.add_to(self.scatter, self.weighted_scatter)

    def offsets(self) -> Tensor:
        """Mean less centre, (K, d); zero where a class has no samples."""
        return self.residuals / self.counts.clamp(min=1)[:, None]

    def move(self, classes: Tensor, centres: Tensor) -> None:
        """Take the moments of `classes` (m,) about new `centres` (m, d)."""
        shift = centres - self.centres[classes]
        moved = self.counts[classes][:, None] * shift
        midway = self.residuals[classes] - moved / 2
        self.squares[classes] -= 2 * torch.linalg.vecdot(shift, midway)
        weights = None if self.class_counts is None else 1 / self.class_counts[classes].clamp(min=1).double()
        add_crosses(self.scatter, self.weighted_scatter, shift, -midway, weights)
        self.residuals[classes] -= moved
        self.centres[classes] = centres

    def tend_centres(self, classes: Tensor, *, narrow: bool) -> None:
        """Move the centres of `classes` that lie too far off their means. `narrow` keeps them exact in float32."""
        self.narrow &= narrow
        counts = self.counts[classes]
        # Seldom enough to cost next to nothing; up to _PATIENCE samples even an outlier as centre costs no digit.
        due = counts >= (2 * self.checked_at[classes]).clamp(min=_PATIENCE)
        classes, counts = classes[due], counts[due]
        if not len(classes):
            return
        self.checked_at[classes] = counts
        offsets = self.residuals[classes] / counts[:, None]
        far = counts * torch.linalg.vecdot(offsets, offsets) > _MAX_SHARE * self.squares[classes]
        if bool(far.any()):
            means = self.centres[classes[far]] + offsets[far]
            self.move(classes[far], means.float().double() if narrow else means)

    def narrow_centres(self, classes: Tensor) -> None:
        """Round the centres of `classes` to float32, so that residuals of float32 rows are formed without error.

        A centre beyond the range of float32 stays: rows of its class are then summed in float64.
        """
        if self.narrow:
            return
        centres = self.centres[classes]
        rounded = centres.float().double()
        wide = (rounded != centres).any(dim=1) & rounded.isfinite().all(dim=1)
        if bool(wide.any()):
            self.move(classes[wide], rounded[wide])
        self.narrow = len(classes) == len(self.counts)

    def merge(self, other: "Moments") -> None:
        """Add the moments of other samples, both first moved to the joint means. `other` changes its centres too."""
        own, joint = self.centres + self.offsets(), other.centres + other.offsets()
        share = other.counts / (self.counts + other.counts).clamp(min=1)
        centres = own + share[:, None] * (joint - own)
        every = torch.arange(len(centres), device=centres.device)
        self.narrow = False
        self.move(every, centres)
        other.move(every, centres)
        sums = (other.residuals, other.squares, other.norms, other.largest, other.scatter, other.weighted_scatter)
        self.add(every, other.counts, Sums(*sums))

    def all_reduce(self, reduce: Callable[[Tensor, str], object]) -> None:
        """Add the moments of all ranks, each first moved to the joint means.

        `reduce(tensor, "sum")` replaces a tensor by its sum over ranks, `reduce(tensor, "max")` by the largest.
        """
        total, means = self.counts.clone(), self.counts[:, None] * (self.centres + self.offsets())
        reduce(total, "sum")
        reduce(means, "sum")
        self.narrow = False
        self.move(torch.arange(len(means), device=means.device), means / total.clamp(min=1)[:, None])
        for name, tensor in self.tensors():
            if name not in ("centres", "checked_at", "class_counts"):
                reduce(tensor, "max" if name == "largest" else "sum")

    def to(self, device: torch.device) -> "Moments":
        """The same moments on another device."""
        return replace(self, **{name: tensor.to(device) for name, tensor in self.tensors()})
