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
    torch_alone, both, alone, helps = [], [], [], {}
    for _ in range(RUNS):
        torch_alone.append(seconds(python, "-c", "import torch"))
        alone.append(seconds(python, "-c", "import neucollapse"))
        both.append(seconds(python, "-c", "import torch, neucollapse"))
    for command in ("", "demo", "train", "measure", "inspect", "report", "cite"):
        helps[f"neucollapse {command}".strip() if command else "neucollapse"] = statistics.median(
            seconds(program, *([command] if command else []), "--help") for _ in range(RUNS)
        )
    save(
        "startup",
        "import neucollapse at most 0.15 s beyond import torch; --help at most 0.5 s",
        {
            "runs": RUNS,
            "rows": [
                {"what": "import torch", "seconds": statistics.median(torch_alone)},
                {"what": "import torch, neucollapse", "seconds": statistics.median(both)},
                {"what": "import neucollapse", "seconds": statistics.median(alone)},
                *({"what": f"{name} --help", "seconds": value} for name, value in helps.items()),
            ],
        },
    )


if __name__ == "__main__":
    main()
