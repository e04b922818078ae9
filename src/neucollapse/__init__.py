"""Generalized neural collapse: measure it, know its optimum, train towards it.

The doors are `measure` and `inspect` for a model, `best_code` and `solve` for the optimum, `train` and
`simulate` for collapse in the making, `write_report` and `write_comparison` for pages, and `describe` for the
definition of a metric. `ClassStatistics` and `collapse_metrics` are the two halves of `measure`, for loops of
your own. The rooms behind the doors (`neucollapse.losses`, `.heads`, `.geometry`, ...) have the rest.

Every error is a `NeucollapseError`. Names load when first used (PEP 562), so `import neucollapse` costs next to
nothing.
"""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from . import data, geometry, heads, losses, metrics, probe, report, statistics, theory, training
    from ._errors import (
        FileFormatError,
        FileWriteError,
        InputError,
        MissingExtraError,
        NeucollapseError,
        NonFiniteError,
        SolverError,
    )
    from ._measure import measure
    from .geometry import best_code, solve
    from .metrics import CollapseResult, collapse_metrics, describe
    from .probe import inspect
    from .report import write_comparison, write_report
    from .statistics import ClassStatistics
    from .theory import simulate
    from .training import train

__version__ = _version("neucollapse")

__all__ = [
    "ClassStatistics",
    "CollapseResult",
    "FileFormatError",
    "FileWriteError",
    "InputError",
    "MissingExtraError",
    "NeucollapseError",
    "NonFiniteError",
    "SolverError",
    "best_code",
    "collapse_metrics",
    "data",
    "describe",
    "geometry",
    "heads",
    "inspect",
    "losses",
    "measure",
    "metrics",
    "probe",
    "report",
    "simulate",
    "solve",
    "statistics",
    "theory",
    "train",
    "training",
    "write_comparison",
    "write_report",
]

_ROOMS = ("data", "geometry", "heads", "losses", "metrics", "probe", "report", "statistics", "theory", "training")
_DOORS = {
    "_measure": ["measure"],
    "geometry": ["best_code", "solve"],
    "metrics": ["CollapseResult", "collapse_metrics", "describe"],
    "probe": ["inspect"],
    "report": ["write_comparison", "write_report"],
    "statistics": ["ClassStatistics"],
    "theory": ["simulate"],
    "training": ["train"],
}
_ERRORS = [name for name in __all__ if name.endswith("Error")]

_load, _, _ = lazy_loader.attach(__name__, submodules=_ROOMS, submod_attrs={"_errors": _ERRORS, **_DOORS})

if not TYPE_CHECKING:  # with it, a type checker would take every name for one of this package

    def __getattr__(name):
        """Load a public name when it is first used."""
        if name in __all__ or name.startswith("_"):
            return _load(name)
        from ._names import did_you_mean

        raise AttributeError(f"module 'neucollapse' has no attribute {name!r}; {did_you_mean(name, __all__)}")


def __dir__() -> list[str]:
    """The doors and the rooms; the errors are there by name too."""
    return [name for name in __all__ if name not in _ERRORS]
