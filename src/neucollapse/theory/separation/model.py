r"""The law of separation: how the scatter within classes falls from layer to layer, and how far a linear network could get.

$$D_l = \operatorname{tr}(S_W S_B^+) \text{ at layer } l, \qquad D_l \approx \rho^l D_0$$

is an empirical law (He and Su, arXiv 2210.17020). What can be proved is its control: no linear map, hence no linear network of
any depth, goes below `metrics.layers.linear_separation_floor` of the inputs, and the least-squares classifier alone reaches it.
So a linear network has one step to make, and nothing to spread over its layers.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from ..._errors import InputError
from ..._types import Float, Int
from ...metrics.layers import effective_depth, linear_separation_floor, separation_law, tunnel_start
from ...statistics import ClassStatistics
from .._findings import curve, record
from .._measure import measured
from .._model import Comparison, Findings, Line, Model, Plot, Row, Run, State
from ..network import initial_network, layer_outputs
from ..solvers import descent, stops
from .settings import LayerSeparation

_CHUNKS = 10
_PROBE = 3e-5  # directions of a layer below this share of the largest are none that a probe could be read from
_NETS: dict[str, Literal["found", "baseline"]] = {"ReLU": "found", "linear": "baseline"}  # and their roles in plots


def least_squares_outputs(
    features: Float[Tensor, "N d"], labels: Int[Tensor, " N"], rcond: float = 1e-12
) -> Float[Tensor, "N K"]:
    """What the affine least-squares classifier of one-hot labels gives on its training samples.

    Directions in which the features vary by less than `rcond` of the largest are left out: features at one point have none.

    Examples:
        >>> least_squares_outputs(torch.tensor([[-1.0], [1.0]]).double(), torch.tensor([0, 1])).round().abs().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    centred = features - features.mean(0)
    targets = one_hot(labels).to(features)
    weight = torch.linalg.lstsq(centred, targets, rcond=rcond, driver="gelsd").solution
    return centred @ weight + targets.mean(0)


def fuzziness(features: Float[Tensor, "N d"], labels: Int[Tensor, " N"]) -> float:
    """D = tr(S_W S_B^+) of a layer, or NaN where classes have one mean."""
    return measured(features, labels, keys=("nc1/pinv_unscaled",)).get("nc1/pinv_unscaled", math.nan)


def nearest_mean_accuracy(features: Float[Tensor, "N d"], labels: Int[Tensor, " N"]) -> float:
    """Share of the samples that are nearest to the mean of their own class.

    Examples:
        >>> nearest_mean_accuracy(torch.tensor([[0.0], [1.0], [4.0], [5.0]]).double(), torch.tensor([0, 0, 1, 1]))
        1.0
    """
    means = torch.stack([features[labels == k].mean(0) for k in range(int(labels.max()) + 1)])
    return float((torch.cdist(features, means).argmin(1) == labels).double().mean())


class LayerSeparationModel(Model[LayerSeparation]):
    """A ReLU network and a linear one of the same shape, trained in turn from the same start."""

    def run(self) -> Run:
        """Train both networks, in turn; ends with the data."""
        s = self.settings
        inputs, labels = self._data()
        widths = (s.inputs, *[s.width] * s.depth, int(labels.max()) + 1)
        shown = stops(s.steps, _CHUNKS)
        trained = {}
        adam = s.optimiser == "adam"

        def objective(weights: State, linear: bool) -> Tensor:
            return cross_entropy(layer_outputs(weights, inputs, linear=linear)[-1], labels)

        for net in _NETS:
            start = initial_network(widths, self.generator(), gain=s.gain if net == "ReLU" else s.gain / 2)
            aim = partial(objective, linear=net == "linear")
            trained[net] = descent(aim, start, shown, s.lr, momentum=0.0 if adam else 0.9, adam=adam)
        for step in shown:
            for net in _NETS:
                yield from self._measured(net, step, next(trained[net])[1], inputs, labels)
        return {"inputs": inputs, "labels": labels}

    def _data(self) -> tuple[Tensor, Tensor]:
        s, generator = self.settings, self.generator()
        inputs, labels = _digits(s) if s.data == "digits" else _clusters(s, generator)
        drawn = torch.rand(len(labels), generator=generator) < s.random_labels
        others = torch.randint(int(labels.max()) + 1, labels.shape, generator=generator)
        return inputs, torch.where(drawn, others, labels)

    def _measured(self, net: str, step: int, weights: State, inputs: Tensor, labels: Tensor) -> list[Row]:
        """Every layer's fuzziness and accuracies, and what the law and the depths make of them."""
        s = self.settings
        outputs = layer_outputs(weights, inputs, linear=net == "linear")
        if not bool(outputs[-1].isfinite().all()):
            raise InputError(f"the {net} network diverged within {step} steps of size {s.lr:g}; expected a smaller lr")
        layers = outputs[:-1]
        values = [fuzziness(layer, labels) for layer in layers]
        nearest = [nearest_mean_accuracy(layer, labels) for layer in layers]
        probe = [_accuracy(least_squares_outputs(layer, labels, _PROBE), labels) for layer in layers]
        numbers = {"loss": float(cross_entropy(outputs[-1], labels)), "accuracy": _accuracy(outputs[-1], labels)}
        # No fuzziness, and no law, where all classes have one mean, such as in a layer that has died.
        law = separation_law(values) if all(0 < value < math.inf for value in values) else None
        for name, items in (("D", values), ("nearest mean", nearest), ("linear probe", probe)):
            numbers |= {f"{name}@{layer}": item for layer, item in enumerate(items) if item == item}
        depth = effective_depth([1 - share for share in nearest], s.threshold)
        numbers |= {} if law is None else {"rho": law.rho, "r_squared": law.r_squared}
        numbers |= {"tunnel": float(tunnel_start(probe, s.share))}
        numbers |= {} if depth is None else {"depth": float(depth)}
        return record(net, step, numbers)

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """What was found, beside what is proved."""
        s = self.settings
        floor = _floor(end["inputs"], end["labels"])
        reached = fuzziness(least_squares_outputs(end["inputs"], end["labels"]), end["labels"])
        last = {(row.series, row.key): row.value for row in rows if row.x == s.steps}
        first = {(row.series, row.key): row.value for row in rows if row.x == 0}
        linear = [row.value for row in rows if row.series == "linear" and row.key.startswith("D@")]
        reaches = last.get(("ReLU", f"D@{s.depth}"))
        ends = "has none at its end, where all classes have one mean" if reaches is None else f"ends at {reaches:.4g}"
        keeps = min(linear) >= floor * (1 - 1e-9)
        depth = last.get(("ReLU", "depth"))
        where = (
            f"no layer's nearest class mean errs on at most {s.threshold:.0%}"
            if depth is None
            else f"the effective depth is {depth:.0f} (its nearest class mean errs on at most {s.threshold:.0%})"
        )
        sentences = [
            _law_sentence(first, last),
            f"No linear map reaches less than {floor:.4g}; the linear network's least is {min(linear):.4g}"
            f"{'' if keeps else ', BELOW THE FLOOR'}, and the ReLU network {ends}.",
            f"Of {s.depth} hidden layers, {where}, and the tunnel begins at layer {last['ReLU', 'tunnel']:.0f} (its linear "
            f"probe has {s.share:.0%} of the last one's accuracy).",
        ]
        what = "separation fuzziness of the least-squares classifier"
        comparison = Comparison(what, floor, reached, "the floor of linear maps, derived here")
        exact = abs(reached / floor - 1) <= 1e-8
        return Findings(sentences, [comparison], self._plots(rows, floor), end, exact and keeps)

    def _plots(self, rows: Sequence[Row], floor: float) -> list[Plot]:
        layers = list(map(float, range(self.settings.depth + 1)))
        steps = sorted({row.x for row in rows})
        shown = [steps[0], steps[len(steps) // 4], steps[-1]]

        def over_layers(net: str, key: str, step: float) -> list[float]:
            found = {row.key: row.value for row in rows if row.series == net and row.x == step}
            return [found.get(f"{key}@{layer:g}", math.nan) for layer in layers]

        last = over_layers("ReLU", "D", steps[-1])
        law = separation_law(last) if all(value > 0 for value in last) else None
        lines = [Line(f"ReLU, step {step:g}", layers, over_layers("ReLU", "D", step), points=True) for step in shown]
        if law is not None:
            lines.append(Line("the law, fitted", layers, [law.start * law.rho**layer for layer in layers], "predicted"))
        lines += [
            Line("linear network, last step", layers, over_layers("linear", "D", steps[-1]), "baseline", points=True),
            Line("floor of linear maps", layers, [floor] * len(layers), "predicted"),
        ]
        accuracies = [
            Line(f"{name}, {net}", layers, over_layers(net, name, steps[-1]), role, points=True)
            for net, role in _NETS.items()
            for name in ("nearest mean", "linear probe")
        ]
        laws = [
            curve(rows, key, net, label=f"{name}, {net}", role=role)
            for net, role in _NETS.items()
            for name, key in (("R²", "r_squared"), ("factor a layer", "rho"))
        ]
        depths = [curve(rows, "depth", "ReLU", label="effective depth"), curve(rows, "tunnel", "ReLU", label="tunnel")]
        return [
            Plot(
                "Separation fuzziness over the layers", "layer (0 is the input)", "tr(S_W S_B⁺)", lines,
                "A straight line is the law. A linear network stays above the floor, whatever its depth.", log_y=True,
            ),
            Plot("The law over training", "step", "value", laws, "How straight the line is, and how steep."),
            Plot(
                "Accuracy over the layers", "layer (0 is the input)", "training accuracy", accuracies,
                "Effective depth is read off the nearest class mean, the tunnel off the linear probe.",
            ),
            Plot("Depths over training", "step", "layer", depths, "No point where no layer is below the threshold."),
        ]  # fmt: skip


def _law_sentence(first: dict[tuple[str, str], float], last: dict[tuple[str, str], float]) -> str:
    """What the fit over the layers says, before and after training; keys are those of the rows, the network first."""
    if ("ReLU", "rho") not in last:
        return "After training there is no law: in some layer of the ReLU net all classes have one mean."
    rho, before = last["ReLU", "rho"], first.get(("ReLU", "rho"))
    word = "falls" if rho < 1 else "does not fall but grows"
    control = "none before training"
    if before is not None:
        control = f"{first['ReLU', 'r_squared']:.1%} before training, with a factor of {before:.3f}"
    return (
        f"After training, separation fuzziness {word} by the factor {rho:.3f} a layer in the ReLU net, and a straight line "
        f"explains {last['ReLU', 'r_squared']:.1%} of its logarithm ({control})."
    )


def _floor(inputs: Tensor, labels: Tensor) -> float:
    stats = ClassStatistics(int(labels.max()) + 1, inputs.shape[1])
    stats.update(inputs, labels)
    return linear_separation_floor(stats.within_scatter(), stats.centred_means())


def _accuracy(outputs: Tensor, labels: Tensor) -> float:
    return float((outputs.argmax(1) == labels).double().mean())


def _digits(s: LayerSeparation) -> tuple[Tensor, Tensor]:
    """The first principal components of equally many images of each digit, at a mean variance of 1."""
    from ...data import load_digits

    inputs, labels = load_digits(flat=True).train.tensors
    chosen = torch.cat([(labels == k).nonzero().flatten()[: s.samples] for k in range(s.classes)])
    rows = inputs[chosen].double()
    rows = rows - rows.mean(0)
    rows = rows @ torch.linalg.svd(rows, full_matrices=False).Vh[: s.inputs].T
    return rows / rows.square().mean().sqrt(), labels[chosen]


def _clusters(s: LayerSeparation, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two Gaussian clusters a class, of half the samples each."""
    centres = torch.randn(2, s.classes, s.inputs, generator=generator, dtype=torch.float64)
    labels = torch.arange(s.classes).repeat_interleave(s.samples)
    which = torch.arange(len(labels)) % 2
    noise = torch.randn(len(labels), s.inputs, generator=generator, dtype=torch.float64)
    return centres[which, labels] + s.noise * noise, labels
