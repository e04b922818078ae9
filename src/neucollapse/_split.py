"""One split of `measure`: its statistics and decisions, collected in two passes over its rows, and its metrics.

Nothing of size N is kept between and after the passes, but for a few samples where features can be drawn.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from . import geometry
from .metrics import REGISTRY, CollapseResult, Decisions, Flag, collapse_metrics, names
from .sources import Rows, from_all_ranks
from .statistics import ClassStatistics, ScatterByClass

_FULL_UP_TO = 8192  # dimensions; beyond, a (d, d) scatter in float64 takes over half a gigabyte
_SOLVE_UP_TO = 5000  # K d
_DRAW_UP_TO = 2000  # classes whose optimal code is aligned for the report
_SAMPLE = 2000  # features kept for drawing, where they can be drawn: d = 2 and d = 3
Head = tuple[Tensor | None, Tensor | None]
"""Weight (K, d) and bias (K,) of the classifier, as far as there is one."""


@dataclass(frozen=True)
class Chosen:
    """What `measure` was asked for, beyond the data."""

    preset: str | None
    exact_margins: bool | None
    optimum: Literal["lookup", "solve"] | None
    scatter: Literal["auto", "full", "trace", "class"]
    second_pass: bool
    ignore_index: int
    nan: Literal["raise", "drop"]
    seed: int
    progress: bool
    min_samples: int


@dataclass(frozen=True)
class Shared:
    """What the metrics of every split share: out-of-distribution features, the code that was solved for, what is left out."""

    ood: ClassStatistics | None
    solved: geometry.Optimum | None
    left_out: list[int]


class Split:
    """The statistics of one split, of its features and inner layers, as they are and at unit norm."""

    def __init__(self, K: int, d: int, chosen: Chosen) -> None:
        self._K, self._chosen = K, chosen
        self._settings: dict[str, Any] = {"ignore_index": chosen.ignore_index, "nan": chosen.nan}
        self._stats: dict[str, tuple[ClassStatistics, ClassStatistics]] = {"": self._make(d)}
        self._decisions: dict[str, Decisions] = {}
        self._sample = _Sample(_SAMPLE) if d in (2, 3) else None
        self._by_class = ScatterByClass(K, d, **self._settings) if chosen.scatter == "class" else None

    def _make(self, d: int) -> tuple[ClassStatistics, ClassStatistics]:
        asked = self._chosen.scatter
        scatter = "trace" if asked == "trace" or (asked == "auto" and d > _FULL_UP_TO) else "full"
        plain, unit = (
            ClassStatistics(self._K, d, scatter, normalize=normalize, **self._settings) for normalize in (False, True)
        )
        return plain, unit

    @property
    def plain(self) -> ClassStatistics:
        """Statistics of the features that the classifier takes."""
        return self._stats[""][0]

    @property
    def unit(self) -> ClassStatistics:
        """Statistics of the same features at unit norm."""
        return self._stats[""][1]

    @property
    def every(self) -> list[ClassStatistics]:
        """Statistics of these features and of those of every inner layer."""
        return [plain for plain, _ in self._stats.values()]

    def read(self, batches: Iterable[Rows], left_out: Tensor | None = None) -> None:
        """The first pass; afterwards every rank holds the statistics of all.

        Samples of the classes that the mask `left_out` (K,) marks are passed over.
        """
        for rows in batches:
            if left_out is not None:
                labels = rows.labels.where(rows.labels != self._chosen.ignore_index, 0)
                rows = rows.keep(~left_out.to(labels.device)[labels])
            if self._by_class is not None:
                self._by_class.update(rows.features, rows.labels)
            for layer, features in {"": rows.features, **rows.layers}.items():
                if layer not in self._stats:
                    self._stats[layer] = self._make(features.shape[-1])
                for stats in self._stats[layer]:
                    stats.update(features, rows.labels)
            if self._sample is not None:
                kept = (rows.labels != self._chosen.ignore_index) & torch.isfinite(rows.features).all(-1)
                self._sample.add(rows.features[kept], rows.labels[kept])
        # Layers of any rank, in one order: a rank without samples has not met them.
        dims = from_all_ranks({layer: plain.dim for layer, (plain, _) in self._stats.items()})
        for layer, d in {layer: d for of_rank in dims for layer, d in of_rank.items()}.items():
            for stats in self._stats.setdefault(layer, self._make(d)):
                stats.all_reduce()
        if self._by_class is not None:
            self._by_class.all_reduce()

    def decide(self, batches: Iterable[Rows], reference: "Split", head: Head) -> None:
        """The second pass: decisions against the class means of `reference`; none where no rows come."""
        for layer in self._stats:
            classifier = head if layer == "" else (None, None)
            means = reference._stats[layer][0]
            self._decisions[layer] = Decisions(means, *classifier, min_samples=self._chosen.min_samples)
        count = 0
        for rows in batches:
            count += len(rows.labels)
            for layer, features in {"": rows.features, **rows.layers}.items():
                self._decisions[layer].update(features, rows.labels, rows.logits if layer == "" else None)
        for decisions in self._decisions.values():
            decisions.all_reduce()
        if not any(from_all_ranks(count)):
            self._decisions.clear()

    @property
    def is_decided(self) -> bool:
        """Whether the second pass has seen rows."""
        return bool(self._decisions)

    def metrics(self, reference: "Split", head: Head, shared: Shared, before: CollapseResult | None) -> CollapseResult:
        """The metrics on the features, then on each inner layer. `before` is the split already done."""
        chosen = names(self._chosen.preset)
        # The classifier is the same for every split: its numbers are copied, not computed again.
        keys = chosen if before is None else [key for key in chosen if not REGISTRY[key].of_classifier]
        result = self._of_layer("", reference, head, shared, keys)
        if before is not None:
            for mine, other in zip(result.tables(), before.tables(), strict=True):
                mine.update({key: value for key, value in other.items() if key.endswith("@weight")})
        inner_keys = [key for key in keys if REGISTRY[key].suits_a_layer]
        for layer in [layer for layer in self._stats if layer]:
            inner = self._of_layer(layer, reference, (None, None), shared, inner_keys)
            for mine, other in zip(result.tables()[:3], inner.tables()[:3], strict=True):
                mine.update({f"{key}@layer:{layer}": value for key, value in other.items()})
            result.flags += [Flag(f.code, f.sentence, f"{f.where}@layer:{layer}", f.severity) for f in inner.flags]
        if self._sample is not None:
            result.arrays.update(self._sample.arrays())
        return result

    def _of_layer(self, layer: str, reference: "Split", head: Head, shared: Shared, keys: list[str]) -> CollapseResult:
        plain, unit = self._stats[layer]
        return collapse_metrics(
            plain,
            *head,
            unit,
            keys=keys,
            decisions=self._decisions.get(layer),
            reference=reference._stats[layer][0],
            by_class=None if layer else self._by_class,
            ood=None if layer else shared.ood,
            solved=shared.solved,
            optimum=self._chosen.optimum is not None,
            exact_margins=self._chosen.exact_margins,
            min_samples=self._chosen.min_samples,
            left_out=shared.left_out,
        )

    def solved(self) -> geometry.Optimum | None:
        """A code that was searched for the size of these means; None where the best is proved, or the search too long."""
        K, d = int(self.plain.present.sum()), self.plain.dim
        if K < 2 or K * d > _SOLVE_UP_TO or geometry.best_known(K, d).status == "proved":
            return None
        return geometry.solve(geometry.SoftmaxCode(K, d), seed=self._chosen.seed, progress=False).optimum()

    def target(self, solved: geometry.Optimum | None) -> Tensor | None:
        """The best known code, turned and numbered to lie as close as possible to the class means."""
        means = self.unit.class_means.cpu()
        K, d = means.shape
        if self._chosen.optimum is None or K < 2 or K > _DRAW_UP_TO or not bool(torch.isfinite(means).all()):
            return None
        known = geometry.best_known(K, d)
        points = known.points if known.points is not None else None if solved is None else solved.points
        return None if points is None else geometry.align(points, means)


class _Sample:
    """A uniform sample of a stream: the rows with the smallest random keys."""

    def __init__(self, size: int) -> None:
        self._size, self._generator = size, torch.Generator().manual_seed(0)
        self._kept: tuple[Tensor, ...] | None = None

    def add(self, features: Tensor, labels: Tensor) -> None:
        X, y = features.detach().reshape(-1, features.shape[-1]).double().cpu(), labels.detach().reshape(-1).cpu()
        new = torch.rand(len(y), generator=self._generator), X, y
        merged = new if self._kept is None else tuple(torch.cat(both) for both in zip(self._kept, new, strict=True))
        kept = merged[0].argsort()[: self._size]
        self._kept = tuple(part[kept] for part in merged)

    def arrays(self) -> dict[str, Tensor]:
        if self._kept is None:
            return {}
        return {"features_sample": self._kept[1], "labels_sample": self._kept[2]}
