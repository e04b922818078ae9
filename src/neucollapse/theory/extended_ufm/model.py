"""The extended and deep unconstrained features models: every layer collapses, until decay makes everything zero."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from ...geometry import etf_floor, orthogonal_frame_floor
from .._findings import curve, level, record
from .._measure import balanced_labels, measured
from .._model import Comparison, Findings, Line, Model, Plot, Row, Run, State, series
from ..solvers import descent, minimise, stops
from .mse_optimum import DeepOptimum, deep_optimum, threshold_decay
from .settings import ExtendedUFM

_CHUNKS = 20
_TOLERANCE = 1e-8


def forward(state: State, relu: bool = False) -> list[Tensor]:
    """Features of every layer, the free ones first, and the logits (K, N); relu acts after every matrix but first and last."""
    weights = [state[f"W{i}"] for i in range(1, len(state) + ("b" not in state))]
    layers = [weights[0]]
    for weight in weights[1:-1]:
        image = weight @ layers[-1]
        layers.append(image.relu() if relu else image)
    logits = weights[-1] @ layers[-1]
    return [*layers, logits + state["b"] if "b" in state else logits]


def deep_objective(state: State, decays: Sequence[float], relu: bool = False) -> Tensor:
    """The objective of `deep_optimum`, for balanced classes in order; `W1` (d, N) are the features, `b` is (K, 1)."""
    logits = forward(state, relu)[-1]
    K, N = logits.shape
    targets = torch.eye(K, dtype=logits.dtype).repeat_interleave(N // K, dim=1)
    squares = [decay * state[f"W{i}"].square().sum() for i, decay in enumerate(decays, start=1)]
    return (logits - targets).square().sum() / (2 * N) + torch.stack(squares).sum() / 2


def misalignment(state: State, relu: bool = False) -> list[float]:
    """Of each weight matrix to the features below it: 1 - cosine of W^T W and H H^T. 0 is the self-duality of deep collapse."""
    values = []
    for i, layer in enumerate(forward(state, relu)[:-1], start=2):
        A, B = state[f"W{i}"].T @ state[f"W{i}"], layer @ layer.T
        values.append(float(1 - (A * B).sum() / (A.norm() * B.norm()).clamp(min=1e-300)))
    return values


class ExtendedUFMModel(Model[ExtendedUFM]):
    """Gradient descent, then the optimum from random starts, then what is left of it as the decay grows."""

    def run(self) -> Run:
        """Descend, solve from every start, follow the optimum as the decay grows; ends with the best that was found."""
        best = yield from self._descend()
        best = self._lower(self._zero(), best)
        # Second derivatives tell little across kinks.
        solve = partial(minimise, iterations=1000, newton_steps=0) if self._relu else minimise
        for start in range(self.settings.starts):
            end = solve(self._objective, self.start(start + 1, scale=1.5))
            best = self._lower(best, end.state)
            yield from record("starts", start, {"objective": end.value, "gradient norm": end.gradient_norm})
        if not self._relu:
            yield from self._sweep()
        return best

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """The optimum found beside the predicted one, layer by layer."""
        s, predicted = self.settings, self._predicted()
        found = float(self._objective(end))
        shrunk = self._shrinkage(end)
        least, mean = "least value of the random starts, ", "mean singular value of the logits "
        comparisons = [
            Comparison("objective", predicted.value, found, f"{least}gradient descent and zero"),
            Comparison("shrinkage", predicted.shrinkage, shrunk, f"{mean}over that of the targets"),
        ]
        if predicted.rank:
            comparisons += self._by_layer(end)
        agrees = abs(found - predicted.value) <= _TOLERANCE
        if self._relu:  # an upper bound, and known to be the optimum for two classes alone
            agrees = agrees if s.classes == 2 else None
        return Findings(self._sentences(predicted, found, rows), comparisons, self._plots(rows), end, agrees)

    def _sentences(self, predicted: DeepOptimum, found: float, rows: Sequence[Row]) -> list[str]:
        s = self.settings
        frame = "a simplex" if s.bias else "an orthogonal frame"
        if predicted.rank < s.classes - s.bias:
            frame = f"{frame}, projected to {s.dim} dimensions,"
        geometry = f"{frame} in every layer" if predicted.rank else "zero in every layer"
        gap = found - predicted.value
        if not self._relu:
            verdict = "equals" if abs(gap) <= _TOLERANCE else "does not reach" if gap > 0 else "is below"
            first = f"The optimum found, {found:.10g}, {verdict} the predicted {predicted.value:.10g}, {geometry}."
        elif gap < -_TOLERANCE:
            first = (
                f"Deep neural collapse is not optimal here: {found:.8g} was found, below {predicted.value:.8g}, {geometry}. "
                "Beyond two layers and two classes that is the claim of arXiv 2405.14468."
            )
        else:
            first = f"Nothing below {predicted.value:.8g}, {geometry}, was found from {s.starts} starts (least: {found:.8g})."
        reached = sum(value <= predicted.value + _TOLERANCE for value in series(rows, "objective", "starts")[1])
        some = f"{reached} of {s.starts} random starts reach it; the others end in stationary points of a larger value."
        sentences = [first, some if reached < s.starts else f"All {s.starts} random starts reach it."]
        if not self._relu:
            limit = threshold_decay(s.classes, s.samples, s.layers)
            jump = (s.layers - 2) / (s.layers - 1)
            sentences.append(
                f"With one decay for all matrices the optimum is zero above {limit:.6g}, where the logits "
                + (f"jump from {jump:.4g} times their targets to 0." if s.layers > 2 else "vanish continuously.")
            )
        value = series(rows, "objective", "descent")[1][-1]
        sentences.append(f"Gradient descent from one start ends {value - found:.3g} above the least value found.")
        return sentences

    def _by_layer(self, best: State) -> list[Comparison]:
        s, key = self.settings, self._frame_key
        floor = etf_floor(s.classes, s.dim) if s.bias else orthogonal_frame_floor(s.classes, s.dim)
        comparisons = []
        for i, values in enumerate(self._measures(best), start=1):
            where = "the free features" if i == 1 else f"layer {i}"
            comparisons += [
                Comparison("nc1/trace_ratio", 0.0, values["nc1/trace_ratio"], f"within-class scatter of {where}"),
                Comparison(key, floor, values[key], f"class means of {where}"),
                Comparison("misalignment", 0.0, values["misalignment"], f"of the next weights to {where}"),
            ]
        return comparisons

    def _plots(self, rows: Sequence[Row]) -> list[Plot]:
        s, plots = self.settings, []
        caption = (
            "Gradient descent; layer 1 are the free features. All layers collapse, together or one after the other."
        )
        words = {"nc1/trace_ratio": "Within-class variability", self._frame_key: "Class means"}
        for key, what in words.items():
            lines = [curve(rows, key, f"layer {i}") for i in range(1, s.layers)]
            lines, title = [line for line in lines if line.x], f"{what} of every layer"
            plots.append(Plot(title, "step", key, lines, caption, log_y=True, metric=key))
        found = curve(rows, "objective", "descent", label="gradient descent")
        dashed = level("predicted optimum", self._predicted().value, [found])
        plots.append(Plot("The objective", "step", "objective", [found, dashed], log_y=True))
        decays = series(rows, "shrinkage", "sweep")[0]
        if decays:
            optima = [deep_optimum(s.classes, s.samples, s.dim, (decay,) * s.layers, s.bias) for decay in decays]
            lines = [
                curve(rows, "shrinkage", "sweep", label="found", points=True),
                Line("predicted", decays, [optimum.shrinkage for optimum in optima], "predicted"),
                curve(rows, "followed", "sweep", label="branch followed from small decays", role="baseline"),
            ]
            caption = (
                "One decay for all matrices. Found is the better of zero and of what is left when the decay grows slowly; beyond "
                "two matrices that branch outlives its being optimal."
            )
            plots.append(Plot("Collapse to zero", "decay", "logits over targets", lines, caption))
        return plots

    def start(self, stream: int = -1, scale: float = 1.0) -> State:
        """Gaussian matrices of a scale, the features in R^d of expected squared norm scale^2; the bias is 0."""
        s = self.settings
        shapes = [(s.dim, s.classes * s.samples), *[(s.dim, s.dim)] * (s.layers - 2), (s.classes, s.dim)]
        drawn = self.draw(stream, {f"W{i}": shape for i, shape in enumerate(shapes, start=1)})
        state = {name: scale * tensor / math.sqrt(s.dim) for name, tensor in drawn.items()}
        return state | ({"b": torch.zeros(s.classes, 1, dtype=torch.float64)} if s.bias else {})

    def _descend(self) -> Run:
        s = self.settings
        start = now = self.start()
        for step, now in descent(self._objective, start, stops(s.steps, _CHUNKS)[1:], s.lr):
            yield Row("descent", float(step), "objective", float(self._objective(now)))
            for i, values in enumerate(self._measures(now), start=1):
                yield from record(f"layer {i}", step, values)
        return now

    def _sweep(self) -> Iterator[Row]:
        """Ever larger decays, each from where the last one ended; the first from a random start."""
        s = self.settings
        limit = threshold_decay(s.classes, s.samples, s.layers)
        now = self.start(s.starts + 1, scale=1.5)
        for point in range(s.sweep):
            decay = limit * 1.4 * (point + 0.5) / s.sweep
            objective = partial(deep_objective, decays=(decay,) * s.layers)
            end = minimise(objective, now)
            now, followed = end.state, self._shrinkage(end.state)
            better = end.value < float(objective(self._zero()))
            numbers = {
                "shrinkage": followed if better else 0.0,
                "followed": followed,
                "gradient norm": end.gradient_norm,
            }
            yield from record("sweep", decay, numbers)

    def _objective(self, state: State) -> Tensor:
        return deep_objective(state, self.settings.decays(), self._relu)

    def _lower(self, a: State, b: State) -> State:
        return b if self._objective(b) < self._objective(a) else a

    def _predicted(self) -> DeepOptimum:
        s = self.settings
        return deep_optimum(s.classes, s.samples, s.dim, s.decays(), s.bias)

    def _zero(self) -> State:
        zero = {name: torch.zeros_like(tensor) for name, tensor in self.start().items()}
        return zero | ({"b": torch.full_like(zero["b"], 1 / self.settings.classes)} if "b" in zero else {})

    def _shrinkage(self, state: State) -> float:
        """The mean of the singular values of the logits, without bias, that the optimum may have, over sqrt(n)."""
        s = self.settings
        logits = forward({name: tensor for name, tensor in state.items() if name != "b"}, self._relu)[-1]
        rank = min(s.classes - 1 if s.bias else s.classes, s.dim)
        return float(torch.linalg.svdvals(logits)[:rank].mean() / math.sqrt(s.samples))

    def _measures(self, state: State) -> list[dict[str, float]]:
        s = self.settings
        labels = balanced_labels(s.classes, s.samples)
        pairs = zip(forward(state, self._relu)[:-1], misalignment(state, self._relu), strict=True)
        return [measured(layer.T, labels) | {"misalignment": value} for layer, value in pairs]

    @property
    def _relu(self) -> bool:
        return self.settings.activation == "relu"

    @property
    def _frame_key(self) -> str:
        return "nc2/etf_distance" if self.settings.bias else "nc2/orthogonal_frame_distance"
