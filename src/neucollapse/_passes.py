"""The two passes of ``measure`` over its sources, and the metrics of every split, inner layer and the classifier."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import geometry
from ._collect import Collected
from ._environment import command_line, environment
from ._errors import InputError
from ._memory import check_memory
from ._numbering import Numbering
from ._progress import track
from ._sources import Rows, Source
from .metrics import REGISTRY, CollapseResult, Flag, collapse_metrics, names
from .probe import disagreement_sentence
from .statistics import ClassStatistics

_SOLVE_UP_TO = 5000  # K d
_DRAW_UP_TO = 2000  # classes whose optimal code is aligned for the report


@dataclass(frozen=True)
class Chosen:
    """What was asked for, beyond the data."""

    preset: str | None
    exact_margins: bool | None
    optimum: str | None
    scatter: str
    second_pass: bool
    ignore_index: int
    nan: str
    seed: int
    progress: bool
    min_samples: int = 1

    @property
    def statistics(self) -> dict[str, Any]:
        """Settings of the statistics."""
        return {"ignore_index": self.ignore_index, "nan": self.nan}


def two_passes(
    sources: dict[str, Source],
    numbering: Numbering,
    classifier: tuple[Tensor | None, Tensor | None],
    outside: Callable[[], ClassStatistics] | None,
    chosen: Chosen,
) -> CollapseResult:
    """Both passes, then the metrics of every split."""
    dims = {name: source.dim for name, source in sources.items()}
    if len(set(dims.values())) > 1:
        raise InputError(f"expected splits of one feature dimension, got {dims}")
    dim = next(iter(dims.values()))
    W, b = classifier
    K = numbering.num_classes
    each = 2 * 8 * K * (2 * dim + 4)  # as they are and at unit norm; what is allocated one by one may fit, and all not
    check_memory(len(sources) * each, f"statistics of {K} classes in {dim} dimensions")

    def rows(name: str, words: str) -> Iterator[Rows]:
        source = sources[name]
        return track(numbering.rows(source), source.batches(), f"{words} {name}", show=chosen.progress)

    def collect(left_out: Tensor | None = None) -> tuple[dict[str, Collected], Collected]:
        found = {name: Collected(K, dim, chosen.scatter, chosen.statistics) for name in sources}
        for name, own in found.items():
            own.read(rows(name, "statistics"), left_out)
        return found, found["train" if "train" in found else next(iter(found))]

    collected, reference = collect()
    few = _few(collected, reference, chosen.min_samples)
    if few.any() and all(source.repeatable for source in sources.values()):
        collected, reference = collect(few)
    decided = {
        name: sources[name].repeatable and own.decide(rows(name, "decisions"), reference, W, b, chosen.min_samples)
        for name, own in collected.items()
        if chosen.second_pass
    }
    solved = _solve(reference, chosen.seed) if chosen.optimum == "solve" else None
    ood = None if outside is None else outside()
    common = {
        "ood": ood,
        "solved": solved,
        "optimum": chosen.optimum is not None,
        "exact_margins": chosen.exact_margins,
        "min_samples": chosen.min_samples,
        "left_out": few.nonzero()[:, 0].tolist(),
    }
    parts: dict[str, CollapseResult] = {}
    for name, own in collected.items():
        parts[name] = _metrics(own, reference, W, b, next(iter(parts.values()), None), chosen.preset, common)
        if not decided.get(name, True):
            parts[name].flags.append(_READ_ONCE)
    result = CollapseResult.join(parts, _info(sources, numbering, dim, chosen, parts))
    result.flags += _classifier_flags(next(iter(sources.values())), numbering, W)
    for name, array in (("weight", W), ("bias", b), ("target", _target(reference, solved, chosen.optimum))):
        if array is not None:
            result.arrays[name] = array.detach().to("cpu", torch.float64)
    return result


def _few(collected: dict[str, Collected], reference: Collected, min_samples: int) -> Tensor:
    """Which classes (K,) have too few samples, if any of them has a share in a (d, d) sum, out of which nothing comes again."""
    largest = int(reference.statistics("")[0].counts.max())
    if min_samples < 1 or min_samples > max(1, largest):
        raise InputError(
            f"expected min_samples between 1 and {largest}, the samples of the largest class, got {min_samples}"
        )
    few = (reference.statistics("")[0].counts < min_samples).cpu()
    every = [own.statistics(layer)[0] for own in collected.values() for layer in ("", *own.layers)]
    counts = torch.stack([stats.counts.cpu() for stats in every]).amax(dim=0)
    few &= counts > 0
    in_sum = any(stats.scatter == "full" for stats in every) and bool((few & (counts > 1)).any())
    return few if in_sum and bool((~few & (counts > 0)).any()) else torch.zeros_like(few)


_READ_ONCE = Flag(
    "one_pass_only",
    "The data could be read once only (an iterator): decisions and margins were not measured.",
    severity="warning",
)


def _info(
    sources: dict[str, Source], numbering: Numbering, dim: int, chosen: Chosen, parts: dict[str, CollapseResult]
) -> dict[str, Any]:
    head = next(iter(sources.values())).classifier
    return {
        "num_classes": numbering.num_classes,
        "dim": dim,
        "class_names": numbering.class_names,
        "classifier": None if head is None else head.name,
        "seed": chosen.seed,
        "command": command_line(),
        "environment": environment(),
        "citations": sorted({key for part in parts.values() for key in part.info["citations"]} | {"neucollapse"}),
    }


def _classifier_flags(first: Source, numbering: Numbering, W: Tensor | None) -> list[Flag]:
    """What a reader must know of the classifier, whatever the split."""
    flags = []
    head = first.classifier
    if head is not None and head.disagreement:
        flags.append(Flag("classifier_differs", f"{disagreement_sentence(head)}.", severity="warning"))
    if head is not None and head.is_affine is False:
        sentence = (
            f"The classifier {head} does not return W h + b (it normalises inside, say): what compares its rows with "
            "class means uses W as it is stored; decisions and accuracies are its own."
        )
        flags.append(Flag("classifier_not_affine", sentence))
    if numbering.is_alphabetical and W is not None:
        sentence = (
            "Labels are names, and the rows of weight are taken to follow them in alphabetical order: class_names= says "
            "another order."
        )
        flags.append(Flag("alphabetical_rows", sentence, severity="warning"))
    return flags


def _metrics(
    own: Collected,
    reference: Collected,
    W: Tensor | None,
    b: Tensor | None,
    before: CollapseResult | None,
    preset: str | None,
    common: dict[str, Any],
) -> CollapseResult:
    """The metrics of one split: on the features, then on each inner layer. ``before`` is the split already done."""
    chosen = names(preset)
    # The classifier is the same for every split: its numbers are copied, not computed again.
    keys = chosen if before is None else [key for key in chosen if not REGISTRY[key].of_classifier]
    stats, normalized = own.statistics("")
    options = {"decisions": own.decisions.get(""), "reference": reference.statistics("")[0], "by_class": own.by_class}
    result = collapse_metrics(stats, W, b, normalized, keys=keys, **options, **common)
    if before is not None:
        for mine, other in zip(result.tables(), before.tables(), strict=True):
            mine.update({key: value for key, value in other.items() if key.endswith("@weight")})
    for layer in own.layers:
        stats, normalized = own.statistics(layer)
        options = {"decisions": own.decisions.get(layer), "reference": reference.statistics(layer)[0]}
        inner_keys = [key for key in keys if REGISTRY[key].suits_a_layer]
        inner = collapse_metrics(stats, None, None, normalized, keys=inner_keys, **options, **{**common, "ood": None})
        for mine, other in zip(result.tables()[:3], inner.tables()[:3], strict=True):
            mine.update({f"{key}@layer:{layer}": value for key, value in other.items()})
        result.flags += [Flag(f.code, f.sentence, f"{f.where}@layer:{layer}", f.severity) for f in inner.flags]
    result.arrays.update(own.sample())
    return result


def _solve(reference: Collected, seed: int) -> geometry.Optimum | None:
    stats = reference.statistics("")[0]
    K, d = int(stats.present.sum()), stats.dim
    if K < 2 or K * d > _SOLVE_UP_TO or geometry.best_known(K, d).status == "proved":
        return None
    return geometry.solve(geometry.SoftmaxCode(K, d), seed=seed, progress=False).optimum()


def _target(reference: Collected, solved: geometry.Optimum | None, optimum: str | None) -> Tensor | None:
    """The best known code, turned and numbered to lie as close as possible to the class means."""
    means = reference.statistics("")[1].class_means.cpu()
    K, d = means.shape
    if optimum is None or K < 2 or K > _DRAW_UP_TO or not bool(torch.isfinite(means).all()):
        return None
    known = geometry.best_known(K, d)
    points = known.points if known.points is not None else None if solved is None else solved.points
    return None if points is None else geometry.align(points, means)
