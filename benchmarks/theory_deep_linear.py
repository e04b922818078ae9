r"""Does depth lower the rank that a deep linear network ends at, and does width raise it?

K = 10 classes, one free feature each, cross-entropy, no decay: L matrices (the features among them), L = 2 ... 8, of width
16, 64 and 256, entries drawn with standard deviation scale / sqrt(width), three starts, 800 steps of the flow of log loss.
At two scales:
small (0.3) and of order one. At the end, for every start: the effective rank and the one-vs-rest margin of the
unit features, whether all classes are told apart, log loss, and the Schatten-2/L value of the logits at unit margin, beside
those of the simplex and of the cheapest code known.

    python benchmarks/theory_deep_linear.py        writes benchmarks/results/theory_deep_linear.json
"""

from _timing import save  # first: it pins the threads

import itertools
import statistics
import time

import torch
from torch import Tensor

from neucollapse.geometry import one_vs_rest
from neucollapse.metrics.rank import effective_rank
from neucollapse.theory.deep_linear.log_flow import Factors, log_flow, log_loss_gradient, products
from neucollapse.theory.deep_linear.model import gaussian_factors
from neucollapse.theory.deep_linear.schatten import logit_margin, preferred_code, schatten_value, simplex_value

K, WIDTHS, DEPTHS, SCALES, STARTS, STEPS = 10, (16, 64, 256), range(2, 9), (0.3, 1.0), 3, 800


def main() -> None:
    began = time.perf_counter()
    cells = [cell(scale, width, L) for scale in SCALES for width in WIDTHS for L in DEPTHS]
    ranks = {(c["scale"], c["width"], c["layers"]): c["effective_rank_mean"] for c in cells}
    save(
        "theory_deep_linear",
        "The effective rank of the features of a deep linear network falls with depth and rises with width",
        {
            "classes": K, "starts": STARTS, "steps": STEPS, "cells": cells,
            "falls_with_depth": [
                {"scale": s, "width": w, "pairs": len(DEPTHS) - 1,
                 "falls": sum(ranks[s, w, L + 1] < ranks[s, w, L] for L in DEPTHS[:-1])}
                for s in SCALES for w in WIDTHS
            ],
            "rises_with_width": [
                {"scale": s, "layers": L, "pairs": len(WIDTHS) - 1,
                 "rises": sum(ranks[s, b, L] > ranks[s, a, L] for a, b in itertools.pairwise(WIDTHS))}
                for s in SCALES for L in DEPTHS
            ],
            "seconds": time.perf_counter() - began,
        },
    )  # fmt: skip


def cell(scale: float, width: int, L: int) -> dict:
    generator = torch.Generator().manual_seed(1000 * width + L)
    factors = gaussian_factors(K, width, L, starts=STARTS, scale=scale, generator=generator)
    factors, _ = log_flow(factors, torch.ones(STARTS, dtype=torch.float64), STEPS, longest=0.03)
    logits = products(factors)[-1]
    apart = [logit_margin(Z) > 0 for Z in logits]
    ranks, margins = zip(*(of_features(H) for H in products(factors)[-2]), strict=True)
    preferred = preferred_code(K, L, width)
    return {
        "scale": scale, "width": width, "layers": L,
        "effective_rank_mean": statistics.mean(ranks), "effective_rank": list(ranks), "margin": list(margins),
        "apart": sum(apart), "log_loss": log_loss(factors),
        "value": [schatten_value(Z, L) if told else None for Z, told in zip(logits, apart, strict=True)],
        "value_simplex": simplex_value(K), "preferred": f"{preferred.name}, d = {preferred.dim}",
        "value_preferred": schatten_value(preferred.logits, L),
    }  # fmt: skip


def of_features(H: Tensor) -> tuple[float, float]:
    """Effective rank and one-vs-rest margin of the columns at unit length."""
    unit = H / H.norm(dim=0)
    return effective_rank(torch.linalg.svdvals(unit)), one_vs_rest(unit.T).margin


def log_loss(factors: Factors) -> list[float]:
    return log_loss_gradient(factors)[0].tolist()


if __name__ == "__main__":
    main()
