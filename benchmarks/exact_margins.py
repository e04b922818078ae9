"""Exact one-vs-rest margins: ours, the sub-gradient ascent of the GNC study, SciPy's NNLS and daqp class by class.

    python benchmarks/exact_margins.py [--large]     writes benchmarks/results/exact_margins[_large].json

One thread, processor time, medians of several runs. The ascent is written here from its description: for each class,
gradient steps on the sphere for ``max_h min_j <w_k - w_j, h>``, 10,000 of them at rate .01, cut by 10 five times, from a
random start. Where fewer steps were timed, ``steps_timed`` says how many and the time is extrapolated; NNLS and daqp
likewise, by classes timed. ``plain`` is ours without numba. Rows of two threads hold wall times. ``--large`` takes K = 2000,
and K = 10,000 on two threads (making those codes takes a quarter of an hour; they are kept in the folder for temporary
files). The first calls, which compile or load the compiled code, are not counted; ``first_call_seconds`` says what they
took here.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls

from neucollapse._environment import environment
from neucollapse._files import write_json
from neucollapse.geometry import one_vs_rest, simplex, unit_rows

STEPS, RATE = 10_000, 0.01
RESULTS = Path(__file__).parent / "results"


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


def trained_code(K, d, steps=150, batch=4000):
    """The weights of a softmax regression on Gaussian clusters, as they come: unequal norms."""
    draw = torch.Generator().manual_seed(0)
    centres = torch.nn.functional.normalize(torch.randn(K, d, generator=draw), dim=1)
    labels = torch.arange(4 * K) % K
    features = centres[labels] + 0.5 / d**0.5 * torch.randn(4 * K, d, generator=draw)
    W = torch.zeros(K, d, requires_grad=True)
    adam = torch.optim.AdamW([W], lr=0.05, weight_decay=1e-2)
    for step in range(steps):
        some = (torch.arange(min(batch, 4 * K)) + step * batch) % (4 * K)
        adam.zero_grad()
        torch.nn.functional.cross_entropy(features[some] @ W.T, labels[some]).backward()
        adam.step()
    return W.detach().double()


def daqp_distances(W, classes):
    """The hard margin, ``min |h|^2`` with ``<w_k - w_j, h> >= 1``: the distance is 1 / |h|."""
    import daqp

    W = W.numpy()
    K, d = W.shape
    distances = []
    for k in classes:
        A = np.ascontiguousarray(W[k] - np.delete(W, k, axis=0))
        bound, far = np.ones(K - 1), np.full(K - 1, 1e30)
        h, *_ = daqp.solve(np.eye(d), np.zeros(d), A, far, bound, np.zeros(K - 1, dtype=np.int32))
        distances.append(1 / np.linalg.norm(h))
    return np.array(distances)


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


def by_class(name, function, W, classes, result, seconds):
    K = len(W)
    try:
        distances, taken = timed(lambda: function(W, range(classes)), 1)
    except ImportError:
        return {}
    return {
        name: {
            "classes_timed": classes, "cpu_seconds_for_all": taken * K / classes, "extrapolated": classes < K,
            "largest_difference": float(np.abs(distances - result.distance[:classes].numpy()).max()),
            "times_slower": taken * K / classes / seconds,
        }
    }  # fmt: skip


def without_numba(W):
    return timed(lambda: one_vs_rest(W, method="plain"), 1)


def case(name, W, *, repeats, ascent_steps=0, classes=0, plain=False):
    K, d = W.shape
    result, seconds = timed(lambda: one_vs_rest(W), repeats)
    row = {
        "code": name, "K": K, "d": d, "repeats": repeats, "cpu_seconds": seconds, "margin": result.margin,
        "largest_gap": float(result.gap.max()), "mean_support": float(np.mean([len(s.classes) for s in result.support])),
    }  # fmt: skip
    if plain:
        slow, taken = without_numba(W)
        difference = float((slow.distance - result.distance).abs().max())
        row["plain"] = {"cpu_seconds": taken, "times_slower": taken / seconds, "largest_difference": difference}
    if ascent_steps:
        reached, taken = timed(lambda: ascent(W, ascent_steps), 1)
        row["ascent"] = {
            "steps_timed": ascent_steps, "cpu_seconds_for_10000_steps": taken * STEPS / ascent_steps,
            "extrapolated": ascent_steps < STEPS, "margin": reached if ascent_steps == STEPS else None,
            "times_slower": taken * STEPS / ascent_steps / seconds,
        }  # fmt: skip
    if classes:
        row |= by_class("nnls", nnls_distances, W, classes, result, seconds)
        row |= by_class("daqp", daqp_distances, W, classes, result, seconds)
    print(row, file=sys.stderr, flush=True)
    return row


def kept(make, K, d):
    """The code that ``make`` gives, from a file where it was made before."""
    path = Path(tempfile.gettempdir()) / "neucollapse_benchmarks" / f"{make.__name__}_{K}_{d}.pt"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        torch.save(make(K, d), path)
    return torch.load(path)


def on_two_threads(name, make, K, d, *, repeats=1, method="auto"):
    torch.set_num_threads(2)
    W = kept(make, K, d)
    wall, cpu = [], []
    for _ in range(repeats):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        result = one_vs_rest(W, method=method)
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - cpu_begin)
    torch.set_num_threads(1)
    row = {
        "code": name, "K": K, "d": d, "threads": 2, "method": method, "repeats": repeats, "wall_seconds": statistics.median(wall),
        "cpu_seconds": statistics.median(cpu), "margin": result.margin, "largest_gap": float(result.gap.max()),
        "mean_support": float(np.mean([len(s.classes) for s in result.support])),
    }  # fmt: skip
    print(row, file=sys.stderr, flush=True)
    return row


def main():
    torch.set_num_threads(1)
    unlike = [random_code(100, 10), optimised_code(1000, 256)]  # small supports, and large: each has compiled code
    begin = time.process_time()
    for W in unlike:
        one_vs_rest(W)
    first = time.process_time() - begin
    rows = large() if "--large" in sys.argv else small()
    content = {"environment": environment(), "first_call_seconds": first, "rows": rows}
    name = "exact_margins_large" if "--large" in sys.argv else "exact_margins"
    write_json(RESULTS / f"{name}.json", content, schema="neucollapse/benchmark/exact_margins/1")


def small():
    return [
        case("random", random_code(8, 2), repeats=9, ascent_steps=STEPS, classes=8),
        case("random", random_code(100, 10), repeats=9, ascent_steps=STEPS, classes=100, plain=True),
        case("optimised", optimised_code(100, 10), repeats=9, ascent_steps=STEPS, classes=100, plain=True),
        case("random", random_code(100, 512), repeats=9, ascent_steps=1000, classes=100, plain=True),
        case("random", random_code(1000, 64), repeats=5, ascent_steps=200, classes=50, plain=True),
        case("optimised", optimised_code(1000, 64), repeats=5, ascent_steps=200, classes=50, plain=True),
        case("trained", trained_code(1000, 64), repeats=5, ascent_steps=200, classes=50, plain=True),
        case("simplex", simplex(1000), repeats=3, ascent_steps=50),
        case("random", random_code(1000, 512), repeats=3, ascent_steps=50, classes=10, plain=True),
        case("optimised", optimised_code(1000, 512), repeats=3, classes=5, plain=True),
        case("trained", trained_code(1000, 512), repeats=3, classes=5, plain=True),
        on_two_threads("optimised", optimised_code, 1000, 64, repeats=5),
        on_two_threads("optimised", optimised_code, 1000, 512, repeats=5),
    ]


def large():
    return [
        case("random", random_code(2000, 512), repeats=1, ascent_steps=20, classes=4),
        case("optimised", optimised_code(2000, 512), repeats=1, ascent_steps=20, classes=2, plain=True),
        on_two_threads("random", random_code, 10_000, 512),
        on_two_threads("trained", trained_code, 10_000, 512),
        on_two_threads("optimised", optimised_code, 10_000, 512, repeats=3),
        on_two_threads("optimised", optimised_code, 10_000, 512, method="compiled"),
    ]


if __name__ == "__main__":
    main()
