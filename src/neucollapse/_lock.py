"""One process at a time, wherever a file or a folder is read, changed and written.

The lock is a hidden file held open: the operating system lets go of it when the process dies, however it dies. Readers
need none, as every file is replaced as a whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ._errors import InputError


@contextmanager
def locked(path: str | Path, *, wait: float | None = None, doing: str = "writing") -> Iterator[None]:
    """Hold `path`, a file or a folder, while it is read, changed and written.

    The lock of a folder is `.lock` in it, that of a file `.name.lock` beside it; what leads to one file by another
    name or a link is one lock. What does not exist yet is taken for a file: make a folder before it is locked. A lock that cannot
    be made, as where the folder cannot be written to, is an `OSError`.

    Args:
        path: the file or folder.
        wait: seconds to wait for another process; None waits as long as it takes, 0 not at all.
        doing: what the holder does there, as the message has it: "training in" gives "another process is training in runs/a".

    Raises:
        InputError: if another process holds it after `wait` seconds.
    """
    from filelock import FileLock, Timeout

    held = Path(path).resolve()
    lock = held / ".lock" if held.is_dir() else held.parent / f".{held.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=-1 if wait is None else wait):
            yield
    except Timeout:
        raise InputError(
            f"another process is {doing} {path}; expected one at a time. Wait for it to end, or choose another place"
        ) from None
