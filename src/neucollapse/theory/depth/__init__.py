"""More layers: deep unconstrained features under decay, and what depth alone prefers without it.

``mse_optimum`` is the optimum of several layers in closed form, ``schatten`` the price of a code in a product of L matrices;
``extended_ufm`` and ``deep_linear`` are the two simulations.
"""

from .mse_optimum import DeepOptimum as DeepOptimum
from .mse_optimum import deep_optimum as deep_optimum
from .mse_optimum import threshold_decay as threshold_decay
from .schatten import candidate_codes as candidate_codes
from .schatten import code_logits as code_logits
from .schatten import first_depth as first_depth
from .schatten import preferred_code as preferred_code
from .schatten import schatten_value as schatten_value
