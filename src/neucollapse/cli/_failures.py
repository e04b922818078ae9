"""What ends a command: every exception as one sentence and an exit code, decided here and nowhere else."""

import errno
import os
import traceback
from pathlib import Path

from .._errors import FileFormatError, NeucollapseError
from .._files import one_line

FINE, FINDING, USAGE, BAD_FILE, UNFORESEEN, INTERRUPTED = 0, 1, 2, 3, 4, 130

_UNREADABLE = (errno.ENOENT, errno.EIO, errno.ENXIO, errno.ELOOP)


def explain(error: BaseException) -> tuple[str, int]:
    """The sentence a person reads, and the exit code.

    A file that cannot be read is 3; one that cannot be written, and memory that does not suffice, are 2, as another
    argument cures them. What nobody foresaw is 4, and never 1, which means a finding.
    """
    if isinstance(error, FileFormatError):
        return str(error), BAD_FILE
    if isinstance(error, NeucollapseError):
        return str(error), USAGE
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    if _is_out_of_memory(error):
        return (
            f"the memory does not suffice: {one_line(error)}; try fewer samples, classes or dimensions at once",
            USAGE,
        )
    if isinstance(error, RecursionError):
        return f"something given nests too deep to be read ({_place(error)})", BAD_FILE
    if type(error).__name__ == "SafetensorError":  # told by its name: safetensors is imported only when used
        return f"a safetensors file cannot be used: {one_line(error)}", BAD_FILE
    if isinstance(error, OSError):
        return _of_the_system(error)
    return (
        f"unexpected {type(error).__name__}: {one_line(error)} ({_place(error)}); "
        "with NEUCOLLAPSE_TRACEBACK=1 in the environment the whole trace is shown"
    ), UNFORESEEN


def trace(error: BaseException) -> str:
    """The whole trace of an exception, where the environment asks for it; else nothing."""
    return "".join(traceback.format_exception(error)) if os.environ.get("NEUCOLLAPSE_TRACEBACK") else ""


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ended: torch says so in a RuntimeError on a CPU, and in another class on a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _of_the_system(error: OSError) -> tuple[str, int]:
    reason = error.strerror or one_line(error)
    name = error.filename if isinstance(error.filename, str) else None
    if name is None:
        return f"cannot read or write: {reason}", USAGE
    unreadable = error.errno in _UNREADABLE or (Path(name).exists() and not os.access(name, os.R_OK))
    return f"cannot {'read' if unreadable else 'read or write'} {name}: {reason}", BAD_FILE if unreadable else USAGE


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "nowhere"
