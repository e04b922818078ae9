"""The folder of one run: who works in it, and whose it is. Training runs and simulations share it.

A run is known by its kind and its settings. They stand in `config.json`, and again in whatever is taken up from the folder
later: a checkpoint, a state, a result. Each of these is compared before it is used, so that no file that was left behind, copied
or lost makes the numbers of one run those of another.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._errors import FileFormatError, FileWriteError, InputError
from ._files import read_json, write_json
from ._lock import locked

CONFIG = "config.json"
_START_OVER = "Choose another folder, or start over with resume=False (--restart)"


@contextmanager
def held(folder: str | Path, *, wait: float | None, doing: str) -> Iterator[Path]:
    """Hold a folder alone, as `locked` does and says when another process holds it; it is made if missing.

    Raises:
        FileWriteError: when it cannot be made or written to.
    """
    folder = Path(folder)
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder, wait=wait, doing=doing))
        except OSError as error:
            raise FileWriteError(folder, error.strerror or str(error)) from None
        yield folder


@dataclass(frozen=True)
class Kind:
    """What is run in a folder.

    Attributes:
        name: in words, such as `training run`.
        doing: what a process that holds the folder does, such as `training in`.
        schema: of its `config.json`.
        outputs: files that it leaves, the one that says it is complete first, the settings last: in this order they are deleted,
            so that a kill in between leaves a run that is known.
        foreign: files that other kinds leave. Where one is, the folder is theirs.
        complete: settings of an earlier version with the defaults of what they lack; raises `InputError` for settings that
            make no run.
    """

    name: str
    doing: str
    schema: str
    outputs: tuple[str, ...]
    foreign: tuple[str, ...]
    complete: Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class RunFolder:
    """A folder, and the run that shall work in it.

    Attributes:
        path: the folder.
        kind: of the run.
        settings: of the run, as plain JSON values.
        files: SHA-256 of the files that settings name, by their paths.
    """

    path: Path
    kind: Kind
    settings: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder alone, as the function `held` does.

        Raises:
            InputError: when the folder is of another kind of run.
        """
        with held(self.path, wait=0, doing=self.kind.doing):
            # Before anything is deleted, too: what another kind of run left is not this one's to delete.
            if others := [name for name in self.kind.foreign if (self.path / name).exists()]:
                raise InputError(
                    f"{self.path} holds {others[0]}, which no {self.kind.name} leaves; expected an empty folder or that of a "
                    f"{self.kind.name}. Choose another folder"
                )
            self._tidy()
            yield

    def _tidy(self) -> None:
        """Delete what a killed process left half-written."""
        for name in self.kind.outputs:
            for leftover in self.path.glob(f".{name}.*"):
                leftover.unlink()

    def clear(self) -> None:
        """Delete what an earlier run of this kind left."""
        for name in self.kind.outputs:
            (self.path / name).unlink(missing_ok=True)

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint, a state or a result of this run says of itself, for `check`."""
        return {"settings": dict(self.settings), "files": dict(self.files)}

    def settle(self, taken: Mapping[Path, Any] | None = None) -> None:
        """Check that the folder is free or of this run, as `check` says; then write its settings where they are missing.

        Args:
            taken: what is taken up from the folder: the identity that each file names. None for a file of a version that named
                none, which `config.json` has to vouch for.
        """
        path = self.path / CONFIG
        known = path.exists()
        if known:
            content = read_json(path, schema=self.kind.schema)
            self.check(path, {"settings": {name: value for name, value in content.items() if name != "schema"}})
        for file, identity in (taken or {}).items():
            if identity is not None or not known:
                self.check(file, identity)
        if not known:
            write_json(path, self.settings, schema=self.kind.schema)

    def check(self, path: Path, identity: Any) -> None:
        """Refuse a file of the folder that is not of this run.

        Args:
            path: the file.
            identity: what it says of itself; anything else where it says nothing.

        Raises:
            InputError: when it is of another run, or does not say of which.
            FileFormatError: when its settings make no run.
        """
        parts = [identity.get(name) if isinstance(identity, Mapping) else None for name in ("settings", "files")]
        settings, files = (part if isinstance(part, Mapping) else {} for part in parts)
        if not settings:
            raise InputError(
                f"{path} does not say of which {self.kind.name} it is; expected one with the settings of this one. {_START_OVER}"
            )
        try:
            before = self.kind.complete(settings)
        except InputError as error:
            raise FileFormatError(path, str(error)) from None
        now = self.settings
        changed = [
            f"{name}={value!r} (now {now.get(name)!r})" for name, value in before.items() if value != now.get(name)
        ]
        changed += [f"other contents of {name}" for name, sha in self.files.items() if files.get(name, sha) != sha]
        if changed:
            raise InputError(
                f"{self.path} holds a {self.kind.name} with {', '.join(changed)}, says {path.name}; expected the same settings "
                f"to go on with it. {_START_OVER}"
            )


def digests(*paths: str | None) -> dict[str, str]:
    """SHA-256 of each file, or of all files of a folder, by its path; without those that are not there.

    Examples:
        >>> digests("no/such/file", None)
        {}
    """
    return {path: _sha256(Path(path)) for path in paths if path is not None and Path(path).exists()}


def _sha256(path: Path) -> str:
    files = [path] if path.is_file() else [file for file in sorted(path.iterdir()) if file.is_file()]
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            part = hashlib.file_digest(opened, "sha256").hexdigest()
        total.update((part if file == path else f"{file.name} {part}\n").encode())
    return total.hexdigest()
