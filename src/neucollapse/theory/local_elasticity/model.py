r"""LE-SDE: one stochastic equation a sample, pulled along by all samples, its own class's most.

Zhang, Wang and Su, arXiv 2110.05960 (abstract seen: features separate if the pull within a class is the stronger one, and do
not otherwise, with a sharp transition). What is predicted here is derived in `ode`. The pull of each class is that of
its mean: the limit of small steps in which one drawn sample moves all others.
"""

import math
from collections.abc import Generator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from .._findings import last, record
from .._measure import balanced_labels, measured
from .._model import Comparison, Findings, Line, Model, Plot, Row, Run, State, series
from ..solvers import brownian_increments, euler_maruyama, stops
from .ode import PowerLaw, expected_scatter, label_directions, mean_drift, ode_solution, separates
from .settings import LocalElasticity
from .strengths import elastic_strengths

CHUNKS = 10  # pieces of one simulation
_RECORDS = 10  # in each of them
_WINDOW = 5  # records over which strengths are fitted
_ERRORS = 4.0  # standard errors that a prediction may be off


class LocalElasticityModel(Model[LocalElasticity]):
    """One simulation for each gap between the strengths; all start at the same features."""

    def run(self) -> Run:
        """Simulate every gap from the same start; ends with the last samples and the path of the class means of each gap."""
        s, generator = self.settings, self.generator()
        means = torch.randn(s.classes, s.dim, generator=generator, dtype=torch.float64)
        if s.drift == "labels":
            means = label_directions(s.classes) + means / 4  # logits that lean towards their labels
        shape = (s.replicas, s.classes, s.samples, s.dim)
        start = means[None, :, None] + torch.randn(shape, generator=generator, dtype=torch.float64)
        ends = {"start": start}
        for index, gap in enumerate(s.gaps):
            x, means = yield from self._simulate(gap, start, index * CHUNKS)
            ends |= {f"end/{_name(gap)}": x, f"means/{_name(gap)}": means}
        return ends

    def _simulate(self, gap: float, x: Tensor, stream: int) -> Generator[Row, None, tuple[Tensor, Tensor]]:
        s, grid, means = self.settings, self._times(), [x.mean(dim=(0, 2))]
        intra, inter = self._strengths(gap)

        def drift(t: float, x: Tensor) -> Tensor:
            return mean_drift(x.mean(dim=2), intra(t), inter(t), s.drift)[:, :, None]

        yield from record(_name(gap), 0, _numbers(x))
        records = stops(s.steps, CHUNKS * _RECORDS)
        for chunk in range(CHUNKS):
            generator, first = self.generator(stream + chunk), chunk * _RECORDS
            for begin, end in pairwise(records[first : first + _RECORDS + 1]):
                times = grid[begin : end + 1]
                noise = brownian_increments(times, x.shape, generator)
                x = euler_maruyama(drift, lambda _time, _x: s.noise, x, times, noise)
                means.append(x.mean(dim=(0, 2)))
            yield from record(_name(gap), float(grid[records[first + _RECORDS]]), _numbers(x))
        return x, torch.stack(means)

    def _times(self) -> Tensor:
        """Equal steps in log(1 + t), so that power laws are resolved at both ends."""
        s = self.settings
        return torch.linspace(0, math.log1p(s.time), s.steps + 1, dtype=torch.float64).expm1()

    def _strengths(self, gap: float) -> tuple[PowerLaw, PowerLaw]:
        s = self.settings
        return PowerLaw(s.inter + gap, s.decay), PowerLaw(s.inter, s.decay)

    def _expected(self, gap: float, rows: Sequence[Row], t: float) -> tuple[float, float]:
        """Scatter between and within classes that is predicted from that at the start."""
        s = self.settings
        between, within = (series(rows, key, _name(gap))[1][0] for key in ("between", "within"))
        return expected_scatter(
            between, within, *self._strengths(gap), t, K=s.classes, n=s.samples, d=s.dim, noise=s.noise
        )

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Which gaps separate, scatter and class means against the closed forms, strengths estimated."""
        compared = [self._compare(gap, end, rows) for gap in self.settings.gaps]
        sentences, agrees = self._sentences(rows, max(error for _, error in compared))
        estimate, plot = self._fit(end)
        comparisons = [line for lines, _ in compared for line in lines]
        return Findings([*sentences, estimate], comparisons, [*self._plots(rows), plot], end, agrees)

    def _compare(self, gap: float, state: State, rows: Sequence[Row]) -> tuple[list[Comparison], float]:
        """Predictions at the last time beside what was found, and how many standard errors they are off."""
        s, name, now = self.settings, _name(gap), last(rows, _name(gap))
        starts, ends = (x.mean(dim=2) for x in (state["start"], state[f"end/{name}"]))
        solutions = torch.stack([ode_solution(x, *self._strengths(gap), s.time, s.drift) for x in starts])
        # the drift is linear, so class means leave the solution from their own start by noise of mean 0
        left = ends - solutions
        errors = [float((left.mean(dim=0) / (left.std(dim=0) / len(left) ** 0.5)).square().mean().sqrt())]
        predicted, found = (float(x.mean(dim=0).norm()) for x in (solutions, ends))
        comparisons = [Comparison(f"length of all class means, {name}", predicted, found, "LE-ODE")]
        if s.drift == "features":
            for key, scatter in zip(("between", "within"), self._expected(gap, rows, s.time), strict=True):
                title = f"tr S_{key[0].upper()}, {name}"
                comparisons.append(Comparison(title, scatter, now[key], f"scatter {key} classes"))
                errors.append(abs(now[key] - scatter) / now[f"{key}, standard error"])
        return comparisons, max(errors)

    def _sentences(self, rows: Sequence[Row], error: float) -> tuple[list[str], bool]:
        s = self.settings
        within = f"of the closed forms, at the last time, the largest error is {error:.1f} standard errors"
        within += f" (tolerance {_ERRORS:g})"
        if s.drift == "labels":
            simplex = [series(rows, "nc2/etf_distance", _name(gap))[1] for gap in s.gaps]
            parts = [f"{gap:g}: {y[0]:.2g} to {y[-1]:.2g}" for gap, y in zip(s.gaps, simplex, strict=True)]
            agrees = error <= _ERRORS
            headline = f"Class means {'follow' if agrees else 'were expected to follow'} LE-ODE: {within}."
            return [headline, f"Distance to a simplex from first to last time, by gap: {'; '.join(parts)}."], agrees
        grew = {}
        for gap in s.gaps:
            separation = series(rows, "separation", _name(gap))[1]
            grew[gap] = separation[-1] > separation[len(separation) // 2]
        right = sum(grew[gap] == separates(s.classes, gap, s.decay) for gap in s.gaps)
        threshold = "0" if s.decay < 1 else f"K/2 = {s.classes / 2:g}" if s.decay == 1 else "infinity"
        parts = [f"{gap:g} {'grows' if grew[gap] else 'does not grow'}" for gap in s.gaps]
        return [
            f"Classes are predicted to separate iff intra exceeds inter by more than {threshold} (decay {s.decay:g}); separation "
            f"over the last half of log time, by gap: {', '.join(parts)}. The prediction holds for {right} of {len(grew)}.",
            f"{within[0].upper()}{within[1:]}.",
        ], right == len(s.gaps) and error <= _ERRORS

    def _fit(self, state: State) -> tuple[str, Plot]:
        """Strengths estimated from the class means of the largest gap alone, beside the true ones."""
        s, gap = self.settings, max(self.settings.gaps)
        times = self._times()[stops(s.steps, CHUNKS * _RECORDS)]
        found = elastic_strengths(state[f"means/{_name(gap)}"], times, s.drift, window=_WINDOW)
        ends = (1 + times[::_WINDOW]).tolist()
        middle, lines = [math.sqrt(a * b) for a, b in pairwise(ends)], []  # of 1 + t, on its logarithmic axis
        laws = self._strengths(gap)
        for name, values, law in zip(("intra", "inter"), (found.intra, found.inter), laws, strict=True):
            scaled = [value * t**s.decay for value, t in zip(values.tolist(), middle, strict=True)]
            lines.append(Line(f"{name}, estimated", middle, scaled, points=True))
            lines.append(Line(f"{name}, true", middle, [law.strength] * len(middle), "predicted"))
        true = sum(laws[0](t - 1) - laws[1](t - 1) for t in middle) / len(middle)
        sentence = (
            f"Estimated from the class means of gap {gap:g}, intra less inter is {(found.intra - found.inter).mean():.3g} on the "
            f"average over time, in truth {true:.3g}."
        )
        caption = (
            f"Strengths times (1 + t)^{s.decay:g}, fitted to class means averaged over replicas; dashed: the true ones."
        )
        return sentence, Plot("Estimated strengths", "1 + t", "strength", lines, caption, log_x=True)

    def _plots(self, rows: Sequence[Row]) -> list[Plot]:
        separation, simplex = [], []
        for gap in self.settings.gaps:
            name = _name(gap)
            times, found = series(rows, "separation", name)
            shifted = [1 + t for t in times]
            separation.append(Line(name, shifted, found, points=True))
            if self.settings.drift == "features":
                expected = [b / w for b, w in (self._expected(gap, rows, t) for t in times)]
                separation.append(Line(f"{name}, predicted", shifted, expected, "predicted"))
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


def _numbers(x: Tensor) -> dict[str, float]:
    """Scatter of samples (R, K, n, d), averaged over replicas, with standard errors; metrics of the first replica."""
    means = x.mean(dim=2)
    between = (means - means.mean(dim=1, keepdim=True)).square().sum(dim=-1).mean(dim=1)
    within = (x - means[:, :, None]).square().sum(dim=-1).mean(dim=(1, 2))
    return {
        "between": float(between.mean()),
        "between, standard error": float(between.std() / len(x) ** 0.5),
        "within": float(within.mean()),
        "within, standard error": float(within.std() / len(x) ** 0.5),
        "separation": float(between.mean() / within.mean()),
    } | measured(x[0].flatten(0, 1), balanced_labels(x.shape[1], x.shape[2]))
