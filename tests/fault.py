"""Processes that are killed at a chosen moment: as files of a folder are opened, renamed or deleted, counted from 1.

What is on disk changes at these moments alone, so that killing at each of them is killing at any time; and no test waits for a
clock or guesses how fast the machine is.
"""

import os
import signal
import sys
from multiprocessing import get_context

_EVENTS = ("open", "os.rename", "os.remove", "os.truncate")
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["neucollapse.training._run", "neucollapse.theory._simulate", "neucollapse._measure", "sklearn.datasets"]
)


def start(function, *arguments, folder, at=0, signum=signal.SIGKILL, events=_EVENTS, of=""):
    """Run a function in a process of its own, which sends itself a signal at the ``at``-th event; 0 for none.

    Args:
        function: what to run; found by name, as the process is new.
        arguments: its arguments.
        folder: whose files are watched.
        at: which event.
        signum: the signal.
        events: of the interpreter's audit hooks.
        of: what the path has to contain.
    """
    process = _CONTEXT.Process(target=_watched, args=(function, arguments, str(folder), at, signum, events, of))
    process.start()
    return process


def run(*arguments, **options):
    """``start``, and the exit code once the process has ended."""
    process = start(*arguments, **options)
    process.join()
    return process.exitcode


def _watched(function, arguments, folder, at, signum, events, of):
    seen = 0

    def hook(event, details):
        nonlocal seen
        if event not in events or not isinstance(details[0], (str, os.PathLike)):
            return
        path = os.fspath(details[0])
        if isinstance(path, str) and path.startswith(folder) and of in path:
            seen += 1
            if seen == at:
                os.kill(os.getpid(), signum)

    if at:
        sys.addaudithook(hook)
    function(*arguments)
