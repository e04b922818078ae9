"""``central-path``: the renormalised flow of Han, Papyan and Donoho, integrated over samples, beside its closed form."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from .._findings import curve, last, metric_plot, record
from .._measure import balanced_labels, measured
from .._model import Comparison, Findings, Line, Model, Plot, Row, Run, State, series
from ..solvers import descent, flow, stops
from .settings import CentralPath
from .signal_to_noise import class_means, least_squares_classifier, path_metrics, path_velocity, signal_to_noise, snr_at

_FIRST = 1e-3  # the first time that is compared, in units of N K
_AGREE = 1e-6
_ROUNDING = 1e-12  # a loss below which its parts are not told apart
_CAPTIONS = {
    "nc1/pinv": "Variability within classes falls as a power of time.",
    "nc2/etf_distance": "Class means tend to a simplex frame where there is room for one; its floor otherwise.",
    "nc3/frobenius": "Classifier and class means share singular vectors; their singular values become proportional.",
    "mse/loss": "What the least-squares classifier leaves.",
}


class CentralPathModel(Model[CentralPath]):
    """The renormalised flow, integrated over all samples, beside its closed form; plain gradient descent as a control."""

    def run(self) -> Run:
        """The flow from time to time, and plain descent beside it; ends with the features at start and end."""
        s, start = self.settings, self._start()
        labels = balanced_labels(s.classes, s.samples)
        times = [0.0, *np.geomspace(min(_FIRST, s.horizon / 10), s.horizon, s.points).tolist()]
        now, control = {"features": start["features"]}, self._descent(start, labels)

        def velocity(_: float, now: State) -> State:
            unit = len(labels) * s.classes
            return {"features": unit * path_velocity(now["features"], labels, s.classes, s.renormalise)}

        for begin, end in pairwise(times):
            now = flow(velocity, now, begin, end)
            weight, bias = least_squares_classifier(now["features"], labels, s.classes)
            snr, scatter = signal_to_noise(now["features"], labels, s.classes)
            drift = float((scatter - torch.eye(s.dim, dtype=scatter.dtype)).norm())
            numbers = {f"snr/{j}": value for j, value in enumerate(snr.tolist())} | {"scatter_drift": drift}
            yield from record("path", end, measured(now["features"], labels, weight, bias) | numbers)
            yield from next(control)
        return {"start": start["features"], "features": now["features"]}

    def _start(self) -> State:
        """Features of identity scatter within classes about random class means; the descent starts there too."""
        s, labels = self.settings, balanced_labels(self.settings.classes, self.settings.samples)
        E, M = self.draw(-1, {"within": (len(labels), s.dim), "means": (s.classes, s.dim)}).values()
        E = E - class_means(E, labels, s.classes)[labels]
        E = torch.linalg.solve_triangular(torch.linalg.cholesky(E.mT @ E / len(E)), E.mT, upper=False).mT
        M = s.signal * M
        features = E + (M - M.mean(dim=0))[labels]
        weight, bias = least_squares_classifier(features, labels, s.classes)
        return {"features": features, "weight": weight, "bias": bias}

    def _descent(self, start: State, labels: Tensor) -> Iterator[list[Row]]:
        """The rows of plain descent, in features that are scaled so that they move ``feature_speed`` times faster."""
        s = self.settings
        targets, scale = one_hot(labels, s.classes).double(), s.feature_speed**0.5

        def loss(now: State) -> Tensor:
            misfit = scale * now["features"] @ now["weight"].mT + now["bias"] - targets
            return misfit.square().sum() / (2 * len(labels))

        scaled = start | {"features": start["features"] / scale}
        for step, now in descent(loss, scaled, stops(s.descent_steps, s.points)[1:], s.descent_lr):
            yield record("descent", step, measured(scale * now["features"], labels, now["weight"], now["bias"]))

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Singular values and metrics against the closed form at every time, and how far off the path descent goes."""
        s = self.settings
        start, _ = signal_to_noise(end["start"], balanced_labels(s.classes, s.samples), s.classes)
        times = series(rows, "mse/loss", "path")[0]
        snr = torch.stack([snr_at(time, start, s.classes, s.renormalise) for time in times])
        found = torch.tensor([series(rows, f"snr/{j}", "path")[1] for j in range(len(start))], dtype=torch.float64).mT
        error = float(((found - snr) / snr).abs().max())
        metrics = [path_metrics(now, s.classes) for now in snr]
        sentences = [
            f"The closed form of the central path {'holds' if error <= _AGREE else 'does not hold'}: over {len(times)} times the "
            f"singular values of the signal-to-noise matrix differ from the simulated flow by {error:.1e} at most (relative).",
            f"They grow from {float(start[-1]):.3g} ... {float(start[0]):.3g} to {float(found[-1, -1]):.3g} ... "
            f"{float(found[-1, 0]):.3g}, and their largest ratio falls from {float(start[0] / start[-1]):.3g} to "
            f"1 + {float(found[-1, 0] / found[-1, -1]) - 1:.1e}: class means become a tight frame"
            + (", the simplex." if s.dim >= s.classes - 1 else f" of {s.dim} dimensions, too few for a simplex."),
            f"Late on, variability falls as a power of time: nc1/pinv with the exponent {_exponent(rows):.4f} "
            f"({-0.5 if s.renormalise == 'project' else -1.0:g} predicted in the limit), not exponentially.",
            f"Samples kept identity scatter within classes to {max(series(rows, 'scatter_drift', 'path')[1]):.1e}.",
            *self._off_path(rows),
        ]
        ends = zip(snr[-1].tolist(), found[-1].tolist(), strict=True)
        comparisons = [
            Comparison(f"singular value {j}", *pair, "at the last time; closed form") for j, pair in enumerate(ends, 1)
        ] + [
            Comparison(key, value, last(rows, "path")[key], "at the last time; from singular values")
            for key, value in metrics[-1].items()
        ]
        tensors = {"snr": found, "snr_predicted": snr, "features": end["features"]}
        return Findings(sentences, comparisons, self._plots(rows, snr, metrics), tensors, error <= _AGREE)

    def _off_path(self, rows: Sequence[Row]) -> list[str]:
        s = self.settings
        if not s.descent_steps:
            return []
        off, loss = (series(rows, key, "descent")[1] for key in ("mse/off_path", "mse/loss"))
        share = [a / b for a, b in zip(off, loss, strict=True) if b > _ROUNDING]
        return [
            f"Control: plain gradient descent in features and classifier ({s.descent_steps} steps, no renormalisation, features "
            f"{s.feature_speed:g} times faster than their gradients) starts on the path; the off-path part is {max(share):.1e} "
            f"of its loss at most (while that is above {_ROUNDING:g}), and the loss ends at {loss[-1]:.1e}."
        ]

    def _plots(self, rows: Sequence[Row], snr: Tensor, metrics: list[dict[str, float]]) -> list[Plot]:
        x, times, lines = "time / (N K)", series(rows, "mse/loss", "path")[0], []
        for j, values in enumerate(snr.mT.tolist()):
            lines.append(curve(rows, f"snr/{j}", "path", label=f"ω{j + 1}", points=True))
            lines.append(Line(f"ω{j + 1}, closed form", times, values, "predicted"))
        caption = "All singular values diverge and meet. Points of the simulated flow lie on the dashed closed form."
        plots = [Plot("Signal-to-noise ratio", x, "singular value", lines, caption, log_x=True, log_y=True)]
        for key, caption in _CAPTIONS.items():
            closed = Line("closed form", times, [now[key] for now in metrics], "predicted")
            plots.append(
                metric_plot(key, x, [curve(rows, key, "path", label="simulated", points=True), closed], caption)
            )
        if self.settings.descent_steps:
            lines = [curve(rows, key, "descent", label=key) for key in ("mse/within", "mse/means", "mse/off_path")]
            caption = "Plain gradient descent, parts of its loss; the last is its distance from the path."
            plots.append(Plot("Off the path", "step", "part of the loss", lines, caption, log_y=True))
        return plots


def _exponent(rows: Sequence[Row]) -> float:
    """Slope of log(nc1/pinv) over log(time) at the last two times."""
    times, values = (np.log(column[-2:]) for column in series(rows, "nc1/pinv", "path"))
    return float((values[1] - values[0]) / (times[1] - times[0]))
