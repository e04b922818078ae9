"""The extended and deep unconstrained features models: every layer collapses, until decay makes everything zero."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ...geometry import etf_floor, orthogonal_frame_floor
from .._measure import balanced_labels, measured
from .._model import Comparison, Findings, Line, Model, Plot, Row, Run, State, series
from ..solvers import Minimum, descent, minimise, stops
from .mse_optimum import DeepOptimum, deep_optimum, threshold_decay
from .settings import ExtendedUFM

_CHUNKS = 20
_TOLERANCE = 1e-8


def forward(state: State, relu: bool = False) -> list[Tensor]:
    """Features of every layer, the free ones first, and the logits (K, N); relu acts after every matrix but first and last."""
    weights = [
        state[name] for name in sorted((name for name in state if name[0] == "W"), key=lambda name: int(name[1:]))
    ]
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


def random_start(settings: ExtendedUFM, generator: torch.Generator, scale: float = 1.0) -> State:
    """Gaussian matrices, the features in R^d of expected squared norm 1."""
    K, d, L = settings.classes, settings.dim, settings.layers
    shapes = [(d, K * settings.samples), *[(d, d)] * (L - 2), (K, d)]
    state = {
        f"W{i}": scale * torch.randn(*shape, generator=generator, dtype=torch.float64) / math.sqrt(d)
        for i, shape in enumerate(shapes, start=1)
    }
    return state | ({"b": torch.zeros(K, 1, dtype=torch.float64)} if settings.bias else {})


class ExtendedUFMModel(Model[ExtendedUFM]):
    """Gradient descent, then the optimum from random starts, then what is left of it as the decay grows."""

    def run(self) -> Run:
        """Descend, solve from every start, follow the optimum as the decay grows; ends with the best that was found."""
        best = yield from self._descend()
        best = self._lower(self._zero(), best)
        for start in range(self.settings.starts):
            end = self._solve(start)
            best = self._lower(best, end.state)
            yield Row("starts", float(start), "objective", end.value)
            yield Row("starts", float(start), "gradient norm", end.gradient_norm)
        if not self._relu:
            yield from self._sweep()
        return best

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """The optimum found beside the predicted one, layer by layer."""
        s, predicted = self.settings, self._predicted()
        found = float(self._objective(end))
        shrunk = self._shrinkage(end)
        comparisons = [
            Comparison(
                "objective", predicted.value, found, "least value of the random starts, gradient descent and zero"
            ),
            Comparison(
                "shrinkage", predicted.shrinkage, shrunk, "mean singular value of the logits over that of the targets"
            ),
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
        values = series(rows, "objective", "starts")[1]
        reached = sum(value <= predicted.value + _TOLERANCE for value in values)
        second = (
            f"{reached} of {len(values)} random starts reach it; the others end in stationary points of a larger value."
        )
        sentences = [first, second if reached < len(values) else f"All {len(values)} random starts reach it."]
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
        words = {
            "nc1/trace_ratio": "Within-class variability of every layer",
            self._frame_key: "Class means of every layer",
        }
        for key, title in words.items():
            lines = [Line(f"layer {i}", *series(rows, key, f"layer {i}")) for i in range(1, s.layers)]
            caption = (
                "Gradient descent; layer 1 are the free features. All layers collapse, together or one after the other."
            )
            plots.append(Plot(title, "step", key, [line for line in lines if line.x], caption, log_y=True, metric=key))
        x, y = series(rows, "objective", "descent")
        dashed = Line("predicted optimum", [x[0], x[-1]], [self._predicted().value] * 2, "predicted")
        plots.append(Plot("The objective", "step", "objective", [Line("gradient descent", x, y), dashed], log_y=True))
        x, y = series(rows, "shrinkage", "sweep")
        if x:
            curve = [deep_optimum(s.classes, s.samples, s.dim, (decay,) * s.layers, s.bias).shrinkage for decay in x]
            followed = series(rows, "followed", "sweep")
            lines = [Line("found", x, y, points=True), Line("predicted", x, curve, "predicted")]
            lines.append(Line("branch followed from small decays", *followed, "baseline"))
            caption = (
                "One decay for all matrices. Found is the better of zero and of what is left when the decay grows slowly; beyond "
                "two matrices that branch outlives its being optimal."
            )
            plots.append(Plot("Collapse to zero", "decay", "logits over targets", lines, caption))
        return plots

    def _descend(self) -> Run:
        s = self.settings
        start = now = random_start(s, self.generator())
        for step, now in descent(self._objective, start, stops(s.steps, _CHUNKS)[1:], s.lr):
            yield Row("descent", float(step), "objective", float(self._objective(now)))
            for i, values in enumerate(self._measures(now), start=1):
                yield from (Row(f"layer {i}", float(step), key, value) for key, value in values.items())
        return now

    def _solve(self, start: int) -> Minimum:
        begin = random_start(self.settings, self.generator(start + 1), scale=1.5)
        if self._relu:  # second derivatives tell little across kinks
            return minimise(self._objective, begin, iterations=1000, newton_steps=0)
        return minimise(self._objective, begin)

    def _sweep(self) -> Iterator[Row]:
        """Ever larger decays, each from where the last one ended; the first from a random start."""
        s = self.settings
        limit = threshold_decay(s.classes, s.samples, s.layers)
        now = random_start(s, self.generator(s.starts + 1), scale=1.5)
        for point in range(s.sweep):
            decay = limit * 1.4 * (point + 0.5) / s.sweep

            def objective(state: State, decays: Sequence[float] = (decay,) * s.layers) -> Tensor:
                return deep_objective(state, decays)

            end = minimise(objective, now)
            now, followed = end.state, self._shrinkage(end.state)
            better = end.value < float(objective(self._zero()))
            yield Row("sweep", decay, "shrinkage", followed if better else 0.0)
            yield Row("sweep", decay, "followed", followed)
            yield Row("sweep", decay, "gradient norm", end.gradient_norm)

    def _objective(self, state: State) -> Tensor:
        return deep_objective(state, self.settings.decays(), self._relu)

    def _lower(self, a: State, b: State) -> State:
        return b if self._objective(b) < self._objective(a) else a

    def _predicted(self) -> DeepOptimum:
        s = self.settings
        return deep_optimum(s.classes, s.samples, s.dim, s.decays(), s.bias)

    def _zero(self) -> State:
        zero = {
            name: torch.zeros_like(tensor) for name, tensor in random_start(self.settings, self.generator()).items()
        }
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
        layers, misaligned = forward(state, self._relu)[:-1], misalignment(state, self._relu)
        return [
            measured(layer.T, labels) | {"misalignment": value} for layer, value in zip(layers, misaligned, strict=True)
        ]

    @property
    def _relu(self) -> bool:
        return self.settings.activation == "relu"

    @property
    def _frame_key(self) -> str:
        return "nc2/etf_distance" if self.settings.bias else "nc2/orthogonal_frame_distance"
