"""``collapse_metrics`` at K = 1000, d = 512: every metric with all pairs, without the exact margins. Time and memory."""

from _timing import each_round, save, summary  # first: it pins the threads

import subprocess
import sys
import time

import torch

from neucollapse import ClassStatistics, collapse_metrics

K, D, PER_CLASS = 1000, 512, 20


def problem(K=K, D=D):
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


def megabytes():
    """By how much the process grows over the statistics it holds, while the metrics run, at most (Linux)."""
    code = (
        "import sys; sys.path.insert(0, 'benchmarks'); import collapse_metrics as b\n"
        "def status(name): return int(open('/proc/self/status').read().split(name + ':')[1].split()[0])\n"
        "b.run(*b.problem(20, 8)); p = b.problem()\n"  # what every first call loads is then loaded
        "import ctypes; ctypes.CDLL('libc.so.6').malloc_trim(0)\n"
        "open('/proc/self/clear_refs', 'w').write('5')\n"  # forget the peak so far
        "before = status('VmRSS'); b.run(*p); print(status('VmHWM') - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024 / 1e6


def main():
    arguments = problem()
    times = each_round({"collapse_metrics": lambda: run(*arguments)}, 9, time.process_time)
    result = run(*arguments)
    save(
        "collapse_metrics",
        "about 1 s of processor time and 110 MB at K=1000, d=512 (every metric, all pairs, no exact margins)",
        {
            "rows": [
                {"K": K, "d": D, "numbers": len(result), **summary(times["collapse_metrics"]), "megabytes": megabytes()}
            ],
            "absent": result.absent,
        },
    )


if __name__ == "__main__":
    main()
