"""The search for codes: problems, starts, descent, polish, and the solution with its certificate.

`solve(problem)` is the door. `_multistart` plans batches of starts, keeps them in a file and has them done over processes
(`_workers`); `_search` is what is done with one start (`_starts`, `_descent`), and `_polish` takes the best to the last
digit. `_streaming` is for codes of many thousand points. Everything behind `_solve` loads when a search begins.
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
