"""What stands at the end of a page: machine, settings and papers, in words."""

from pathlib import Path
from typing import Any

from .._citations import bibtex, citation_keys
from .._records import read_struct
from .._schema import Result, SimulationFile
from ._place import RESULT, SIMULATION, require_result
from ._simulation import is_simulation

_FACTS = ("git_revision", "python", "platform", "processor", "cores", "threads", "accelerator", "packages")


def facts(environment: dict[str, Any]) -> list[tuple[str, str]]:
    """The environment in words, known fields first, whatever else was recorded after them."""
    names = [name for name in _FACTS if name in environment] + [name for name in environment if name not in _FACTS]
    return [(name.replace("_", " ").capitalize(), _words(environment[name])) for name in names]


def settings(config: dict[str, Any] | None) -> list[tuple[str, str]]:
    """The settings in words; none where there are none."""
    return [(name, _words(value)) for name, value in (config or {}).items()]


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value) or "none"
    return "none" if value is None else str(value)


def citations(keys: list[str]) -> dict[str, Any]:
    """BibTeX of the papers cited, and the keys this version does not know (a run may be from a newer one)."""
    known = set(citation_keys())
    return {
        "count": len(set(keys) & known),
        "bibtex": bibtex([key for key in keys if key in known]),
        "unknown": [key for key in keys if key not in known],
    }


def read_citations(folder: str | Path) -> list[str]:
    """The keys of the papers that a run or a simulation names, in order; a folder that holds neither is a `FileFormatError`."""
    if is_simulation(folder):
        return read_struct(require_result(folder, SIMULATION), SimulationFile).citations or []
    return read_struct(require_result(folder, RESULT), Result).citations or []
