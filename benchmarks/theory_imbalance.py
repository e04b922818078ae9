r"""Unequal classes: where minority classes merge, and how near free features come to what is predicted, over seeds.

- ``thresholds``: ten classes, half of them minorities of two samples. Three ratios on a grid in steps of 0.5
  to either side of the predicted threshold, each minimised in classifier and features from five random starts (L-BFGS, Newton).
  Merged says that a minority class's own logit is less than 1e-6 above another minority class's.
- ``seli``: cross-entropy at three decays from three random starts, against the exact optimum; and that optimum at a decay of
  exp(-1e8) against simplex-encoded labels.
- ``frames``: mean squared error over dimensions and decays, with and without bias, three random starts, against the closed form.

    python benchmarks/theory_imbalance.py        writes benchmarks/results/theory_imbalance.json
"""

from _timing import save  # first: it pins the threads

import math

import torch

from neucollapse.theory.class_sizes import class_means, step_counts
from neucollapse.theory.layer_peeled.model import lower_bound, minority_gap, objective, threshold, within_budget
from neucollapse.theory.seli.orthogonal_frame import orthogonal_frame
from neucollapse.theory.seli.model import class_sizes
from neucollapse.theory.seli.model import objective as unequal_objective
from neucollapse.theory.settings import LayerPeeled
from neucollapse.theory.settings import SELI
from neucollapse.theory.seli.simplex_encoding import (
    cross_entropy_optimum,
    gram_distance,
    grams,
    simplex_distance,
    simplex_encoding,
)
from neucollapse.theory.solvers import minimise

MERGED = 1e-6
MODELS = {
    "cross-entropy, decay 5e-3": LayerPeeled(),
    "mean squared error, decay 5e-3": LayerPeeled(loss="mse"),
    "cross-entropy, budgets of 2": LayerPeeled(regularisation="budget"),
    "mean squared error, budgets of 0.4": LayerPeeled(
        loss="mse", regularisation="budget", budget_weight=0.4, budget_features=0.4
    ),
}


def random(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


def one_ratio(s: LayerPeeled, size: int, seed: int) -> tuple[float, float]:
    """The gap between minority logits, and the certified gap of the value."""
    counts = step_counts(s.classes, s.minority, s.samples, size / s.samples)
    start = random({"weight": (s.classes, s.dim), "features": (int(counts.sum()), s.dim)}, seed)
    end = minimise(objective(s, counts), start)
    W, H = within_budget(s, counts, end.state)
    logits = class_means(H, counts) @ W.mT
    return minority_gap(logits, s.minority), end.value - lower_bound(s, counts, logits)


def thresholds(s: LayerPeeled) -> dict:
    at = threshold(s)
    first = math.floor(at * s.samples)
    cells, excess = {}, 0.0
    for size in range(max(s.samples, first - 2), first + 4):
        found = [one_ratio(s, size, seed) for seed in range(5)]
        excess = max(excess, *(gap for _, gap in found))
        cells[size / s.samples] = sum(gap < MERGED for gap, _ in found)
    firsts = min(ratio for ratio, merged in cells.items() if merged == 5)
    return {
        "predicted": at,
        "merged of 5 seeds, by ratio": {f"{ratio:g}": merged for ratio, merged in cells.items()},
        "first ratio with all merged": firsts,
        "grid steps from the first past the prediction": firsts * s.samples - math.ceil(at * s.samples - 1e-9),
        "largest certified gap": excess,
    }


def seli(s: SELI) -> dict:
    counts = class_sizes(s)
    encoding = simplex_encoding(counts)
    errors = []
    for decay in (3e-3, 1e-5, 1e-8):
        foretold = cross_entropy_optimum(counts, math.log(decay))
        for seed in range(3):
            start = random({"weight": (s.classes, s.dim), "features": (int(counts.sum()), s.dim)}, seed)
            end = minimise(lambda state, decay=decay: unequal_objective(s, decay)(state) / decay, start)
            logits = class_means(end.state["features"], counts) @ end.state["weight"].mT
            errors.append(float((logits - foretold).abs().max() / foretold.abs().max()))
    limit = cross_entropy_optimum(counts, -1e8)
    weight_gram, means_gram = grams(limit, counts)
    off = ~torch.eye(s.classes, dtype=torch.bool)
    return {
        "sizes": counts.tolist(),
        "largest relative error of a logit": max(errors),
        "distance to SELI at a decay of 1e-8": simplex_distance(foretold, counts),
        "distance to SELI at a decay of exp(-1e8)": {
            "logits": simplex_distance(limit, counts),
            "classifiers": gram_distance(weight_gram, encoding.weight_gram),
            "class means": gram_distance(means_gram, encoding.means_gram),
        },
        "smallest multiplier": float(encoding.multipliers[off].min()),
    }


def frames(s: SELI) -> dict:
    counts = class_sizes(s)
    errors = []
    for decay in (2e-2, 1e-3):
        frame = orthogonal_frame(counts, s.dim, decay, decay, bias=s.bias)
        for seed in range(3):
            shapes = {"weight": (s.classes, s.dim), "features": (int(counts.sum()), s.dim)}
            end = minimise(
                unequal_objective(s, decay), random(shapes | ({"bias": (s.classes,)} if s.bias else {}), seed)
            )
            M = class_means(end.state["features"], counts)
            pairs = [(end.state["weight"], frame.weight), (M, frame.means)] if frame.unique else []
            errors.append(
                max([abs(end.value - frame.value), *(float((a @ a.mT - b @ b.mT).abs().max()) for a, b in pairs)])
            )
    return {
        "sizes": counts.tolist(),
        "dim": s.dim,
        "bias": s.bias,
        "angles are unique": frame.unique,
        "largest error": max(errors),
    }


if __name__ == "__main__":
    unequal = {
        "step 10": SELI(),
        "step 100": SELI(ratio=100.0),
        "exp 100": SELI(imbalance="exp", ratio=100.0),
        "equal": SELI(imbalance="none"),
    }
    save(
        "theory_imbalance",
        "minority classes merge within one grid step of the predicted ratio; SELI and orthogonal frames are met to 1e-6",
        {
            "thresholds": {name: thresholds(s) for name, s in MODELS.items()},
            "seli": {name: seli(s) for name, s in unequal.items()},
            "frames": [
                frames(SELI(loss="mse", imbalance=imbalance, dim=dim, bias=bias))
                for imbalance in ("step", "exp")
                for dim in (10, 4)
                for bias in (False, True)
            ],
        },
    )
