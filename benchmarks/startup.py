"""How long a person waits: ``import neucollapse`` and its rooms beyond ``import torch``, and ``--help`` of each subcommand.

In processor time, and imports beyond the import of torch of the same round, so that other work on the machine matters little.
"""

from _timing import save  # first: it pins the threads

import resource
import statistics
import subprocess
import sys
from pathlib import Path

RUNS = 5
ROOMS = ("neucollapse", "neucollapse.losses", "neucollapse.heads", "neucollapse.geometry")
HEAVY = ("numba", "scipy", "torch._dynamo")


def processor_seconds(*command):
    """Of a process, and those that it waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def of_import(modules):
    return processor_seconds(sys.executable, "-c", f"import {modules}")


def loaded(room):
    """What is heavy and has been loaded with a room, though nothing was used of it."""
    code = f"import torch, {room}, sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def rooms():
    """A row for each room: the median over rounds of its cost beyond torch."""
    alone, each = [], {room: [] for room in ROOMS}
    for _ in range(RUNS):
        alone.append(of_import("torch"))
        for room, times in each.items():
            times.append(of_import(f"torch, {room}") - alone[-1])
    rows = [{"what": "import torch", "processor_seconds": statistics.median(alone)}]
    for room, times in each.items():
        rows.append(
            {
                "what": f"import {room}, beyond torch",
                "processor_seconds": statistics.median(times),
                "loads": ", ".join(loaded(room)) or "none of " + ", ".join(HEAVY),
            }
        )
    return rows


def main():
    program = str(Path(sys.executable).parent / "neucollapse")
    rows, alone = rooms(), statistics.median(of_import("neucollapse") for _ in range(RUNS))
    rows.append({"what": "import neucollapse, alone", "processor_seconds": alone})
    for command in ("", "demo", "train", "measure", "inspect", "report", "cite"):
        arguments = [command] if command else []
        median = statistics.median(processor_seconds(program, *arguments, "--help") for _ in range(RUNS))
        rows.append({"what": " ".join(["neucollapse", *arguments, "--help"]), "processor_seconds": median})
    save(
        "startup",
        "import neucollapse at most 0.15 s beyond import torch, its rooms at most 0.3 s; --help at most 0.5 s",
        {"runs": RUNS, "rows": rows},
    )


if __name__ == "__main__":
    main()
