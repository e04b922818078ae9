"""Generalized neural collapse: measure it, know its optimum, train towards it.

Names load when first used (PEP 562), so ``import neucollapse`` costs next to nothing.
"""

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import data, geometry, heads, losses, metrics, probe, statistics, training
    from ._errors import (
        FileFormatError,
        InputError,
        MissingExtraError,
        NeucollapseError,
        NonFiniteError,
        SolverError,
    )
    from ._measure import measure
    from .metrics import CollapseResult, collapse_metrics
    from .probe import inspect
    from .report import write_report
    from .statistics import ClassStatistics

__version__ = _version("neucollapse")

_HOME = {
    "ClassStatistics": "statistics",
    "CollapseResult": "metrics",
    "FileFormatError": "_errors",
    "InputError": "_errors",
    "MissingExtraError": "_errors",
    "NeucollapseError": "_errors",
    "NonFiniteError": "_errors",
    "SolverError": "_errors",
    "collapse_metrics": "metrics",
    "inspect": "probe",
    "measure": "_measure",
    "write_report": "report",
}
_ROOMS = ("data", "geometry", "heads", "losses", "metrics", "probe", "statistics", "training")

__all__ = [
    "ClassStatistics",
    "CollapseResult",
    "FileFormatError",
    "InputError",
    "MissingExtraError",
    "NeucollapseError",
    "NonFiniteError",
    "SolverError",
    "collapse_metrics",
    "data",
    "geometry",
    "heads",
    "inspect",
    "losses",
    "measure",
    "metrics",
    "probe",
    "statistics",
    "training",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    elif name in _ROOMS:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
