"""What a number was measured on: versions, machine, threads, git revision. Recorded in every result file."""

import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ._git import git_revision

_PACKAGES = ("neucollapse", "torch", "numpy", "scipy", "lightning", "numba")


@cache
def numba_available() -> bool:
    """Whether the extra `fast` is installed."""
    return find_spec("numba") is not None


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def environment() -> dict[str, Any]:
    """Describe the machine and the software, as plain JSON values."""
    import torch

    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "packages": dict(_versions()),
        "git_revision": git_revision(),
    }


def command_line() -> str:
    """The command this process was started with, its program by name alone."""
    import shlex

    return shlex.join([Path(sys.argv[0]).name or "python", *sys.argv[1:]])
