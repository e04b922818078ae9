"""Metrics of neural collapse: pure functions of class statistics and classifier, each variant by its own name.

`collapse_metrics` computes everything that statistics and classifier allow and returns a `CollapseResult`. Each family
is a module (`nc1`, `cdnv`, `nc2`, `nc3`, `nc4`, `nc5`, `gnc`, `uniformity`, `rank`, `mse`, `bias`) whose functions can
be called on their own; `REGISTRY` describes every number, and `PRESETS` lists what each paper reports.

>>> import torch
>>> from neucollapse import ClassStatistics
>>> from neucollapse.geometry import polygon
>>> stats = ClassStatistics(num_classes=8, dim=2)
>>> stats.update(polygon(8), torch.arange(8))
>>> result = collapse_metrics(stats, weight=polygon(8))
>>> f"{result['gnc2/margin@weight']:.6f} of {result['gnc2/margin_optimum']:.6f}"
'0.292893 of 0.292893'
"""

from ._collapse import collapse_metrics as collapse_metrics
from ._collapse import weight_metrics as weight_metrics
from ._decisions import Decisions as Decisions
from ._metric import Metric as Metric
from ._registry import PRESETS as PRESETS
from ._registry import REGISTRY as REGISTRY
from ._registry import describe as describe
from ._registry import names as names
from ._result import CollapseResult as CollapseResult
from ._storage import write_table as write_table
from ._tables import Flag as Flag
