"""Unconstrained features: the optimum of each loss and constraint in closed form, and a simulation that looks for it.

``optimum`` holds what is predicted, ``objective`` what is minimised, ``model`` the simulation.
"""

from .objective import feature_decay as feature_decay
from .objective import nuclear_decay as nuclear_decay
from .objective import ufm_objective as ufm_objective
from .optimum import UFMOptimum as UFMOptimum
from .optimum import ce_logit as ce_logit
from .optimum import focal_logit as focal_logit
from .optimum import mse_spectrum as mse_spectrum
from .optimum import ufm_optimum as ufm_optimum
