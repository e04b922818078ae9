"""Wrong labels: how far features leave their class to memorise them (memorisation-dilation)."""

from .flipped_labels import FlippedOptimum as FlippedOptimum
from .flipped_labels import predicted_optimum as predicted_optimum
from .flipped_labels import squared_optimum as squared_optimum
