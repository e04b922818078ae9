"""Standard output that outlives its reader: a pipe that is closed early (``| head``) ends the output, not the command."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any


@contextmanager
def lenient_output() -> Iterator[None]:
    """Let standard output swallow what nobody reads any more, so that files are written and the exit code is true."""
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        # The streams are None where the shell closed them (``>&-``).
        sys.stdout = _Lenient(sys.stdout or nowhere)
        sys.stderr = sys.stderr or nowhere
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


class _Lenient:
    """A stream whose writes to a closed pipe are no error."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or nothing once the pipe is closed."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        """Flush, or nothing once the pipe is closed."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._give_up()

    def _give_up(self) -> None:
        # What is still buffered is flushed when Python ends, and would fail again there.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
