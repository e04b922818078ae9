"""Places to write, looked at before the work: what cannot be written is told at once, not after an hour."""

import os
from pathlib import Path

from .._errors import FileWriteError


def require_folder(path: Path | None, option: str) -> None:
    """Raise ``FileWriteError`` unless ``path`` is a folder that can be written, or can be made (or is None)."""
    if path is None:
        return
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise FileWriteError(path, f"{there} is not a folder; expected {option} to name a folder, there or to be made")
    _require_rights(path, there)


def require_page(path: Path | None, option: str) -> None:
    """Raise ``FileWriteError`` if a page cannot stand at ``path``: it is a folder, or its folder cannot be written."""
    if path is None:
        return
    if path.is_dir():
        raise FileWriteError(path, f"it is a folder; expected {option} to name a file, such as {path / 'report.html'}")
    require_folder(path.absolute().parent, f"the folder of {option}")


def require_file(path: Path | None, option: str, suffix: str) -> None:
    """Raise ``FileWriteError`` if no file of this suffix can stand at ``path``."""
    if path is None:
        return
    if path.is_dir() or path.suffix.lower() != suffix:
        raise FileWriteError(path, f"expected {option} as a file ending in {suffix}")
    require_folder(path.absolute().parent, f"the folder of {option}")


def _require_rights(path: Path, there: Path) -> None:
    if not os.access(there, os.W_OK | os.X_OK):
        raise FileWriteError(path, f"the folder {there} cannot be written")
