"""The commit a folder has checked out, read from git's files: git itself runs programs that a folder's configuration names."""

import re
from pathlib import Path

_MOST = 1 << 22  # bytes read of one of git's files: a list of packed references has some dozen bytes a line
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NAME = re.compile(r"refs/[^\s\0]+")


def git_revision(folder: str | Path = ".") -> str | None:
    """The commit checked out in `folder` or around it, its first 12 digits; None outside a repository.

    Nothing is run and nothing outside git's own files is shown: whatever they hold, the answer is digits or None.
    Whether files have changed since is not known, as telling it means running git, which runs what
    `core.fsmonitor` of the folder says.

    Examples:
        >>> git_revision("/") is None
        True
    """
    try:
        start = Path(folder).resolve()
        places = (found for parent in (start, *start.parents) if (found := _git_folder(parent / ".git")))
        git = next(places, None)
        commit = None if git is None else _commit(git)
    except (OSError, RuntimeError, ValueError):  # no permission; a loop of links; a name with a null byte
        return None
    return None if commit is None else commit[:12]


def _git_folder(place: Path) -> Path | None:
    """Where git keeps its files: the folder itself, or what a worktree's or submodule's file `.git` names."""
    if place.is_dir():
        return place if (place / "HEAD").is_file() else None
    named = re.fullmatch(r"gitdir: (.+)\s*", _text(place))
    return _git_folder(place.parent / named[1].rstrip()) if named else None


def _commit(git: Path) -> str | None:
    head = _text(git / "HEAD").strip()
    if not head.startswith("ref:"):
        return head if _COMMIT.fullmatch(head) else None
    name = head.removeprefix("ref:").strip()
    if not _NAME.fullmatch(name) or ".." in name:
        return None
    shared = _text(git / "commondir").strip()  # a worktree shares its references with the repository it came from
    for home in (git, git / shared) if shared else (git,):
        if _COMMIT.fullmatch(commit := _text(home / name).strip()):
            return commit
        packed = re.search(rf"^({_COMMIT.pattern}) {re.escape(name)}$", _text(home / "packed-refs"), re.MULTILINE)
        if packed:
            return packed[1]
    return None


def _text(path: Path) -> str:
    """The text of a regular file, or nothing: a pipe would wait for ever."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(_MOST).decode("utf-8", errors="replace")
