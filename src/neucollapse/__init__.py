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

__version__ = _version("neucollapse")
_load, _, __all__ = lazy_loader.attach_stub(__name__, __file__)  # __init__.pyi is the one list of public names

if not TYPE_CHECKING:  # with it, a type checker would take every name for one of this package

    def __getattr__(name):
        """Load a public name when it is first used."""
        if name in __all__ or name.startswith("_"):
            return _load(name)
        from ._names import did_you_mean

        raise AttributeError(f"module 'neucollapse' has no attribute {name!r}; {did_you_mean(name, __all__)}")


def __dir__() -> list[str]:
    """The doors and the rooms; the errors are there by name too."""
    return [name for name in __all__ if not name.endswith("Error")]
