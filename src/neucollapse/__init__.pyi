"""The public names: the doors, the rooms behind them, and the errors. `__init__.py` loads each when it is first used."""

from . import data as data
from . import geometry as geometry
from . import heads as heads
from . import losses as losses
from . import metrics as metrics
from . import probe as probe
from . import report as report
from . import statistics as statistics
from . import theory as theory
from . import training as training
from ._errors import FileFormatError as FileFormatError
from ._errors import FileWriteError as FileWriteError
from ._errors import InputError as InputError
from ._errors import MissingExtraError as MissingExtraError
from ._errors import NeucollapseError as NeucollapseError
from ._errors import NonFiniteError as NonFiniteError
from ._errors import SolverError as SolverError
from ._measure import measure as measure
from .geometry import best_code as best_code
from .geometry import solve as solve
from .metrics import CollapseResult as CollapseResult
from .metrics import collapse_metrics as collapse_metrics
from .metrics import describe as describe
from .probe import inspect as inspect
from .report import write_comparison as write_comparison
from .report import write_report as write_report
from .statistics import ClassStatistics as ClassStatistics
from .theory import simulate as simulate
from .training import train as train

__version__: str
