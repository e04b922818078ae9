"""`ClassStatistics`: all that collapse metrics need to know of N features, in one pass and O(K d + d^2) memory."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from msgspec.structs import asdict
from torch import Tensor

from .._environment import numba_available
from .._errors import InputError, MissingExtraError
from .._files import fitting_contents, load_tensors, save_tensors
from .._labels import Labels, label_tensor
from .._records import checked
from .._schema import Statistics
from ._batch import DTYPES, Batch, check_batch, finite_rows
from ._blocks import Scratch, Sums
from ._derived import DerivedStatistics, check_choice
from ._identity import check_same_on_all_ranks, check_same_settings
from ._moments import Moments
from ._precision import Precision
from ._sums import residual_sums, working_dtype

NaNs = Literal["raise", "drop", "propagate"]
"""What a row with NaN or infinity does."""

_SMALLEST = 1e-140  # size of an entry below which squares lose digits in float64 too


class _Part(NamedTuple):
    """A batch summed up: its m distinct classes, their counts and the sums about their centres."""

    classes: Tensor
    counts: Tensor
    new: Tensor  # (m,), which of them had no samples before
    sums: Sums


class ClassStatistics(DerivedStatistics):
    r"""Counts, means, variances and norms of each class, and the pooled within-class scatter, from a stream.

    One pass, any number of batches, in any order, on any number of ranks. Sums are taken about a provisional centre
    of each class (near the mean of its first samples), so that nothing cancels near collapse or under a common offset.
    Over the K' classes present,

    $$
    \mu_c = \frac1{n_c}\sum_{y_i = c} h_i, \qquad
    S_W = \frac1N \sum_i (h_i - \mu_{y_i})(h_i - \mu_{y_i})^\top, \qquad
    S_B = \frac1{K'}\sum_c (\mu_c - \mu_G)(\mu_c - \mu_G)^\top .
    $$

    Averages can weigh each `"class"` alike or each `"sample"` alike, always by name; with equal counts they agree.

    Sums are kept in float64. float64 features are added in float64 throughout (error below 1e-9 of the scatter), and so
    are others up to 64 dimensions. In more, float32 residuals are added in short blocks, about a centre that the rows of
    the block vouch for, and blocks in float64 (error below 1e-6 of the scatter, whatever the order and the outliers).
    float16 and bfloat16 are widened to float32 first. Where squares leave the range of float64 they are infinite, and
    the class means still right. Memory is O(K d) with `scatter="trace"` and O(K d + d^2) with `"full"`, never O(N). On
    CUDA the sums over a class are run-to-run exact only under `torch.use_deterministic_algorithms(True)`.

    Args:
        num_classes: K.
        dim: d.
        scatter: `"full"` keeps the (d, d) scatter, `"trace"` only its trace, class by class.
        normalize: keep the statistics of h / ||h|| instead of h. A zero row stays zero and is counted.
        class_counts: how many samples each class will have, where known beforehand. With it the class-weighted scatter
            (1/K') sum_c S_c / n_c is kept too; no single pass can form that without.
        ignore_index: label of rows to leave out. Any other label outside [0, K) is an error.
        nan: what a row with NaN or infinity does: `"raise"`, `"drop"` (and be counted) or `"propagate"`.
        method: how traces of raw features are summed on the CPU: `"compiled"`, by a loop of numba (extra `fast`);
            `"plain"`, in torch; `"auto"`, compiled where numba is installed and the batch is large.
        device: where the sums live; by default where the first batch is (but MPS has no float64: then the CPU).

    Raises:
        InputError: wrong shapes, float labels, labels out of range, unusable arguments; more classes and dimensions than
            fit into memory, with an estimate, before anything is allocated.
        NonFiniteError: NaN or infinity in the features, with `nan="raise"`. Nothing of that batch is added.
        MissingExtraError: `method="compiled"` without numba.

    Examples:
        >>> stats = ClassStatistics(num_classes=2, dim=2)
        >>> stats.update(torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0]]), torch.tensor([0, 0, 1]))
        >>> stats.class_means.tolist(), stats.class_variances.tolist()
        ([[2.0, 0.0], [0.0, 5.0]], [1.0, 0.0])
    """

    def __init__(
        self,
        num_classes: int,
        dim: int,
        scatter: Literal["full", "trace"] = "full",
        *,
        normalize: bool = False,
        class_counts: Labels | None = None,
        ignore_index: int = -100,
        nan: NaNs = "raise",
        method: Literal["auto", "compiled", "plain"] = "auto",
        device: torch.device | str | None = None,
    ) -> None:
        num_classes, dim = _checked_size("num_classes", num_classes), _checked_size("dim", dim)
        check_choice("scatter", scatter, ("full", "trace"))
        check_choice("nan", nan, ("raise", "drop", "propagate"))
        check_choice("method", method, ("auto", "compiled", "plain"))
        if method == "compiled" and not numba_available():
            raise MissingExtraError("numba", "fast", "ClassStatistics(method='compiled')")
        if not isinstance(ignore_index, int) or isinstance(ignore_index, bool) or not isinstance(normalize, bool):
            raise InputError(
                f"expected ignore_index as an integer and normalize as a bool, got {ignore_index!r} and {normalize!r}"
            )
        if 0 <= ignore_index < num_classes:
            raise InputError(f"expected ignore_index outside [0, {num_classes}), got {ignore_index}, which is a class")
        if class_counts is not None and scatter != "full":
            raise InputError(f"class_counts serve the class-weighted scatter: expected scatter='full', got {scatter!r}")
        self.num_classes, self.dim, self.scatter, self.normalize = num_classes, dim, scatter, normalize
        self.ignore_index, self.nan, self.method = ignore_index, nan, method
        self._class_counts = None if class_counts is None else _checked_counts(class_counts, num_classes)
        self._device = None if device is None else torch.device(device)
        self.reset()

    # ---- collecting --------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget every sample."""
        self._moments = Moments.empty(
            self.num_classes,
            self.dim,
            full=self.scatter == "full",
            class_counts=self._class_counts,
            device=self._device or torch.device("cpu"),
        )
        self.left_out = {"ignored": 0, "non_finite": 0, "zero_norm": 0}
        self._coarsest, self._reduced = -1, False
        self._scratch = Scratch()

    def update(self, features: Tensor, labels: Labels) -> None:
        """Add a batch: `features` (..., d) of a float type, `labels` (...) or (..., 1) of any integer type.

        Token features (B, T, d) go with labels (B, T). A DTensor that is split by rows counts with the rows of this rank.
        A batch that raises is not added, not even in part.
        """
        batch, ignored = check_batch(
            features, labels, num_classes=self.num_classes, dim=self.dim, ignore_index=self.ignore_index
        )
        batch = given = self._to_own_device(batch)
        part = self._sum(batch)
        if self.nan != "propagate" and not part.sums.in_range(batch.features):
            self._forget_centres(part)
            finite = finite_rows(batch, self.nan)
            batch = finite._replace(features=finite.features.double())
            part = self._sum(batch)
        if not self.normalize and part.sums.typical(batch.features) < _SMALLEST and bool(batch.features.any()):
            self._forget_centres(part)
            raise InputError(
                f"expected features above {_SMALLEST:.0e}, got a largest entry of {float(batch.features.abs().max()):.3g}, "
                "whose square float64 cannot hold: multiply all features by one power of two"
            )
        self._coarsest = max(self._coarsest, DTYPES.index(features.dtype))
        self.left_out["ignored"] += ignored
        self.left_out["non_finite"] += len(given.labels) - len(batch.labels)
        self.left_out["zero_norm"] += part.sums.zero_rows
        self._moments.add(part.classes, part.counts, part.sums)
        self._moments.tend_centres(part.classes, narrow=self._working_dtype(batch) == torch.float32)

    def _forget_centres(self, part: _Part) -> None:
        self._moments.centres[part.classes[part.new]] = 0

    def _working_dtype(self, batch: Batch) -> torch.dtype:
        return working_dtype(batch.features, normalize=self.normalize)

    def _to_own_device(self, batch: Batch) -> Batch:
        if self._device is None:
            device = batch.features.device
            self._device = torch.device("cpu") if device.type == "mps" else device
            self.to(self._device)
        return batch._replace(features=batch.features.to(self._device), labels=batch.labels.to(self._device))

    def _sum(self, batch: Batch) -> _Part:
        classes, members, counts = _distinct(batch.labels, self.num_classes)
        if self._working_dtype(batch) == torch.float32:
            self._moments.narrow_centres(classes)
        new = self._moments.counts[classes] == 0  # the centre of a class without samples means nothing yet
        class_counts = self._moments.class_counts
        sums = residual_sums(
            batch.features,
            members,
            classes,
            self._moments.centres,
            new,
            scatter=self.scatter == "full",
            weights=None if class_counts is None else 1 / class_counts[classes].clamp(min=1).double(),
            normalize=self.normalize,
            method=self.method,
            scratch=self._scratch,
        )
        return _Part(classes, counts, new, sums)

    def merge(self, other: "ClassStatistics") -> None:
        """Add what another object has seen, exactly as if this one had seen it. `other` is not changed."""
        if not isinstance(other, ClassStatistics):
            raise InputError(f"expected other statistics to merge, got {type(other).__name__}")
        self._check_settings(other._settings(), other._moments.class_counts, "statistics to merge")
        self._moments.merge(copy.deepcopy(other._moments).to(self.device))
        self._coarsest = max(self._coarsest, other._coarsest)
        self._reduced |= other._reduced  # what all ranks hold must not be added over ranks once more
        for reason, count in other.left_out.items():
            self.left_out[reason] += count

    def _check_settings(self, theirs: object, class_counts: object, what: str) -> None:
        check_same_settings(self._settings(), theirs, self._moments.class_counts, class_counts, what=what)

    def all_reduce(self, group: "torch.distributed.ProcessGroup | None" = None) -> None:
        """Make every rank hold the statistics of all ranks. Call it once, when each rank has seen its own samples.

        Ranks may have seen unequal numbers of samples, or none. Without an initialised process group it does nothing.
        Ranks with other settings, and a second call without a `reset` (the samples would count twice), are an `InputError`
        on every rank.
        """
        import torch.distributed as dist

        if not (dist.is_available() and dist.is_initialized()):
            return
        check_same_on_all_ranks(self._settings(), self._moments.class_counts, reduced=self._reduced, group=group)
        operations = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX}
        self._moments.all_reduce(lambda tensor, how: dist.all_reduce(tensor, op=operations[how], group=group))
        left_out = torch.tensor(list(self.left_out.values()), device=self.device)
        dist.all_reduce(left_out, group=group)
        self.left_out = dict(zip(self.left_out, left_out.tolist(), strict=True))
        coarsest = torch.tensor(self._coarsest, device=self.device)
        dist.all_reduce(coarsest, op=dist.ReduceOp.MAX, group=group)
        self._coarsest, self._reduced = int(coarsest), True

    @property
    def feature_dtype(self) -> torch.dtype | None:
        """The coarsest type that features arrived in, which puts a floor under their scatter; None before any."""
        return None if self._coarsest < 0 else DTYPES[self._coarsest]

    @property
    def precision(self) -> Precision:
        """What these features can tell apart. With `scatter="trace"` the spread counts alike in all coordinates."""
        dtype, means = self.feature_dtype or torch.float64, self.class_means.nan_to_num().cpu()
        shares, variances = self.weights("sample").cpu(), self.coordinate_variances().cpu()
        return Precision.of(dtype, means, shares, variances, num_samples=self.num_samples)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self._settings().items() if value is not None)
        return f"ClassStatistics({settings}): {self.num_samples} samples, {int(self.present.sum())} classes present"

    # ---- keeping -----------------------------------------------------------------------------------------------

    def to(self, device: torch.device | str) -> "ClassStatistics":
        """Move the sums to a device, and future batches with them. The sums stay float64."""
        self._device = torch.device(device)
        self._moments = self._moments.to(self._device)
        return self

    def state_dict(self) -> dict[str, Any]:
        """Settings, counters and tensors; what `load_state_dict` takes."""
        tensors = {name: tensor.clone() for name, tensor in self._moments.tensors()}
        return {**self._counters(), **tensors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state; raises `InputError` if it belongs to statistics with other settings."""
        self._check_settings(state.get("settings"), state.get("class_counts"), "a state")
        counters = _checked_counters(state, self.left_out)
        for name, own in self._moments.tensors():
            given = state.get(name)
            if not isinstance(given, Tensor) or given.shape != own.shape or given.dtype != own.dtype:
                found = f"{given.dtype} {tuple(given.shape)}" if isinstance(given, Tensor) else type(given).__name__
                raise InputError(f"expected {name} as {own.dtype} {tuple(own.shape)} in the state, got {found}")
        for name, own in self._moments.tensors():
            own.copy_(state[name])
        self._moments.narrow = False  # a state does not say which centres are exact in float32
        self.left_out, self._coarsest, self._reduced = counters

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file with a schema name and a SHA-256, atomically."""
        save_tensors(path, dict(self._moments.tensors()), schema=Statistics.SCHEMA, metadata=self._counters())

    @classmethod
    def load(cls, path: str | Path) -> "ClassStatistics":
        """Read a file written by `save`; raises `FileFormatError` if it is damaged or of another kind."""
        tensors, rest = load_tensors(path, schema=Statistics.SCHEMA)
        with fitting_contents(path):
            settings = asdict(checked(path, rest, Statistics).settings)
            # Before anything of the size that the settings claim is allocated.
            if tensors["residuals"].shape != (settings["num_classes"], settings["dim"]):
                raise ValueError(f"sums of the shape {tuple(tensors['residuals'].shape)} and the settings {settings}")
            stats = cls(**settings, class_counts=tensors.get("class_counts"))
            stats.load_state_dict({**tensors, **rest})
        return stats

    def _counters(self) -> dict[str, Any]:
        counters = {"left_out": dict(self.left_out), "coarsest": self._coarsest, "reduced": self._reduced}
        return {"settings": self._settings(), **counters}

    def _settings(self) -> dict[str, Any]:
        names = ("num_classes", "dim", "scatter", "normalize", "ignore_index", "nan")
        return {name: getattr(self, name) for name in names}


def _checked_size(name: str, size: object) -> int:
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise InputError(f"expected {name} as a positive integer, got {size!r}")
    return int(size)


def _checked_counters(state: Mapping[str, Any], like: dict[str, int]) -> tuple[dict[str, int], int, bool]:
    left_out, coarsest, reduced = (state.get(name) for name in ("left_out", "coarsest", "reduced"))
    if not isinstance(left_out, Mapping) or set(left_out) != set(like) or not all(map(_is_count, left_out.values())):
        raise InputError(f"expected left_out as counts of {', '.join(like)} in the state, got {left_out!r}")
    if not isinstance(coarsest, int) or not -1 <= coarsest < len(DTYPES) or not isinstance(reduced, bool):
        raise InputError(
            f"expected coarsest as a number of a type and reduced as a bool, got {coarsest!r}, {reduced!r}"
        )
    return {name: left_out[name] for name in like}, coarsest, reduced


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _distinct(labels: Tensor, K: int) -> tuple[Tensor, Tensor, Tensor]:
    """The classes of a batch in order, the place of each label among them, and their counts."""
    if len(labels) < K:
        return torch.unique(labels, return_inverse=True, return_counts=True)
    counts = torch.bincount(labels, minlength=K)  # by counting instead of sorting
    classes = counts.nonzero()[:, 0]
    number = torch.zeros_like(counts)
    number[classes] = torch.arange(len(classes), device=labels.device)
    return classes, number[labels], counts[classes]


def _checked_counts(class_counts: Labels, num_classes: int) -> Tensor:
    counts = label_tensor(class_counts, name="class_counts")
    if counts.shape != (num_classes,) or bool((counts < 0).any()):
        raise InputError(f"expected class_counts as {num_classes} integers >= 0, got {tuple(counts.shape)}")
    return counts.to("cpu")
