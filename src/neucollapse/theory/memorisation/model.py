r"""Memorisation-dilation: unconstrained features with flipped labels, and a price on telling samples of a class apart.

After Nguyen et al., arXiv 2206.05530 (abstract seen: memorisation of noisy labels dilates the collapse, less so under label
smoothing; their model has non-negative features, and its equations were not seen). The model here is our own; its optimum is
derived in `flipped_labels`.
"""

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from .._findings import curve, record
from .._measure import measured
from .._model import Comparison, Findings, Model, Plot, Row, Run, State, series
from ..solvers import minimise
from .flipped_labels import LOSSES, labels_of, objective, predicted_optimum, squared_optimum
from .settings import Memorisation

_AGREE = 1e-8
_GRADIENT = 1e-13  # margins are as exact as this over the least curvature, which is of the size of the decays over N
_QUANTITIES = {
    "value": "the least value of the objective",
    "dilation": "scatter within true classes over that between them",
    "spread": "scatter of features within true classes, not divided",
    "clean margin": "logit of the right class above another, clean samples",
    "memorised margin": "logit of the given label above the true class, flipped samples",
}


class MemorisationModel(Model[Memorisation]):
    """Every loss at every price, solved from a random start."""

    def run(self) -> Run:
        """Solve every loss at every price, beside its prediction; ends with all optima."""
        s, ends = self.settings, {}
        for stream, (loss, price) in enumerate(product(LOSSES, map(float, s.prices))):
            shapes = {"weight": (s.classes, s.dim), "features": (len(labels_of(s)[0]), s.dim)}
            end = yield from self._solve(loss, price, self.draw(stream, shapes, s.dim**0.5))
            ends |= {f"{loss}/{price:g}/{key}": tensor for key, tensor in end.items()}
        return ends

    def _solve(self, loss: str, price: float, begin: State) -> Run:
        s = self.settings
        end = minimise(lambda variables: objective(variables, s, loss, price), begin, tolerance=_GRADIENT)
        found = self._found(end.state) | {"value": end.value, "gradient": end.gradient_norm}
        optimum = squared_optimum(s, price) if loss == "squared" else predicted_optimum(s, loss, price)
        predicted = {
            "value": optimum.value,
            "dilation": optimum.dilation,
            "spread": optimum.spread,
            "clean margin": optimum.clean,
            "memorised margin": optimum.given - optimum.true,
        }
        yield from record(loss, price, found)
        yield from record(f"{loss}, predicted", price, predicted)
        return end.state

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Predicted against solved, and what label smoothing changes."""
        keys = [key for key in _QUANTITIES if self.settings.flipped or key != "memorised margin"]
        comparisons = self._comparisons(rows, keys)
        largest = max(_error(comparison) for comparison in comparisons)
        agrees = largest <= _AGREE
        sentences = [
            f"The solved and the predicted optimum {'agree' if agrees else 'were expected to agree'} for all losses and prices: "
            f"the largest error is {largest:.1e} (relative above 1, tolerance {_AGREE:g}).",
            *([self._memorised(rows), self._dilated(rows)] if self.settings.flipped else ["No labels are flipped."]),
            f"The gradient norm at the ends is at most {max(row.value for row in rows if row.key == 'gradient'):.1e}.",
        ]
        return Findings(sentences, comparisons, self._plots(rows, keys), end, agrees)

    def _found(self, state: State) -> dict[str, float]:
        """Dilation and margins as they are measured on features and logits, knowing nothing of the symmetry."""
        true, given = labels_of(self.settings)
        features, logits = state["features"], state["features"] @ state["weight"].T
        found = measured(features, true, keys=("nc1/trace_ratio",))
        means = torch.stack([features[true == k].mean(dim=0) for k in range(self.settings.classes)])
        numbers = {"spread": (features - means[true]).square().sum(dim=1).mean()}
        of_true = _pick(logits, true)
        others = (logits.sum(dim=1) - of_true) / (logits.shape[1] - 1)
        numbers["clean margin"] = (of_true - others)[true == given].mean()
        if self.settings.flipped:
            numbers["memorised margin"] = (_pick(logits, given) - of_true)[true != given].mean()
        return {"dilation": found.get("nc1/trace_ratio", math.nan)} | {
            key: float(value) for key, value in numbers.items()
        }

    def _comparisons(self, rows: Sequence[Row], keys: Sequence[str]) -> list[Comparison]:
        comparisons = []
        for loss in LOSSES:
            for key in keys:
                prices, found = series(rows, key, loss)
                predicted = series(rows, key, f"{loss}, predicted")[1]
                for price, prediction, value in zip(prices, predicted, found, strict=True):
                    if prediction == prediction:  # NaN where everything collapses to zero: no dilation then
                        name = f"{key}, {loss}, price {price:g}"
                        comparisons.append(Comparison(name, prediction, value, _QUANTITIES[key]))
        return comparisons

    def _memorised(self, rows: Sequence[Row]) -> str:
        parts = []
        for loss in LOSSES:
            prices, margins = series(rows, "memorised margin", loss)
            kept = [price for price, margin in zip(prices, margins, strict=True) if margin > _AGREE]
            parts.append(f"{loss} up to {max(kept):g}" if kept else f"{loss} at none")
        return f"Flipped labels are memorised up to a price: {', '.join(parts)}, of those tried."

    def _dilated(self, rows: Sequence[Row]) -> str:
        parts = []
        # Where all collapses to zero no class is dilated, and none is predicted to be.
        zero = {row.x for row in rows if row.key == "dilation" and row.value != row.value and "predicted" in row.series}
        units = {"dilation": "relative to the distance between classes", "spread": "in units of the features"}
        for key, words in units.items():
            (prices, plain), (_, smooth) = (series(rows, key, loss) for loss in LOSSES[:2])
            less = [f"{x:g}" for x, a, b in zip(prices, plain, smooth, strict=True) if b < a - _AGREE and x not in zero]
            parts.append(f"{words} at {len(less)} of {len(prices)} prices" + (f" ({', '.join(less)})" if less else ""))
        return f"Label smoothing dilates classes less than cross-entropy {'; '.join(parts)}."

    def _plots(self, rows: Sequence[Row], keys: Sequence[str]) -> list[Plot]:
        captions = {
            "dilation": "How far flipped samples stretch their true class: it falls as telling them apart gets dearer.",
            "spread": "The same, not divided by the distance between classes.",
            "memorised margin": "Above zero, a flipped sample is classified as its wrong label says.",
            "clean margin": "What clean samples pay for it.",
        }
        plots = []
        for key in [key for key in captions if key in keys]:
            lines = []
            for loss in LOSSES:
                lines.append(curve(rows, key, loss, points=True))
                lines.append(curve(rows, key, f"{loss}, predicted", role="predicted"))
            caption = f"{captions[key]} Points are solved, dashed lines predicted."
            metric = "nc1/trace_ratio" if key == "dilation" else ""
            plots.append(Plot(key.capitalize(), "price", _QUANTITIES[key], lines, caption, metric=metric))
        return plots


def _pick(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.gather(1, labels[:, None]).squeeze(1)


def _error(comparison: Comparison) -> float:
    return abs(comparison.predicted - comparison.found) / max(1.0, abs(comparison.predicted))
