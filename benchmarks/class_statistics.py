"""Class statistics beside what people write by hand: trace statistics, full scatter, a batch of a language model.

The hand-written two passes: class sums with ``index_add_``, means, then the squared distance of each row to its mean, the
second pass over the whole array at once (naive) or in chunks of 4,096 rows (chunked). The bare matrix product is
``X.T @ X``. Seed 0, float32, one thread, medians of runs in turn.
"""

from _timing import alternate, save  # first: it pins the threads

import torch

from neucollapse import ClassStatistics
from neucollapse.statistics import _sums

N, D, K = 200_000, 512, 1000


def data():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(K, (N,), generator=generator)
    means = torch.randn(K, D, generator=generator)
    return means[labels] + 1e-3 * torch.randn(N, D, generator=generator), labels


def ours(X, y, scatter):
    stats = ClassStatistics(K, D, scatter)
    stats.update(X, y)
    return stats.within_trace()


def without_fast(function):
    available = _sums.numba_available
    _sums.numba_available = lambda: False
    try:
        return function()
    finally:
        _sums.numba_available = available


def by_hand(X, y, rows):
    means = torch.zeros(K, D).index_add_(0, y, X) / torch.bincount(y, minlength=K)[:, None]
    within = torch.zeros(K)
    for start in range(0, N, rows):
        part, own = X[start : start + rows], y[start : start + rows]
        within.index_add_(0, own, (part - means[own]).pow(2).sum(1))
    return float(within.sum() / N)


def language_model_batches():
    vocabulary, width, batch = 50_257, 768, 512
    generator = torch.Generator().manual_seed(0)
    batches = [
        (torch.randn(batch, width, generator=generator), torch.randint(vocabulary, (batch,), generator=generator))
        for _ in range(200)
    ]
    rows = []
    for name, available in (("with the fast extra", True), ("without", False)):
        _sums.numba_available = lambda available=available: available
        stats = ClassStatistics(vocabulary, width, "trace")
        stats.update(*batches[0])
        step = iter(batches[1:])
        seconds = alternate({"batch": lambda stats=stats, step=step: stats.update(*next(step))}, 190)["batch"]
        rows.append({"what": f"one batch, {name}", "N": batch, "K": vocabulary, "d": width, **seconds})
    return rows


def main():
    X, y = data()
    trace = alternate(
        {
            "ours": lambda: ours(X, y, "trace"),
            "ours without the fast extra": lambda: without_fast(lambda: ours(X, y, "trace")),
            "by hand, naive": lambda: by_hand(X, y, N),
            "by hand, chunked": lambda: by_hand(X, y, 4096),
            "one read of the data (torch.dot)": lambda: torch.dot(X.view(-1), X.view(-1)),
        },
        7,
    )
    full = alternate(
        {
            "ours": lambda: ours(X, y, "full"),
            "ours without the fast extra": lambda: without_fast(lambda: ours(X, y, "full")),
            "X.T @ X": lambda: X.T @ X,
        },
        5,
    )
    median = {name: row["median"] for name, row in trace.items()}
    ratios = {
        f"{peer} / {name}": median[peer] / median[name]
        for peer in ("by hand, naive", "by hand, chunked")
        for name in ("ours", "ours without the fast extra")
    }
    for name in ("ours", "ours without the fast extra"):
        ratios[f"full scatter: {name} / X.T @ X"] = full[name]["median"] / full["X.T @ X"]["median"]
    accuracy = {"ours": ours(X, y, "trace"), "by hand": by_hand(X, y, 4096), "expected about": 1e-6 * D}
    save(
        "class_statistics",
        "trace statistics at least 8x (1.8x without numba) faster than two passes by hand; full scatter within 1.3x of X.T @ X; "
        "a batch of 512 at K=50,257, d=768 within 5 ms",
        {
            "rows": [
                *({"what": f"trace statistics: {name}", "N": N, "K": K, "d": D, **row} for name, row in trace.items()),
                *({"what": f"full scatter: {name}", "N": N, "K": K, "d": D, **row} for name, row in full.items()),
                *language_model_batches(),
            ],
            "ratios": ratios,
            "within_trace": accuracy,
        },
    )


if __name__ == "__main__":
    main()
