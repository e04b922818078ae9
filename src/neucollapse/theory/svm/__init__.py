"""Cross-entropy without regularisation and the hard-margin multi-class SVM that its flow turns towards.

``max_margin`` solves the SVMs exactly, ``model`` follows the flow over log time.
"""

from .max_margin import Separation as Separation
from .max_margin import hard_margin_svm as hard_margin_svm
from .max_margin import minimum_norm_separation as minimum_norm_separation
