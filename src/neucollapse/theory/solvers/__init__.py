"""Ways down: L-BFGS with a Newton polish for optima to rounding, gradient descent and flows for dynamics.

All of them work on a `State`, a dictionary of float64 tensors, and an objective of it.
"""

from ._curvature import least_curvature as least_curvature
from ._descent import descend as descend
from ._descent import descent as descent
from ._descent import stops as stops
from ._euler_maruyama import brownian_increments as brownian_increments
from ._euler_maruyama import euler_maruyama as euler_maruyama
from ._flow import flow as flow
from ._minimise import Minimum as Minimum
from ._minimise import minimise as minimise
