"""Margin, covering and few-shot bounds of Gaussian classes about a code, beside what is measured on draws of them.

The theory stands in `terms` (the margin bound), `covering` (its covering-number form), `permutation_effect`
(relabelling the vertices) and `few_shot` (the nearest class mean of a few samples). This file is the simulation.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...geometry import best_code, polygon, random_permutation, simplex
from .._findings import curve, last, record
from .._model import Comparison, Findings, HeatMap, Line, Model, Plot, Row, Run, State, series
from ..network import initial_network, layer_outputs
from ..solvers import descend
from .covering import covering_bound
from .few_shot import (
    cdnv_bound,
    class_bounds,
    few_shot_error,
    from_gaussians,
    from_pools,
    pair_bounds,
    pair_cdnv,
    pool_moments,
)
from .permutation_effect import Classes, permutation_effect, relabelled_bound, uneven_classes
from .settings import MarginBound
from .terms import gaussian_terms, sample_terms

_FRAMES = ("code", "simplex", "polygon")
_KINDS = ("round", "leaning")
_NAMES = tuple(f"{frame}, {kind}" for frame in _FRAMES for kind in _KINDS)
_ZERO = 1e-12
_SIZES = tuple(10.0**k for k in range(2, 9))
_TERMS = ("share", "complexity", "choice", "confidence")
_COVERED = 1000  # samples of a class for the covering form: a greedy cover of many more takes long
_SOURCES = ("Gaussian classes", "pixels of digits", "digits in a trained network")
_TRAINING = 300  # steps of that network
_BOUNDS = {"bound": "error", "pair bound": "pair_error", "CDNV bound": "pair_error"}


class MarginBoundModel(Model[MarginBound]):
    """Levels of noise, then relabellings of three frames, then few-shot errors for each number of shots."""

    @property
    def _sources(self) -> tuple[str, ...]:
        return _SOURCES if self.settings.digits else _SOURCES[:1]

    def run(self) -> Run:
        """Every level of noise, every frame, every source of samples; ends with the code and the features of digits."""
        s = self.settings
        code = best_code(s.classes, s.dim, budget=5, seed=s.seed, workers=1, progress=False).points
        for level in range(s.levels):
            yield from self._at_noise(code, s.noise * (level + 1) / s.levels, level)
        for frame in _FRAMES:
            yield from self._relabelled(code, frame)
        stream = s.levels + len(_FRAMES)
        end = {"code": code} | (_digit_features(self.generator(stream)) if s.digits else {})
        stream += s.digits
        for name in reversed(self._sources):
            for shots in s.shots:
                yield from self._few_shot(end, name, shots, stream)
                stream += 1
        return end

    def _classes(self, noise: float, lean: float | None = None) -> Classes:
        s = self.settings
        return uneven_classes(s.classes, noise, s.uneven, s.similar if lean is None else lean)

    def _at_noise(self, code: Tensor, noise: float, stream: int) -> list[Row]:
        """Every term on a draw at this noise, with its class means as the classifier, and the error on a fresh draw."""
        s, generator = self.settings, self.generator(stream)
        draw, classes = from_gaussians(code, self._classes(noise).factors(code)), torch.arange(s.classes)
        train, test = draw(s.samples, generator), draw(s.tests, generator)
        sample = train.flatten(0, 1), classes.repeat_interleave(s.samples), train.mean(1)
        terms, _ = sample_terms(*sample, delta=s.delta)
        counted, _ = sample_terms(*sample, delta=s.delta, draws=100, generator=generator)
        priors = torch.full((s.classes,), 1 / s.classes, dtype=torch.float64)
        few = train[:, :_COVERED]
        covering, covers = covering_bound(few.flatten(0, 1), classes.repeat_interleave(few.shape[1]), few.mean(1))
        wrong = (test @ train.mean(1).T).argmax(2) != classes[:, None]
        numbers = terms.summed(priors) | {
            "total with random signs": counted.summed(priors)["total"],
            "covering": covering,
            "covers": float(covers.double().mean()),
            "test error": float(wrong.double().mean()),
            "expected": self._expected(code, noise, s.samples)["total"],
        }
        return record("noise", noise, numbers)

    def _expected(self, code: Tensor, noise: float, samples: int | float) -> dict[str, float]:
        s = self.settings
        counts = torch.full((s.classes,), float(samples), dtype=torch.float64)
        terms, _ = gaussian_terms(code, self._classes(noise).covariances(code), code, counts, delta=s.delta)
        return terms.summed(torch.full_like(counts, 1 / s.classes))

    def _relabelled(self, code: Tensor, frame: str) -> Iterator[Row]:
        """The expected bound of every relabelling, for round noise and for classes that lean."""
        s = self.settings
        points = {"code": code, "simplex": simplex(s.classes), "polygon": polygon(s.classes)}[frame]
        relabellings = [random_permutation(s.classes, seed=s.seed + k) for k in range(s.permutations)]
        for kind, lean in zip(_KINDS, (0.0, max(s.similar, 1.0)), strict=True):
            classes, name = self._classes(s.noise / 2, lean), f"{frame}, {kind}"
            bounds = [relabelled_bound(points, classes, pi, s.samples, s.delta) for pi in relabellings]
            for k, bound in enumerate(bounds):
                yield from record(name, k, {"total": bound["total"]})
            yield from record(name, 0, {f"effect {term}": x for term, x in permutation_effect(bounds).items()})

    def _few_shot(self, state: State, name: str, shots: int, stream: int) -> list[Row]:
        """Measured error of the nearest mean of so many samples, and the bounds by exact moments."""
        s = self.settings
        if name == _SOURCES[0]:
            classes, means = self._classes(s.noise / 2), state["code"]
            draw, covariances = from_gaussians(means, classes.factors(means)), classes.covariances(means)
        else:
            pools = _pixels() if name == _SOURCES[1] else [state["digits"][state["labels"] == k] for k in range(10)]
            draw, (means, covariances) = from_pools(pools), pool_moments(pools)
        found = few_shot_error(draw, shots, s.trials, self.generator(stream))
        pairs = pair_bounds(means, covariances, shots)
        V = pair_cdnv(means, covariances.diagonal(dim1=1, dim2=2).sum(1))
        bounds = {
            "bound": float(class_bounds(pairs).mean()),
            "pair bound": float(pairs.sum() / len(means) / (len(means) - 1)),
            "CDNV bound": float(cdnv_bound(V, shots).mean()),
            "CDNV": float(V.mean()),
        }
        return record(name, shots, found._asdict() | bounds)

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """What was found, beside what is proved."""
        s, (noise, errors), totals = self.settings, series(rows, "test error"), series(rows, "total", "noise")[1]
        effects = {row.series: row.value for row in rows if row.key == "effect total"}
        above = all(total >= error for total, error in zip(totals, errors, strict=True))
        still = max(effects["simplex, round"], effects["simplex, leaning"], effects["polygon, round"])
        useful = sum(total < 1 for total in totals)
        says = f"below 1 at {useful} of {len(totals)}" if useful else "above 1 throughout, so it says nothing"
        few_shot, hold = self._few_shot_sentence(rows)
        sentences = [
            f"Relabelling the vertices changes the margin bound by at most {still:.1e} at a simplex, and at a polygon while "
            f"noise is round; by {effects['code, round']:.2g} at the code in {s.dim} dimensions, and where classes lean "
            f"towards a partner by {effects['code, leaning']:.2g} there and {effects['polygon, leaning']:.2g} at the polygon.",
            f"The margin bound lies {'above' if above else 'BELOW'} the measured test error at every noise level, and is "
            f"{says}: {totals[0]:.3g} against {errors[0]:.3g} at noise {noise[0]:g}, with {s.samples:,} samples a "
            "class. It is a diagnostic, never a guarantee for a trained network.",
            few_shot,
        ]
        agrees = above and hold and still <= _ZERO
        return Findings(sentences, self._comparisons(rows, effects), self._plots(end, rows), end, agrees)

    def _few_shot_sentence(self, rows: Sequence[Row]) -> tuple[str, bool]:
        """Whether the bounds hold within three standard errors, and what they are worth."""
        held, values, cells = True, [], [(name, shots) for name in self._sources for shots in self.settings.shots]
        for name, shots in cells:
            numbers = {row.key: row.value for row in rows if (row.series, row.x) == (name, shots)}
            values += [numbers[bound] for bound in _BOUNDS]
            for bound, error in _BOUNDS.items():
                held &= numbers[error] - 3 * numbers[error.replace("error", "deviation")] <= numbers[bound]
        useful = sum(value < 1 for value in values)
        return (
            f"The few-shot bounds {'hold' if held else 'DO NOT hold'} in all {len(cells)} cells; {useful} of their {len(values)} "
            f"values are below 1. Class-distance normalised variance alone is a blunt instrument: it knows not in which "
            "direction a class is wide."
        ), held

    def _comparisons(self, rows: Sequence[Row], effects: dict[str, float]) -> list[Comparison]:
        now, noise = last(rows, "noise"), series(rows, "expected")[0][-1]
        same = "0 where all vertices see the same distances, derived here"
        return [
            Comparison("permutation effect, simplex", 0.0, effects["simplex, leaning"], "0 for a simplex, any classes"),
            Comparison("permutation effect, polygon, round noise", 0.0, effects["polygon, round"], same),
            Comparison(
                f"margin bound at noise {noise:g}", now["expected"], now["total"],
                "its expected terms for Gaussian classes with the code as the classifier; found on one draw and its means",
            ),
        ]  # fmt: skip

    def _plots(self, state: State, rows: Sequence[Row]) -> list[Plot | HeatMap]:
        s = self.settings
        covering = [(row.x, row.value) for row in rows if row.key == "covering" and math.isfinite(row.value)]
        over_noise = [
            curve(rows, "test error", "noise", label="test error", points=True),
            curve(rows, "total", "noise", label="margin bound", role="predicted"),
            Line("covering bound", [x for x, _ in covering], [y for _, y in covering], "predicted"),
            *(curve(rows, name, "noise", label=name, role="baseline") for name in _TERMS),
        ]
        expected = [self._expected(state["code"], s.noise / 4, n) for n in _SIZES]
        over_samples = [Line("total", _SIZES, [one["total"] for one in expected], "predicted")]
        over_samples += [Line(name, _SIZES, [one[name] for one in expected], "baseline") for name in _TERMS]
        places = [float(k) for k in range(s.permutations)]
        ordered = [Line(name, places, sorted(series(rows, "total", name)[1])) for name in _NAMES]
        columns = (*_TERMS, "pair errors")
        changes = [[last(rows, name)[f"effect {term}"] for term in columns] for name in _NAMES]
        return [
            Plot(
                "Bounds and error over the noise", "noise of the noisiest class", "probability (a bound may exceed 1)",
                over_noise,
                "A bound above 1 says nothing. The covering form ends where a training sample is on the wrong side.",
                log_y=True,
            ),
            Plot(
                "The margin bound over the number of samples", "samples a class", "expected bound", over_samples,
                f"Expected terms at noise {s.noise / 4:g}: how many samples it takes until the bound is below 1.",
                log_x=True, log_y=True,
            ),
            Plot(
                "The bound over relabellings of the vertices", "relabelling, by its bound", "expected bound", ordered,
                "Flat lines have no permutation effect: always for a simplex, for a polygon as long as noise is round.",
            ),
            HeatMap(
                "Which terms change under a relabelling", "term", "frame and noise", columns, _NAMES, changes,
                "Largest less smallest value over the relabellings; the last column is the exact sum of pair errors.",
            ),
            *(self._shots(rows, name) for name in self._sources),
        ]  # fmt: skip

    def _shots(self, rows: Sequence[Row], name: str) -> Plot:
        labels = {
            "error": "error",
            "pair_error": "error with two classes",
            "bound": "bound",
            "pair bound": "bound with two classes",
            "CDNV bound": "bound with two classes, by CDNV alone",
        }
        lines = []
        for key, label in labels.items():
            bound = key in _BOUNDS
            role = "predicted" if bound else "found"
            lines.append(curve(rows, key, name, label=label, role=role, points=not bound))
        caption = f"The nearest class mean; mean CDNV {last(rows, name)['CDNV']:.3g}. Bounds are cut at 1."
        return Plot(f"Few-shot error: {name}", "shots", "error", lines, caption, log_x=True, log_y=True)


def _pixels() -> list[Tensor]:
    """The pixels of all digits by class: each class's images are taken for its whole distribution."""
    from ...data import load_digits

    inputs, labels = load_digits(test_fraction=0, flat=True).train.tensors
    return [inputs[labels == k].double() for k in range(10)]


def _digit_features(generator: torch.Generator) -> State:
    """Last-layer features of unseen digits, of a small network trained on the others."""
    from ...data import load_digits

    both = load_digits(test_fraction=0.2, flat=True)
    if both.test is None:
        raise AssertionError("the digits have a test split")
    (inputs, labels), (unseen, unseen_labels) = both.train.tensors, both.test.tensors

    def loss(state: State) -> Tensor:
        return cross_entropy(layer_outputs(state, inputs.double())[-1], labels)

    network = descend(loss, initial_network((64, 64, 32, 10), generator), _TRAINING, 0.2, momentum=0.9)
    return {"digits": layer_outputs(network, unseen.double())[-2].detach(), "labels": unseen_labels}
