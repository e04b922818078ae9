"""Classes of unequal size: minority collapse, simplex-encoded labels (SELI), general orthogonal frames.

``relaxation`` is the convex problem behind all of them, with a certificate for any logits; ``layer_peeled`` and ``seli`` are
the two simulations.
"""

from .counts import exponential_counts as exponential_counts
from .counts import step_counts as step_counts
from .orthogonal_frame import Frame as Frame
from .relaxation import Relaxation as Relaxation
from .relaxation import Relaxed as Relaxed
from .relaxation import factors as factors
from .relaxation import nuclear_norm as nuclear_norm
from .simplex_encoding import SimplexEncoding as SimplexEncoding
from .simplex_encoding import cross_entropy_optimum as cross_entropy_optimum
