"""What lies at a path where a run was expected, in words: the runs inside a folder, one that did not end, another kind."""

from pathlib import Path

from .._errors import FileFormatError
from .._names import close_names

RESULT, SIMULATION = "result.json", "simulation.json"
_LISTED = 4  # runs named in a sentence


def require_result(folder: str | Path, name: str) -> Path:
    """The file `name` (`result.json` or `simulation.json`) of a folder.

    Raises:
        FileFormatError: if there is none; the sentence says what is there instead, and what to do with it.
    """
    path = Path(folder) / name
    if path.is_file():
        return path
    raise FileFormatError(folder, f"expected a folder with {name}, found {what_is_there(Path(folder), name)}")


def what_is_there(folder: Path, name: str) -> str:
    """The end of a sentence: what lies at a path that holds no file `name`."""
    if folder.is_file():
        inside = folder.name in (RESULT, SIMULATION)
        return f"a file{f'; give its folder, {folder.parent}' if inside else ''}"
    if not folder.is_dir():
        near = close_names(folder.name, _folders(folder.parent), at_most=1)
        return "no such folder" + (f"; did you mean {folder.parent / near[0]}?" if near else "")
    if name == RESULT and (folder / SIMULATION).exists():
        return "a simulation, which has a page of its own and is not compared with runs"
    if name == SIMULATION and (folder / RESULT).exists():
        return "a measured run"
    inside = [
        inner for inner in _folders(folder) if any((folder / inner / file).exists() for file in (RESULT, SIMULATION))
    ]
    if inside:
        return _runs_inside(folder, inside)
    if (folder / "config.json").exists():
        return "a run that did not end; the command that began it goes on with it"
    return "none" if any(folder.iterdir()) else "an empty folder"


def _runs_inside(folder: Path, inside: list[str]) -> str:
    measured = [inner for inner in inside if (folder / inner / RESULT).exists()]
    some = ", ".join(inside[:_LISTED]) + (", ..." if len(inside) > _LISTED else "")
    count = "one run" if len(inside) == 1 else f"{len(inside)} runs"
    words = f"{count} inside ({some}): `neucollapse report {folder / inside[0]}` writes the page of one"
    if len(measured) > 1:
        every = " ".join(str(folder / inner) for inner in measured[:_LISTED])
        words += f", `neucollapse report {every}` compares {'them' if len(measured) <= _LISTED else 'these'}"
    return words


def _folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(inner.name for inner in folder.iterdir() if inner.is_dir())
