"""Models of collapse in the literature, runnable: what is predicted beside what gradient descent or an exact solver finds.

A model, or a family of them, has a folder or a file: its predicted optimum as plain functions, and a simulation that
`simulate` runs to its end (`neucollapse simulate NAME` on the command line). Its `settings` are a frozen dataclass
that the command line, the saved JSON and the Python call share.

Names load when first used, so that settings can be read without torch.
"""

from typing import TYPE_CHECKING

import lazy_loader

from .settings import SETTINGS

if TYPE_CHECKING:
    from ._model import Comparison as Comparison
    from ._model import Findings as Findings
    from ._model import HeatMap as HeatMap
    from ._model import Line as Line
    from ._model import Model as Model
    from ._model import Plot as Plot
    from ._model import Row as Row
    from ._model import model_of as model_of
    from ._simulate import simulate as simulate
    from ._simulation import Simulation as Simulation

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("settings", "solvers", *(name.replace("-", "_") for name in SETTINGS)),
    submod_attrs={
        "_model": ["Comparison", "Findings", "HeatMap", "Line", "Model", "Plot", "Row", "model_of"],
        "_simulate": ["simulate"],
        "_simulation": ["Simulation"],
    },
)
