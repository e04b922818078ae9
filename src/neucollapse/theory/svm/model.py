r"""Cross-entropy without regularisation, and the hard-margin multi-class SVM that its gradient flow turns towards.

Features H (N, d), free or fixed, a classifier W (K, d) without bias, the mean cross-entropy of the logits $H W^\top$.
Once all samples are right the loss falls towards 0 as parameters grow without bound: the smallest margin
$p_{min} = \min_{i, j \ne y_i} (w_{y_i} - w_j)^\top h_i$ diverges as about log t, whatever the geometry, and says nothing.
What can tell is the normalised margin,

$$\frac{p_{min}}{\lVert W \rVert \lVert H \rVert} \le \frac{1}{\lVert \hat Z \rVert_*} \quad\text{(free)}, \qquad
\frac{p_{min}}{\lVert W \rVert} \le \frac{1}{\lVert W_{SVM} \rVert} \quad\text{(fixed)},$$

whose bounds `max_margin` solves exactly, and the direction. The first follows from
$\lVert H W^\top \rVert_* \le \lVert W \rVert \lVert H \rVert$ and is reached in d >= K-1 dimensions. With n samples of each
class it is 1 / ((K-1) sqrt(n)), at a simplex frame.

The flow is followed not in time but in nats of loss, $\theta' = -\nabla \log L / \lVert \nabla \log L \rVert^2$: the same
path at a speed that does not vanish. Time itself is carried along as log t, far beyond what a float could hold.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..._types import Bool, Float
from ...geometry import best_known
from ...losses import cross_entropy, log_cross_entropy
from ...losses._log_objective import log_softplus
from .._findings import curve, last, level, metric_plot, record
from .._measure import measured
from .._model import Comparison, Findings, Line, Model, Plot, Row, Run, State, series
from ..class_sizes import labels_of
from ..solvers import descent, flow
from .max_margin import HardMargin, hard_margin_svm, margins, minimum_norm_separation
from .settings import SVM

_CAPTIONS = {
    "nc1/pinv": "Variability within classes; 0 from the start with one sample a class.",
    "nc2/equinorm": "Norms of class means become equal where classes are.",
    "nc2/etf_distance": "Class means tend to a simplex where classes are of equal size, to another frame where they are not.",
    "nc2/etf_distance@weight": "So does the classifier.",
    "nc3/frobenius": "Classifier and class means align where classes are of equal size.",
}
_FIRST = 0.1  # nats after which the flow is first measured
_EQUAL = 1e-9  # slowness below which all multipliers are equal
_MET = 1e-12  # a gap that is rounding
_SMALL = 0.05  # relative gap of the normalised margin at the end that counts as agreement


def log_loss_gradient(
    logits: Float[Tensor, "N K"], own: Bool[Tensor, "N K"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "N K"]]:
    """Logarithm of the mean cross-entropy of float64 logits and its gradient, at a fifth of the cost of autograd.

    `own` is true where the label is.
    """
    rivals = logits.masked_fill(own, -torch.inf)
    lse = rivals.logsumexp(dim=1)
    m = lse - logits[own]
    total = log_softplus(m).logsumexp(dim=0)
    pull = (torch.nn.functional.logsigmoid(m) - total).exp()[:, None]
    return total - math.log(len(m)), torch.where(own, -pull, pull * (rivals - lse[:, None]).exp())


class SVMModel(Model[SVM]):
    """Gradient flow of the cross-entropy along log time, beside the exact SVM; plain gradient descent as a control."""

    @cached_property
    def labels(self) -> Tensor:
        """Label of each sample."""
        return labels_of(torch.tensor(self.settings.sizes))

    @cached_property
    def target(self) -> HardMargin:
        """The exact SVM: of the class sizes where features are free, of the features where they are fixed."""
        if self.settings.features == "free":
            return minimum_norm_separation(self.settings.sizes)
        return hard_margin_svm(self.start()["features"], self.labels, self.settings.classes)

    @property
    def reachable(self) -> bool:
        """Whether the flow can reach the exact SVM: features are fixed, or there is room for its rank K - 1."""
        return self.settings.features == "fixed" or self.settings.dim >= self.settings.classes - 1

    @cached_property
    def goal(self) -> float | None:
        r"""The normalised margin the flow is held against; None where none is known.

        Below d = K - 1, with classes of n samples each and all lengths equal, it is that of the best code known,

        $$\frac{\rho}{K \sqrt n}, \qquad \rho = \min_k \operatorname{dist}(w_k, \operatorname{conv} \{w_j\}_{j \ne k}),$$

        derived here: each feature points from the hull of the other rows to its own, and $\lVert W \rVert \lVert H \rVert
        = \sqrt K \sqrt{n K}$. For d = 2 it is the polygon's, $(1 - \cos(2 \pi / K)) / (K \sqrt n)$.
        """
        s = self.settings
        if self.reachable:
            return self.target.margin
        known = best_known(s.classes, s.dim)
        if len(set(s.sizes)) > 1 or known.margin is None or known.status == "bound" or known.margin <= 0:
            return None
        return known.margin / (s.classes * math.sqrt(s.sizes[0]))

    @property
    def _moving(self) -> tuple[str, ...]:
        return ("weight", "features") if self.settings.features == "free" else ("weight",)

    def start(self) -> State:
        """Random classifier and features; fixed features are of norm about 1."""
        s = self.settings
        start = self.draw(-1, {"weight": (s.classes, s.dim), "features": (sum(s.sizes), s.dim)})
        size = s.init if s.features == "free" else s.dim**-0.5
        return {"weight": s.init * start["weight"], "features": start["features"] * size}

    def run(self) -> Run:
        """The flow down to every loss, and plain descent beside it; ends with the flow's classifier and features."""
        s, start = self.settings, self.start()
        now = {**start, "log_time": torch.zeros((), dtype=torch.float64)}
        nats = [0.0, *np.geomspace(min(_FIRST, s.drop / 10), s.drop, s.points).tolist()]
        control = self._descent(start) if s.descent_steps else None
        for begin, end in pairwise(nats):
            path = {name: now[name] for name in (*self._moving, "log_time")}
            now |= flow(lambda _, path: self._velocity(start | path), path, begin, end, rtol=1e-8, atol=1e-10)
            yield from record("flow", float(now["log_time"]), self._numbers(now))
            if control is not None:
                yield from next(control)
        return now

    def _velocity(self, now: State) -> State:
        value, gradients = self._gradients(now)
        squared = sum(float(gradient.square().sum()) for gradient in gradients.values())
        # d log(1 + t) for a nat of loss: 1 / (L |grad log L|^2 (1 + t)).
        clock = (-value - math.log(squared) - now["log_time"]).exp()
        return {name: -gradient / squared for name, gradient in gradients.items()} | {"log_time": clock}

    def _gradients(self, now: State) -> tuple[Tensor, State]:
        """Logarithm of the loss and its gradients by what moves."""
        own = torch.nn.functional.one_hot(self.labels, self.settings.classes).bool()
        value, by_logits = log_loss_gradient(now["features"] @ now["weight"].mT, own)
        gradients = {"weight": by_logits.mT @ now["features"]}
        if self.settings.features == "free":
            gradients["features"] = by_logits @ now["weight"]
        return value, gradients

    def _descent(self, start: State) -> Iterator[list[Row]]:
        """The rows of plain descent from the same start, at as many points as the flow has."""
        s = self.settings

        def loss(now: State) -> Tensor:
            everything = start | now
            return cross_entropy(everything["features"] @ everything["weight"].mT, self.labels)

        shown = np.geomspace(1, s.descent_steps, s.points).round().astype(int).tolist()
        for step, now in descent(loss, {name: start[name] for name in self._moving}, shown, s.descent_lr):
            yield record("descent", math.log1p(s.descent_lr * step), self._numbers(start | now))

    def _numbers(self, now: State) -> dict[str, float]:
        W, H, free = now["weight"], now["features"], self.settings.features == "free"
        logits = H @ W.mT
        smallest = float(margins(logits, self.labels).min())
        centred = logits - logits.mean(dim=1, keepdim=True)  # softmax does not see what a sample's logits share
        size = float(W.norm() * (H.norm() if free else 1))
        least = float(torch.linalg.svdvals(centred).sum()) if free else size
        reached = centred if free else W
        downhill = -torch.cat([gradient.reshape(-1) for gradient in self._gradients(now)[1].values()])
        point = torch.cat([now[name].reshape(-1) for name in self._moving])
        return measured(H, self.labels, W, keys=None if free else ()) | {
            "loss/log": float(log_cross_entropy(logits, self.labels)),
            "margin/smallest": smallest,
            "margin/normalised": smallest / size,
            "margin/of_logits": smallest / least,
            "direction/distance": float((reached / reached.norm() - self.target.direction).norm()),
            # 1 - cosine of what moves with the direction of steepest descent
            "kkt/angle": float((downhill / downhill.norm() - point / point.norm()).square().sum() / 2),
        }

    def findings(self, end: State, rows: Sequence[Row]) -> Findings:
        """Normalised margin and direction against the exact solution, their rates, and the trivial divergence."""
        target, now = self.target, last(rows, "flow")
        log_time, smallest = series(rows, "loss/log", "flow")[0][-1], now["margin/smallest"]
        headline, agrees = self._headline(rows, log_time)
        sentences = [
            headline,
            f"The exact solution meets its optimality conditions to {target.residual:.1e}: margins, signs of the multipliers, "
            "stationarity and duality gap.",
            f"The raw margin says little: it diverges as log t whatever the geometry, to {smallest:.0f} here, "
            f"{smallest / log_time:.3f} times log t.",
            f"The direction points {now['kkt/angle']:.1e} away from the descent direction "
            "(1 - cosine), which is 0 at a KKT point of the minimum-norm separation.",
        ]
        sentences += [self._rates(rows)] * self.reachable + self._control(rows)
        tensors = {"weight": end["weight"], "features": end["features"], "svm_logits": target.logits}
        return Findings(sentences, self._comparisons(now), self._plots(rows), tensors, agrees)

    def _headline(self, rows: Sequence[Row], log_time: float) -> tuple[str, bool | None]:
        s, bound, margin = self.settings, self.target.margin, series(rows, "margin/normalised", "flow")[1]
        found = f"The normalised margin ends at {margin[-1]:.6f} after a time of e^{log_time:.0f} "
        found += f"(loss e^{last(rows, 'flow')['loss/log']:.0f})"
        if self.goal is None:
            return (
                f"{found}. In {s.dim} dimensions {bound:.6f}, the bound by the nuclear norm that d >= K-1 = {s.classes - 1} "
                "reaches, is out of reach, and no optimum is known: nothing is predicted."
            ), None
        gap = [1 - value / self.goal for value in margin]
        falls = all(after <= before + 1e-9 for before, after in pairwise(gap[len(gap) // 2 :]))
        # The exact SVM cannot be beaten; a code can, by lengths that are not equal.
        agrees = falls and (-1e-9 if self.reachable else -_SMALL) <= gap[-1] <= _SMALL
        goal = (
            f"the exact SVM has {self.goal:.6f}"
            if self.reachable
            else f"the best code of {s.classes} points known in {s.dim} dimensions has {self.goal:.6f}, and {bound:.6f}, "
            f"the bound by the nuclear norm, is out of reach below d = K-1 = {s.classes - 1}"
        )
        return (
            f"{found}; {goal}. It is {abs(gap[-1]):.1e} {'below' if gap[-1] >= 0 else 'above'} it (relative), and the gap is "
            f"{'falling' if falls else 'not falling'}."
        ), agrees

    def _comparisons(self, now: dict[str, float]) -> list[Comparison]:
        target, goal, own = self.target, self.goal, now["margin/of_logits"]
        whose = "the exact SVM's" if self.reachable else "of the best code known"
        meaning = f"{whose}; approached along log t, never reached"
        comparisons = [] if goal is None else [Comparison("normalised margin", goal, now["margin/normalised"], meaning)]
        if not self.reachable:
            return comparisons
        constant = (1 - own / target.margin) * now["margin/smallest"]
        return [
            *comparisons,
            Comparison("margin of the logits", target.margin, own, "over their nuclear norm (free) or |W| (fixed)"),
            Comparison("distance of directions", 0.0, now["direction/distance"],
                       "of the centred logits (free) or of the weight (fixed)"),
            Comparison("gap of the logits times p_min", target.slowness, constant, "in the limit"),
        ]  # fmt: skip

    def _rates(self, rows: Sequence[Row]) -> str:
        """Exponents in log t over the second half, and the constants of the first order."""
        times, gaps = self._gaps(rows, self.target.margin)
        if self.settings.features == "fixed":
            del gaps["margin of the logits"]
        own, kappa = list(gaps.values())[-1][-1] * last(rows, "flow")["margin/smallest"], self.target.slowness
        half, rates = len(times) // 2, []
        for name, column in (gaps | {"direction": series(rows, "direction/distance", "flow")[1]}).items():
            late = np.abs(column[half:])
            # What has met its limit to rounding has no rate left.
            rate = np.polyfit(np.log(times[half:]), np.log(late), 1)[0] if late.min() > _MET else None
            rates.append(f"{name} none, met" if rate is None else f"{name} {rate:.2f}")
        predicted = f"{kappa:.3f}, from the multipliers" if kappa > _EQUAL else "0: all multipliers are equal"
        return (
            f"Measured rates, gaps as powers of log t over the second half: {', '.join(rates)}. Gap times p_min, "
            f"{'of the logits, ' if self.settings.features == 'free' else ''}is {own:.3f}; its predicted limit is {predicted}."
        )

    def _control(self, rows: Sequence[Row]) -> list[str]:
        times, margin = series(rows, "margin/normalised", "descent")
        if not times:
            return []
        there = float(np.interp(times[-1], *series(rows, "margin/normalised", "flow")))
        s = self.settings
        return [
            f"Control: plain gradient descent, {s.descent_steps} steps of {s.descent_lr:g}, gets to a time of e^{times[-1]:.1f} "
            f"alone and to a normalised margin of {margin[-1]:.6f}, where the flow has {there:.6f} at that time."
        ]

    def _gaps(self, rows: Sequence[Row], target: float) -> tuple[list[float], dict[str, list[float]]]:
        """Times, and the relative gaps of the normalised margin and of that of the logits."""
        times = series(rows, "margin/normalised", "flow")[0]
        keys = {"normalised margin": "margin/normalised", "margin of the logits": "margin/of_logits"}
        return times, {
            name: [1 - value / target for value in series(rows, key, "flow")[1]] for name, key in keys.items()
        }

    def _plots(self, rows: Sequence[Row]) -> list[Plot]:
        x, goal, slowness = (
            "log(1 + time)",
            self.target.margin if self.goal is None else self.goal,
            self.target.slowness,
        )
        known = "the best code known" if self.goal is not None else "a bound out of reach"
        what = "the exact SVM" if self.reachable else known

        def lines(key: str) -> list[Line]:
            control = [curve(rows, key, "descent", role="baseline")] if self.settings.descent_steps else []
            return [curve(rows, key, "flow"), *control]

        rising, (times, gaps) = lines("margin/normalised"), self._gaps(rows, goal)
        falling = [Line(name, times, gap) for name, gap in gaps.items()]
        if slowness > _EQUAL:
            late, smallest = (column[len(times) // 2 :] for column in series(rows, "margin/smallest", "flow"))
            falling.append(Line("first order", late, [slowness / value for value in smallest], "predicted"))
        plots = [
            Plot("Normalised margin", x, "p_min over norms", [*rising, level(what, goal, rising[:1])],
                 f"It rises to what {what} has, more slowly than log t grows. Plain descent ends early on the same curve.",
                 log_x=True),
            Plot("Gap of the normalised margin", x, "relative gap", falling,
                 "Straight: a power of log t. Of the logits: over their nuclear norm. Dashed: predicted for unequal multipliers.",
                 log_x=True, log_y=True),
            Plot("Direction", x, "distance of unit directions", lines("direction/distance"),
                 "Distance to the direction of the exact SVM.", log_x=True, log_y=True),
            Plot("Smallest margin", x, "p_min", lines("margin/smallest"),
                 "The raw margin grows in proportion to log t for any geometry: a trivial divergence."),
        ]  # fmt: skip
        metrics = [key for key in _CAPTIONS if key in last(rows, "flow")]
        return plots + [metric_plot(key, x, lines(key), _CAPTIONS[key]) for key in metrics]
