"""What ``measure`` keeps of one split between and after its two passes: statistics, decisions, a few samples."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ._sources import Rows, from_all_ranks
from .metrics import Decisions
from .statistics import ClassStatistics, ScatterByClass

_FULL_UP_TO = 8192  # dimensions; beyond, a (d, d) scatter in float64 takes over half a gigabyte
_SAMPLE = 2000  # features kept for drawing, where they can be drawn: d = 2 and d = 3


class Collected:
    """The statistics of one split, of its features and inner layers, as they are and at unit norm."""

    def __init__(self, K: int, d: int, scatter: str, settings: dict[str, Any]) -> None:
        self._K, self._scatter, self._settings = K, scatter, settings
        self._stats: dict[str, tuple[ClassStatistics, ClassStatistics]] = {"": self._make(d)}
        self.decisions: dict[str, Decisions] = {}
        self._sample = _Sample(_SAMPLE) if d in (2, 3) else None
        self.by_class = ScatterByClass(K, d, **settings) if scatter == "class" else None

    def _make(self, d: int) -> tuple[ClassStatistics, ClassStatistics]:
        auto = "full" if d <= _FULL_UP_TO else "trace"
        scatter = {"auto": auto, "class": "full"}.get(self._scatter, self._scatter)
        plain, unit = (
            ClassStatistics(self._K, d, scatter, normalize=normalize, **self._settings) for normalize in (False, True)
        )
        return plain, unit

    @property
    def layers(self) -> list[str]:
        """Names of the inner layers."""
        return [layer for layer in self._stats if layer]

    def statistics(self, layer: str) -> tuple[ClassStatistics, ClassStatistics]:
        """Statistics of a layer (``""``: of the features the classifier takes), plain and at unit norm."""
        return self._stats[layer]

    def read(self, batches: Iterable[Rows], left_out: Tensor | None = None) -> None:
        """The first pass; afterwards every rank holds the statistics of all.

        Samples of the classes that the mask ``left_out`` (K,) marks are passed over.
        """
        for rows in batches:
            if left_out is not None:
                labels = rows.labels.where(rows.labels != self._settings["ignore_index"], 0)
                rows = rows.keep(~left_out.to(labels.device)[labels])
            if self.by_class is not None:
                self.by_class.update(rows.features, rows.labels)
            for layer, features in {"": rows.features, **rows.layers}.items():
                if layer not in self._stats:
                    self._stats[layer] = self._make(features.shape[-1])
                for stats in self._stats[layer]:
                    stats.update(features, rows.labels)
            if self._sample is not None:
                kept = (rows.labels != self._settings["ignore_index"]) & torch.isfinite(rows.features).all(-1)
                self._sample.add(rows.features[kept], rows.labels[kept])
        for layer, d in _layers_of_all_ranks({layer: stats.dim for layer, (stats, _) in self._stats.items()}).items():
            for stats in self._stats.setdefault(layer, self._make(d)):
                stats.all_reduce()
        if self.by_class is not None:
            self.by_class.all_reduce()

    def decide(
        self,
        batches: Iterable[Rows],
        reference: "Collected",
        W: Tensor | None,
        b: Tensor | None,
        min_samples: int = 1,
    ) -> bool:
        """The second pass: decisions against the class means of ``reference``. Whether any rows came."""
        for layer in self._stats:
            classifier = (W, b) if layer == "" else (None, None)
            self.decisions[layer] = Decisions(reference.statistics(layer)[0], *classifier, min_samples=min_samples)
        count = 0
        for rows in batches:
            count += len(rows.labels)
            for layer, features in {"": rows.features, **rows.layers}.items():
                self.decisions[layer].update(features, rows.labels, rows.logits if layer == "" else None)
        for decisions in self.decisions.values():
            decisions.all_reduce()
        if not any(from_all_ranks(count)):
            self.decisions.clear()
        return bool(self.decisions)

    def sample(self) -> dict[str, Tensor]:
        """A few features with their labels, where they can be drawn."""
        return {} if self._sample is None else self._sample.arrays()


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


def _layers_of_all_ranks(dims: dict[str, int]) -> dict[str, int]:
    """Layers and their dimensions on any rank, in one order: a rank without samples has not met them."""
    return {layer: d for one in from_all_ranks(dims) for layer, d in one.items()}
