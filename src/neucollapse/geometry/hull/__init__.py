"""How far each class lies from the convex hull of all others: ``one_vs_rest``."""

from ._hard_max import best_features as best_features
from ._hard_max import hard_max as hard_max
from ._one_vs_rest import OneVsRest as OneVsRest
from ._one_vs_rest import Support as Support
from ._one_vs_rest import one_vs_rest as one_vs_rest
