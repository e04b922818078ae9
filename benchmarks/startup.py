"""How long a person waits: ``import neucollapse`` and its rooms beyond ``import torch``, and ``--help`` of each subcommand.

Imports are measured in processor time, each beyond the import of torch of the same round, so that other work on the machine
matters little; help texts in seconds.
"""

from _timing import save  # first: it pins the threads

import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 9
ROOMS = ("neucollapse", "neucollapse.losses", "neucollapse.heads", "neucollapse.geometry")
HEAVY = ("numba", "scipy", "torch._dynamo")


def seconds(*command):
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def processor_seconds(modules):
    """Of a process that imports these."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", f"import {modules}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def loaded(room):
    """What is heavy and has been loaded with a room, though nothing was used of it."""
    code = f"import torch, {room}, sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def rooms():
    """A row for each room: the median over rounds of its cost beyond torch."""
    alone, each = [], {room: [] for room in ROOMS}
    for _ in range(RUNS):
        alone.append(processor_seconds("torch"))
        for room, times in each.items():
            times.append(processor_seconds(f"torch, {room}") - alone[-1])
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
    rows = [
        *rooms(),
        {
            "what": "import neucollapse",
            "seconds": statistics.median(seconds(sys.executable, "-c", "import neucollapse") for _ in range(RUNS)),
        },
    ]
    for command in ("", "demo", "train", "measure", "inspect", "report", "cite"):
        arguments = [command] if command else []
        median = statistics.median(seconds(program, *arguments, "--help") for _ in range(RUNS))
        rows.append({"what": " ".join(["neucollapse", *arguments, "--help"]), "seconds": median})
    save(
        "startup",
        "import neucollapse at most 0.15 s beyond import torch, its rooms at most 0.3 s; --help at most 0.5 s",
        {"runs": RUNS, "rows": rows},
    )


if __name__ == "__main__":
    main()
