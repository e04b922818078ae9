"""Many calls over processes: each result comes as soon as it is there, and none is lost when a process is killed."""

import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, as_completed
from contextlib import contextmanager
from typing import Any

from .._clock import late, left

_GRACE = 0.5  # seconds after a deadline that processes have to hand in what they hold
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)

Results = Generator[tuple[int, Any], None, None]
# map_(function, arguments, deadline) yields (place, result) in any order; no call begins after the deadline
Map = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]], float | None], Results]


class WorkerLost(Exception):  # noqa: N818 - told apart from errors: it ends a search and is not raised out of it
    """A process ended before its call did: the system took it for want of memory, or someone killed it."""


@contextmanager
def mapping(workers: int) -> Iterator[Map]:
    """A map over so many processes of one thread each; over one in this process, a call at a time."""
    if workers == 1:
        yield _in_turn
        return
    with _no_code_of_the_folder():
        yield _over(workers)


def _in_turn(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], deadline: float | None) -> Results:
    for place, one in enumerate(arguments):
        if late(deadline):
            return
        yield place, function(*one)


def _over(workers: int) -> Map:
    from joblib.externals.loky import get_reusable_executor

    # Kept for the next search, as starting processes takes seconds; replaced by itself once it is broken or shut down.
    executor = get_reusable_executor(max_workers=workers, env=_ONE_THREAD, initializer=_leave_interrupts)

    def over(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], deadline: float | None) -> Results:
        futures: dict[Any, int] = {}
        lost = False
        try:
            for place, one in enumerate(arguments):
                futures[executor.submit(_in_time, function, one, deadline)] = place
        except BrokenExecutor:  # a process is gone already; what others have done still counts
            lost = True
        try:
            for future in as_completed(futures, None if deadline is None else max(left(deadline), 0) + _GRACE):
                if isinstance(future.exception(), BrokenExecutor):
                    lost = True
                else:
                    yield from ((futures[future], result) for result in future.result())
        except TimeoutError:
            return
        finally:
            if not all(future.done() for future in futures):
                executor.shutdown(wait=False, kill_workers=True)
        if lost:
            raise WorkerLost

    return over


def _in_time(function: Callable[..., Any], arguments: tuple[Any, ...], deadline: float | None) -> list[Any]:
    """The result, or none after the deadline: calls wait for a free process."""
    return [] if late(deadline) else [function(*arguments)]


@contextmanager
def _no_code_of_the_folder() -> Iterator[None]:
    """Processes that are started do not look for modules in the current folder first, as Python's `-m` and `-c` do.

    What this process can import they still can: they are told where it looks.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _leave_interrupts() -> None:
    """Ctrl-C reaches all processes of a terminal; the first of them decides what becomes of the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
