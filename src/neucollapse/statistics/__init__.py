"""Streaming statistics of the features of each class: the only room that touches N features.

A metric of collapse is a function of the counts, means and scatter of the classes. `ClassStatistics` collects
them in one pass over any stream of batches, exactly where others lose everything: near collapse, where the spread
within a class is a millionth of the distance between class means, and under a large common offset.

>>> import torch
>>> stats = ClassStatistics(num_classes=3, dim=2, scatter="trace")
>>> for batch in range(4):
...     labels = torch.arange(3)
...     stats.update(1e6 + 1e-4 * batch + torch.eye(3, 2, dtype=torch.float64), labels)
>>> f"{stats.within_trace():.4g}"  # two coordinates with the variance of 0, 1e-4, 2e-4, 3e-4
'2.5e-08'
"""

from ._by_class import ScatterByClass as ScatterByClass
from ._class_statistics import ClassStatistics as ClassStatistics
from ._precision import Precision as Precision
from ._sums import summed_in_double as summed_in_double

__all__ = ["ClassStatistics", "Precision", "ScatterByClass", "summed_in_double"]
