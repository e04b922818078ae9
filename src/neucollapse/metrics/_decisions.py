"""What the classifier and the nearest class mean decide, sample by sample: counts and margins from a second pass."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .._errors import InputError
from .._labels import flat_labels
from .._types import Float, Int
from ..statistics import ClassStatistics
from ..statistics._subset import without_classes
from ._rows import directions, unit_of

_BINS = 400  # of the cosine margin over [-2, 2]; the least margin is kept exactly
_TILE = 1 << 22  # entries of a block of logits
_LARGE = 1e120  # products of lengths up to here, and down to its inverse, are of squares that double precision holds


class Decisions:
    r"""Counts over samples, given the class means of a reference split (the training split, or the split itself).

    Streams like `ClassStatistics`, in memory O(K d) plus a block of logits, and merges over ranks. It keeps:

    - how often the classifier is right, the nearest reference mean is right, and the two differ (with and without bias);
    - margins: of logits z_y - max_{j != y} z_j, and of cosines cos(w_y, h) - max_{j != y} cos(w_j, h);
    - squared distances to the reference mean of the true class and to the nearest reference mean (test collapse), and how
      many samples are strangers: of a class that the reference has no mean of;
    - the largest squared length of a feature.

    Sums of squares are in units of `unit` squared: a power of two, 1 for features of ordinary sizes.

    Args:
        reference: statistics whose class means decide; classes without samples there are never nearest.
        weight: classifier rows (K, d), or None.
        bias: (K,), or None.
        min_samples: classes with fewer samples in `reference` are left out: never nearest, and their samples not counted.

    Reference:
        Papyan, Han, Donoho 2020 (NC4); Gao et al. 2023 (arXiv 2310.08358) for margins.
    """

    def __init__(
        self,
        reference: ClassStatistics,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        *,
        min_samples: int = 1,
    ) -> None:
        K, d = reference.num_classes, reference.dim
        if weight is not None and tuple(weight.shape) != (K, d):
            raise InputError(f"expected weight of shape ({K}, {d}), got {tuple(weight.shape)}")
        self.ignore_index, self.nan = reference.ignore_index, reference.nan
        self.min_samples, self._few = min_samples, (reference.counts < min_samples) & (min_samples > 1)
        reference = without_classes(reference, self._few)
        self._origin = reference.global_mean()
        means = reference.centred_means()
        self.unit = unit_of(means, reference.class_variances)
        self._means = means / self.unit
        self._mean_squares = torch.linalg.vecdot(self._means, self._means).nan_to_num(nan=torch.inf)
        device = self._means.device
        self._weight = None if weight is None else weight.detach().to(device, torch.float64)
        self._bias = None if bias is None else bias.detach().to(device, torch.float64)
        self.counts: dict[str, int] = dict.fromkeys(
            ("samples", "linear", "nearest", "differ", "differ_without_bias", "strangers"), 0
        )
        self.sums: dict[str, float] = dict.fromkeys(
            ("to_own_mean", "to_nearest_mean", "squared_norm", "cosine_margin"), 0.0
        )
        self.least = {"margin": torch.inf, "cosine_margin": torch.inf}
        self.largest = {"squared_norm": 0.0}
        self.histogram = torch.zeros(_BINS, dtype=torch.float64, device=device)

    @property
    def edges(self) -> Float[Tensor, "bins"]:
        """Edges of the histogram of cosine margins."""
        return torch.linspace(-2, 2, _BINS + 1, dtype=torch.float64)

    def update(self, features: Tensor, labels: Tensor, logits: Tensor | None = None) -> None:
        """Add a batch of features (..., d) and labels (...); `logits` (..., K) are the model's own, where it has them."""
        H = features.detach().reshape(-1, features.shape[-1])
        y = flat_labels(labels, features.shape[:-1]).to(H.device)
        Z = None if logits is None else logits.detach().reshape(len(H), -1)
        kept = y != self.ignore_index
        kept = kept & ~self._few[y.where(kept, 0).to(self._few.device)].to(kept.device)
        if self.nan == "drop":
            kept &= torch.isfinite(H).all(dim=1)
        device = self._means.device
        step = max(1, _TILE // len(self._means))
        for rows in kept.nonzero()[:, 0].split(step):
            own = None if Z is None else Z[rows].to(device, torch.float64)
            self._add(H[rows].to(device, torch.float64), y[rows].to(device), own)

    def _add(self, H: Float[Tensor, "n d"], y: Int[Tensor, "n"], Z: Tensor | None) -> None:
        if not len(y):  # every row of the batch is left out
            return
        self.counts["samples"] += len(y)
        R = (H - self._origin) / self.unit
        # |h - mu|^2 up to |h|^2, which no decision depends on; the winner's distance is then formed exactly.
        nearest = (self._mean_squares - 2 * R @ self._means.nan_to_num().T).argmin(dim=1)
        self.counts["nearest"] += int((nearest == y).sum())
        own, closest = R - self._means[y].nan_to_num(), R - self._means[nearest]
        self.counts["strangers"] += int((self._mean_squares[y] == torch.inf).sum())
        self.sums["to_own_mean"] += float(own.square().sum())
        self.sums["to_nearest_mean"] += float(closest.square().sum())
        squares = (H / self.unit).square().sum(dim=1)
        self.sums["squared_norm"] += float(squares.sum())
        self.largest["squared_norm"] = max(self.largest["squared_norm"], float(squares.max()))
        if self._weight is not None:
            self._add_classifier(H, y, nearest, Z)

    def _add_classifier(self, H: Tensor, y: Tensor, nearest: Tensor, Z: Tensor | None) -> None:
        W = self._weight
        assert W is not None  # noqa: S101 - for the type checker
        products = H @ W.T
        logits = Z if Z is not None else products if self._bias is None else products + self._bias
        decided = logits.argmax(dim=1)
        self.counts["linear"] += int((decided == y).sum())
        self.counts["differ"] += int((decided != nearest).sum())
        self.counts["differ_without_bias"] += int((products.argmax(dim=1) != nearest).sum())
        if len(W) < 2 or not len(y):
            return
        self.least["margin"] = min(self.least["margin"], float(_margins(logits, y).min()))
        lengths = torch.linalg.vector_norm(H, dim=1)[:, None] * torch.linalg.vector_norm(W, dim=1)
        if 1 / _LARGE < float(lengths.min()) and float(lengths.max()) < _LARGE:
            cosine = _margins(products / lengths, y)
        else:  # zero rows, or squares that overflow or vanish
            cosine = _margins(directions(H) @ directions(W).T, y)
        self.least["cosine_margin"] = min(self.least["cosine_margin"], float(cosine.min()))
        self.sums["cosine_margin"] += float(cosine.sum())
        place = ((cosine + 2) * (_BINS / 4)).long().clamp(0, _BINS - 1)
        self.histogram += torch.bincount(place, minlength=_BINS)

    def quantile(self, q: float) -> float:
        """Quantile of the cosine margin, to half a bin (0.005)."""
        place = int(torch.searchsorted(self.histogram.cumsum(0), q * self.histogram.sum()))
        return -2 + (min(place, _BINS - 1) + 0.5) * 4 / _BINS

    def all_reduce(self, group: "torch.distributed.ProcessGroup | None" = None) -> None:
        """Add the counts of all ranks; without an initialised process group it does nothing."""
        import torch.distributed as dist

        if not (dist.is_available() and dist.is_initialized()):
            return
        device = self.histogram.device

        def reduced(values: Mapping[str, int | float], op: dist.ReduceOp.RedOpType) -> dict[str, float]:
            tensor = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
            dist.all_reduce(tensor, op=op, group=group)
            return dict(zip(values, tensor.tolist(), strict=True))

        self.counts = {name: round(count) for name, count in reduced(self.counts, dist.ReduceOp.SUM).items()}
        self.sums = reduced(self.sums, dist.ReduceOp.SUM)
        self.least = reduced(self.least, dist.ReduceOp.MIN)
        self.largest = reduced(self.largest, dist.ReduceOp.MAX)
        dist.all_reduce(self.histogram, group=group)


def _margins(scores: Float[Tensor, "n K"], y: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
    own = scores.gather(1, y[:, None])[:, 0]
    return own - scores.scatter(1, y[:, None], -torch.inf).max(dim=1).values
