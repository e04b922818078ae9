"""What would not fit into memory is refused before it is asked for: a system may grant it, and then end the process."""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from ._errors import InputError

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def check_memory(needed: float, what: str) -> None:
    """Refuse what needs more bytes than this machine (or the container around this process) has.

    Raises:
        InputError: with what was asked for, how much that is, and how much there is.

    Examples:
        >>> check_memory(1e18, "statistics of 10**9 classes")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        neucollapse._errors.InputError: statistics of 10**9 classes need 1e+09 GB of memory, of which there are ...
    """
    there = _memory()
    if there is not None and needed > there:
        raise InputError(f"{what} need {needed / 1e9:.3g} GB of memory, of which there are {there / 1e9:.3g}")


@cache
def _memory() -> int | None:
    """Bytes of memory that this process may use at most; None where the system does not say."""
    found = []
    with suppress(AttributeError, ValueError, OSError):  # not every system knows these names
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in _LIMITS:
        with suppress(OSError, ValueError):  # no container; "max"
            found.append(int(Path(limit).read_text()))
    return min((size for size in found if size > 0), default=None)
