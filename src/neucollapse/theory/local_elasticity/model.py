r"""LE-SDE: one stochastic equation a sample, pulled along by all samples, its own class's most.

Zhang, Wang and Su, arXiv 2110.05960 (abstract seen: features separate if the pull within a class is the stronger one, and do
not otherwise, with a sharp transition). What is predicted here is derived in ``ode``. The pull of each class is that of
its mean: the limit of small steps in which one drawn sample moves all others.
"""

import math
from collections.abc import Generator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from .._measure import balanced_labels, measured
from .._model import Comparison, Findings, Line, Model, Plot, Row, Run, State, series
from ..solvers import brownian_increments, euler_maruyama, stops
from .ode import PowerLaw, expected_scatter, label_directions, mean_drift, ode_solution, separates
from .settings import LocalElasticity
from .strengths import elastic_strengths

CHUNKS = 10  # pieces of one simulation
_RECORDS = 10  # in each of them
_ERRORS = 4.0  # standard errors that a prediction may be off


class LocalElasticityModel(Model[LocalElasticity]):
    """One simulation for each gap between the strengths; all start at the same features."""

    def _start(self) -> Tensor:
        """Samples (replicas, K, n, d) about random class means."""
        s, generator = self.settings, self.generator()
        means = torch.randn(s.classes, s.dim, generator=generator, dtype=torch.float64)
        if s.drift == "labels":
            means = label_directions(s.classes) + means / 4  # logits that lean towards their labels
        shape = (s.replicas, s.classes, s.samples, s.dim)
        return means[None, :, None] + torch.randn(shape, generator=generator, dtype=torch.float64)

    def run(self) -> Run:
        """Simulate every gap from the same start; ends with the last samples and the path of the class means of each gap."""
        start = self._start()
        ends = {"start": start}
        for index, gap in enumerate(self.settings.gaps):
            x, means = yield from self._simulate(gap, start, index * CHUNKS)
            ends |= {f"end/{_name(gap)}": x, f"means/{_name(gap)}": means}
        return ends

    def _simulate(self, gap: float, x: Tensor, stream: int) -> Generator[Row, None, tuple[Tensor, Tensor]]:
        grid, means = self._times(), [x.mean(dim=(0, 2))]
        yield from self._rows(_name(gap), 0.0, x)
        for chunk in range(CHUNKS):
            generator = self.generator(stream + chunk)
            records = stops(self.settings.steps, CHUNKS * _RECORDS)[chunk * _RECORDS : (chunk + 1) * _RECORDS + 1]
            for first, last in pairwise(records):
                x = self._move(x, gap, grid[first : last + 1], generator)
                means.append(x.mean(dim=(0, 2)))
            yield from self._rows(_name(gap), float(grid[records[-1]]), x)
        return x, torch.stack(means)

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Which gaps separate, scatter and class means against the closed forms, strengths estimated."""
        comparisons, errors = [], []
        for gap in self.settings.gaps:
            new = self._compare(gap, end, rows)
            comparisons += new[0]
            errors.append(new[1])
        sentences, agrees = self._sentences(rows, max(errors))
        fit = self._fit(end)
        plots = [*self._plots(rows), fit[1]]
        return Findings([*sentences, fit[0]], comparisons, plots, end, agrees)

    def _times(self) -> Tensor:
        """Equal steps in log(1 + t), so that power laws are resolved at both ends."""
        s = self.settings
        return torch.linspace(0, math.log1p(s.time), s.steps + 1, dtype=torch.float64).expm1()

    def _strengths(self, gap: float) -> tuple[PowerLaw, PowerLaw]:
        s = self.settings
        return PowerLaw(s.inter + gap, s.decay), PowerLaw(s.inter, s.decay)

    def _move(self, x: Tensor, gap: float, times: Tensor, generator: torch.Generator) -> Tensor:
        s, (intra, inter) = self.settings, self._strengths(gap)

        def drift(t: float, x: Tensor) -> Tensor:
            return mean_drift(x.mean(dim=2), intra(t), inter(t), s.drift)[:, :, None]

        return euler_maruyama(
            drift, lambda _time, _x: s.noise, x, times, brownian_increments(times, x.shape, generator)
        )

    def _rows(self, name: str, t: float, x: Tensor) -> list[Row]:
        between, within = _scatter(x)
        metrics = measured(x[0].flatten(0, 1), balanced_labels(x.shape[1], x.shape[2]))
        numbers = {
            "between": float(between.mean()),
            "between, standard error": float(between.std() / len(x) ** 0.5),
            "within": float(within.mean()),
            "within, standard error": float(within.std() / len(x) ** 0.5),
            "separation": float(between.mean() / within.mean()),
        }
        return [Row(name, t, key, value) for key, value in (numbers | metrics).items()]

    def _expected(self, gap: float, rows: Sequence[Row], t: float) -> tuple[float, float]:
        s, name = self.settings, _name(gap)
        between, within = (series(rows, key, name)[1][0] for key in ("between", "within"))
        laws = self._strengths(gap)
        return expected_scatter(between, within, s.classes, s.samples, s.dim, s.noise, *laws, t)

    def _compare(self, gap: float, state: State, rows: Sequence[Row]) -> tuple[list[Comparison], float]:
        """Predictions at the last time beside what was found, and how many standard errors they are off."""
        s, name = self.settings, _name(gap)
        starts, ends = (x.mean(dim=2) for x in (state["start"], state[f"end/{name}"]))
        solutions = torch.stack([ode_solution(x, *self._strengths(gap), s.time, s.drift) for x in starts])
        # the drift is linear, so class means leave the solution from their own start by noise of mean 0
        left = ends - solutions
        off = (left.mean(dim=0) / (left.std(dim=0) / len(left) ** 0.5)).square().mean().sqrt()
        predicted, found = (float(x.mean(dim=0).norm()) for x in (solutions, ends))
        comparisons = [Comparison(f"length of all class means, {name}", predicted, found, "LE-ODE")]
        errors = [float(off)]
        keys = ("between", "within") if s.drift == "features" else ()
        for key, predicted in zip(keys, self._expected(gap, rows, s.time), strict=False):
            found, error = (series(rows, column, name)[1][-1] for column in (key, f"{key}, standard error"))
            comparisons.append(Comparison(f"tr S_{key[0].upper()}, {name}", predicted, found, f"scatter {key} classes"))
            errors.append(abs(found - predicted) / error)
        return comparisons, max(errors)

    def _sentences(self, rows: Sequence[Row], error: float) -> tuple[list[str], bool | None]:
        s = self.settings
        within = f"of the closed forms, at the last time, the largest error is {error:.1f} standard errors"
        within += f" (tolerance {_ERRORS:g})"
        if s.drift == "labels":
            simplex = [series(rows, "nc2/etf_distance", _name(gap))[1] for gap in s.gaps]
            parts = [f"{gap:g}: {y[0]:.2g} to {y[-1]:.2g}" for gap, y in zip(s.gaps, simplex, strict=True)]
            agrees = error <= _ERRORS
            headline = f"Class means {'follow' if agrees else 'were expected to follow'} LE-ODE: {within}."
            return [headline, f"Distance to a simplex from first to last time, by gap: {'; '.join(parts)}."], agrees
        grew = {gap: self._grew(gap, rows) for gap in s.gaps}
        right = [gap for gap in s.gaps if grew[gap] == separates(s.classes, gap, s.decay)]
        threshold = {True: "0", s.decay == 1: f"K/2 = {s.classes / 2:g}", s.decay > 1: "infinity"}[True]
        agrees = len(right) == len(s.gaps) and error <= _ERRORS
        parts = [f"{gap:g} {'grows' if grew[gap] else 'does not grow'}" for gap in s.gaps]
        return [
            f"Classes are predicted to separate iff intra exceeds inter by more than {threshold} (decay {s.decay:g}); separation "
            f"over the last half of log time, by gap: {', '.join(parts)}. The prediction holds for {len(right)} of {len(grew)}.",
            within[0].upper() + within[1:] + ".",
        ], agrees

    def _grew(self, gap: float, rows: Sequence[Row]) -> bool:
        separation = series(rows, "separation", _name(gap))[1]
        return separation[-1] > separation[len(separation) // 2]

    def _fit(self, state: State) -> tuple[str, Plot]:
        """Strengths estimated from the class means of the largest gap alone, beside the true ones."""
        s = self.settings
        gap = max(s.gaps)
        count = CHUNKS * _RECORDS
        times = self._times()[[s.steps * i // count for i in range(count + 1)]]
        found = elastic_strengths(state[f"means/{_name(gap)}"], times, s.drift, window=5)
        middle = [math.sqrt((1 + a) * (1 + b)) - 1 for a, b in zip(times[:-1:5], times[5::5], strict=True)]
        intra, inter = self._strengths(gap)
        lines = []
        for name, values, law in (("intra", found.intra, intra), ("inter", found.inter, inter)):
            scaled = [float(value) * (1 + t) ** s.decay for value, t in zip(values, middle, strict=True)]
            lines.append(Line(f"{name}, estimated", middle, scaled, points=True))
            lines.append(Line(f"{name}, true", middle, [law.strength] * len(middle), "predicted"))
        sentence = (
            f"Estimated from the class means of gap {gap:g}, intra less inter is {(found.intra - found.inter).mean():.3g} on the "
            f"average over time, in truth {sum(intra(t) - inter(t) for t in middle) / len(middle):.3g}."
        )
        caption = (
            f"Strengths times (1 + t)^{s.decay:g}, fitted to class means averaged over replicas; dashed: the true ones."
        )
        return sentence, Plot("Estimated strengths", "1 + t", "strength", lines, caption, log_x=True)

    def _plots(self, rows: Sequence[Row]) -> list[Plot]:
        separation, simplex = [], []
        for gap in self.settings.gaps:
            name = _name(gap)
            x, y = series(rows, "separation", name)
            shifted = [1 + t for t in x]
            separation.append(Line(name, shifted, y, points=True))
            if self.settings.drift == "features":
                expected = [self._expected(gap, rows, t) for t in x]
                separation.append(Line(f"{name}, predicted", shifted, [b / w for b, w in expected], "predicted"))
            simplex.append(Line(name, shifted, series(rows, "nc2/etf_distance", name)[1]))
        return [
            Plot(
                "Separation of classes", "1 + t", "tr S_B / tr S_W", separation,
                "Scatter between classes over that within. Above the threshold it grows for ever, below it sinks to noise.",
                log_x=True, log_y=True,
            ),
            Plot(
                "Distance to a simplex", "1 + t", "nc2/etf_distance", simplex,
                "The pull of features keeps the shape at the start; that of labels makes a simplex iff inter is negative.",
                log_x=True, metric="nc2/etf_distance",
            ),
        ]  # fmt: skip


def _name(gap: float) -> str:
    return f"gap {gap:g}"


def _scatter(x: Tensor) -> tuple[Tensor, Tensor]:
    """tr S_B and tr S_W of each replica of samples (R, K, n, d)."""
    means = x.mean(dim=2)
    between = (means - means.mean(dim=1, keepdim=True)).square().sum(dim=-1).mean(dim=1)
    return between, (x - means[:, :, None]).square().sum(dim=-1).mean(dim=(1, 2))
