"""Generalized neural collapse: measure it, know its optimum, train towards it.

Names load when first used (PEP 562), so ``import neucollapse`` costs next to nothing.
"""

from importlib.metadata import version as _version
from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from . import data, geometry, heads, losses, metrics, probe, statistics, theory, training
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
    from .metrics import CollapseResult, collapse_metrics
    from .probe import inspect
    from .report import write_report
    from .statistics import ClassStatistics

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
    "theory",
    "training",
    "write_report",
]

_load, __dir__, _ = lazy_loader.attach(
    __name__,
    submodules=("data", "geometry", "heads", "losses", "metrics", "probe", "statistics", "theory", "training"),
    submod_attrs={
        "_errors": [
            "FileFormatError",
            "FileWriteError",
            "InputError",
            "MissingExtraError",
            "NeucollapseError",
            "NonFiniteError",
            "SolverError",
        ],
        "_measure": ["measure"],
        "metrics": ["CollapseResult", "collapse_metrics"],
        "probe": ["inspect"],
        "report": ["write_report"],
        "statistics": ["ClassStatistics"],
    },
)

if not TYPE_CHECKING:  # with it, a type checker would take every name for one of this package

    def __getattr__(name):
        """Load a public name when it is first used."""
        if name in __all__ or name.startswith("_"):
            return _load(name)
        from ._names import did_you_mean

        raise AttributeError(f"module 'neucollapse' has no attribute {name!r}; {did_you_mean(name, __all__)}")
