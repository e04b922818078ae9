"""Exact one-vs-rest margins: ours, the sub-gradient ascent of the GNC study, and SciPy's NNLS class by class.

    python benchmarks/exact_margins.py [--large]

One thread, processor time, medians of several runs. The ascent is written here from its description: for each class,
gradient steps on the sphere for ``max_h min_j <w_k - w_j, h>``, 10,000 of them at rate .01, cut by 10 five times, from a
random start. Where fewer steps were timed, ``steps_timed`` says how many and the time is extrapolated. ``--large`` adds
K = 2000.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls

from neucollapse._environment import environment
from neucollapse._files import write_json
from neucollapse.geometry import one_vs_rest, simplex, unit_rows

STEPS, RATE = 10_000, 0.01
RESULT = Path(__file__).parent / "results" / "exact_margins.json"


def random_code(K, d):
    return unit_rows(torch.randn(K, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))


def optimised_code(K, d, steps=150):
    """Codes as training leaves them: large supports, the hard case for an active set."""
    W = random_code(K, d).float().requires_grad_()
    adam = torch.optim.Adam([W], lr=0.01)
    for step in range(steps):
        p = 8 * 25 ** (step / steps)
        U = torch.nn.functional.normalize(W, dim=1)
        loss = torch.logsumexp((p * (U @ U.T - 2 * torch.eye(K))).flatten(), 0) / p
        adam.zero_grad()
        loss.backward()
        adam.step()
    return unit_rows(W)


def ascent(W, steps):
    """The smallest over classes of the sphere-constrained maximum, as far as sub-gradient steps get."""
    W = W.float()
    K = len(W)
    H = torch.nn.functional.normalize(torch.randn(K, W.shape[1], generator=torch.Generator().manual_seed(0)), dim=1)
    for step in range(steps):
        logits = H @ W.T
        logits.fill_diagonal_(-100)
        H = H + RATE * 0.1 ** (step * 6 // STEPS) * (W - W[logits.argmax(dim=1)])
        H = torch.nn.functional.normalize(H, dim=1)
    logits = H @ W.T
    own = logits.diagonal().clone()
    return float((own - logits.fill_diagonal_(-100).amax(dim=1)).min())


def nnls_distances(W, classes):
    W = W.numpy()
    distances = []
    for k in classes:
        P = np.delete(W, k, axis=0) - W[k]
        u, _ = nnls(np.vstack([P.T, np.ones(len(P))]), np.append(np.zeros(P.shape[1]), 1.0), maxiter=100_000)
        distances.append(np.linalg.norm(u / u.sum() @ P))
    return np.array(distances)


def timed(function, repeats):
    times = []
    for _ in range(repeats):
        begin = time.process_time()  # of one thread, so that another job on the machine does not count
        value = function()
        times.append(time.process_time() - begin)
    return value, statistics.median(times)


def case(name, W, *, repeats, ascent_steps, nnls_classes):
    K, d = W.shape
    result, seconds = timed(lambda: one_vs_rest(W), repeats)
    row = {
        "code": name, "K": K, "d": d, "repeats": repeats, "cpu_seconds": seconds, "margin": result.margin,
        "largest_gap": float(result.gap.max()), "mean_support": float(np.mean([len(s.classes) for s in result.support])),
    }  # fmt: skip
    if ascent_steps:
        reached, taken = timed(lambda: ascent(W, ascent_steps), 1)
        row["ascent"] = {
            "steps_timed": ascent_steps, "cpu_seconds_for_10000_steps": taken * STEPS / ascent_steps,
            "extrapolated": ascent_steps < STEPS, "margin": reached if ascent_steps == STEPS else None,
            "times_slower": taken * STEPS / ascent_steps / seconds,
        }  # fmt: skip
    if nnls_classes:
        some = range(nnls_classes)
        distances, taken = timed(lambda: nnls_distances(W, some), 1)
        row["nnls"] = {
            "classes_timed": nnls_classes, "cpu_seconds_for_all": taken * K / nnls_classes, "extrapolated": nnls_classes < K,
            "largest_difference": float(np.abs(distances - result.distance[:nnls_classes].numpy()).max()),
            "times_slower": taken * K / nnls_classes / seconds,
        }  # fmt: skip
    print(row, file=sys.stderr, flush=True)
    return row


def main():
    torch.set_num_threads(1)
    one_vs_rest(random_code(20, 5))
    rows = [
        case("random", random_code(8, 2), repeats=9, ascent_steps=STEPS, nnls_classes=8),
        case("random", random_code(100, 10), repeats=9, ascent_steps=STEPS, nnls_classes=100),
        case("optimised", optimised_code(100, 10), repeats=9, ascent_steps=STEPS, nnls_classes=100),
        case("random", random_code(100, 512), repeats=9, ascent_steps=1000, nnls_classes=100),
        case("random", random_code(1000, 64), repeats=5, ascent_steps=200, nnls_classes=50),
        case("optimised", optimised_code(1000, 64), repeats=3, ascent_steps=200, nnls_classes=50),
        case("simplex", simplex(1000), repeats=3, ascent_steps=50, nnls_classes=0),
        case("random", random_code(1000, 512), repeats=3, ascent_steps=50, nnls_classes=10),
    ]
    if "--large" in sys.argv:
        rows += [
            case("random", random_code(2000, 512), repeats=1, ascent_steps=20, nnls_classes=4),
            case("optimised", optimised_code(2000, 512), repeats=1, ascent_steps=20, nnls_classes=2),
        ]
    write_json(RESULT, {"environment": environment(), "rows": rows}, schema="neucollapse/benchmark/exact_margins/1")


if __name__ == "__main__":
    main()
