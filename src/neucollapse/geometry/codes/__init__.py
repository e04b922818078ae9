"""The search for codes: problems, starts, descent, polish, and the solution with its certificate.

``solve(problem)`` is the door. ``_multistart`` plans, ``_search`` screens and refines batches of starts (``_starts``,
``_descent``), over processes (``_workers``) and into a file (``_checkpoint``); ``_polish`` takes the best to the last digit.
Everything behind ``_solve`` loads when a search begins.
"""

from ._problems import GrassmannianFrame as GrassmannianFrame
from ._problems import MaximumGramDeterminant as MaximumGramDeterminant
from ._problems import MinimumEnergy as MinimumEnergy
from ._problems import SoftmaxCode as SoftmaxCode
from ._problems import SphericalCode as SphericalCode
from ._solution import Optimum as Optimum
from ._solution import Outcome as Outcome
from ._solution import Solution as Solution
from ._solve import solve as solve
