"""``collapse_metrics`` at K = 1000, d = 512: every metric with all pairs, without the exact margins. Time and memory."""

from _timing import alternate, save  # first: it pins the threads

import subprocess
import sys

import torch

from neucollapse import ClassStatistics, collapse_metrics

K, D, PER_CLASS = 1000, 512, 20


def problem():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(K).repeat(PER_CLASS)
    means = torch.randn(K, D, generator=generator, dtype=torch.float64)
    features = means[labels] + 0.1 * torch.randn(len(labels), D, generator=generator, dtype=torch.float64)
    stats, normalized = ClassStatistics(K, D), ClassStatistics(K, D, normalize=True)
    for one in (stats, normalized):
        one.update(features, labels)
    weight = means + 0.1 * torch.randn(K, D, generator=generator, dtype=torch.float64)
    return stats, normalized, weight, torch.zeros(K)


def run(stats, normalized, weight, bias):
    return collapse_metrics(stats, weight, bias, normalized, exact_margins=False)


def peak_memory():
    """Bytes by which the process grows over its start while the metrics run, in a process of its own."""
    code = (
        "import sys; sys.path.insert(0, 'benchmarks'); import collapse_metrics as b, resource, torch\n"
        "p = b.problem(); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "import ctypes; ctypes.CDLL('libc.so.6').malloc_trim(0)\n"
        "now = int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()\n"
        "b.run(*p); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - now, before * 1024)"
    )
    grown, before = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    return {"grown": int(grown), "largest_before": int(before)}


def main():
    arguments = problem()
    seconds = alternate({"collapse_metrics": lambda: run(*arguments)}, 7)
    result = run(*arguments)
    save(
        "collapse_metrics",
        "under 1 s and 100 MB at K=1000, d=512 (all pair metrics, no exact margins)",
        {
            "K": K,
            "d": D,
            "numbers": len(result),
            "seconds": seconds,
            "memory_bytes": peak_memory(),
            "absent": result.absent,
        },
    )


if __name__ == "__main__":
    main()
