"""Stable rank of convolutional filters against that of noisy data.

``stable_rank`` holds what is predicted, ``model`` the training that is set beside it.
"""

from .stable_rank import data_stable_rank as data_stable_rank
from .stable_rank import quadratic_stable_rank as quadratic_stable_rank
from .stable_rank import robust_level as robust_level
from .stable_rank import small_init_stable_rank as small_init_stable_rank
