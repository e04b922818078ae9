"""What the benchmarks share: one thread, medians, a result file with the machine it was measured on."""

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"  # before torch and numpy are imported

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from neucollapse._environment import environment
from neucollapse._files import write_json

torch.set_num_threads(1)


def each_round(
    functions: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each function, round by round. They run in turn, so that a slow spell meets all alike.

    With ``time.process_time`` as the clock, of this process alone: neighbours on the machine then count for less.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()  # warm-up: compilation, allocation
    for _ in range(repeats):
        for name, function in functions.items():
            begin = clock()
            function()
            times[name].append(clock() - begin)
    return times


def summary(times: list[float]) -> dict[str, float]:
    """Median, least, largest."""
    return {"median": statistics.median(times), "least": min(times), "largest": max(times)}


def alternate(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
    """The summary of each function, run in turn with the others."""
    return {name: summary(times) for name, times in each_round(functions, repeats).items()}


def ratio(above: list[float], below: list[float]) -> float:
    """The median over rounds of a quotient of times: what slows a whole round cancels."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def save(name: str, claim: str, content: dict) -> None:
    """Write ``benchmarks/results/NAME.json`` and print it."""
    path = Path(__file__).parent / "results" / f"{name}.json"
    command = f"python benchmarks/{Path(sys.argv[0]).name}"
    write_json(
        path,
        {"claim": claim, "command": command, "environment": environment(), **content},
        schema="neucollapse/benchmark/1",
    )
    print(path.read_text())
