"""How long a person waits: ``import neucollapse`` beyond ``import torch``, and ``--help`` of each subcommand."""

from _timing import save  # first: it pins the threads

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 9


def seconds(*command):
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def main():
    python, program = sys.executable, str(Path(sys.executable).parent / "neucollapse")
    torch_alone, both, helps = [], [], {}
    for _ in range(RUNS):
        torch_alone.append(seconds(python, "-c", "import torch"))
        both.append(seconds(python, "-c", "import torch, neucollapse"))
    for command in ("", "demo", "train", "measure", "inspect", "report", "cite"):
        helps[command or "neucollapse"] = statistics.median(
            seconds(program, *([command] if command else []), "--help") for _ in range(RUNS)
        )
    save(
        "startup",
        "import neucollapse at most 0.15 s beyond import torch; --help at most 0.5 s",
        {
            "runs": RUNS,
            "seconds": {
                "import torch": statistics.median(torch_alone),
                "import torch, neucollapse": statistics.median(both),
            },
            "seconds_beyond_torch": statistics.median(b - a for a, b in zip(torch_alone, both, strict=True)),
            "seconds_help": helps,
        },
    )


if __name__ == "__main__":
    main()
