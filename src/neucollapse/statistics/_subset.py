"""Statistics without some of their classes, as if those had never had a sample."""

import copy
from typing import TYPE_CHECKING

from torch import Tensor

from .._types import Bool

if TYPE_CHECKING:
    from ._class_statistics import ClassStatistics


def without_classes(stats: "ClassStatistics", classes: Bool[Tensor, "K"]) -> "ClassStatistics":
    """A copy in which the marked classes have no samples; the statistics themselves where they have none already.

    The (d, d) scatter is one sum over all classes. A class of one sample adds nothing to it about its mean, so that it
    can go; where a larger one goes, the scatter is lost and `why_no_scatter` says so.
    """
    gone = (classes.to(stats.device) & stats.present).nonzero()[:, 0]
    if not len(gone):
        return stats
    rest = copy.deepcopy(stats)
    moments = rest._moments
    moments.move(gone, moments.centres[gone] + moments.offsets()[gone])
    if int(moments.counts[gone].max()) > 1 and moments.scatter is not None:
        moments.scatter = moments.weighted_scatter = None
        rest.lost_scatter = (
            "the (d, d) scatter was summed over all classes, and classes of several samples were left out of it afterwards: "
            "leave their samples out of the pass, by the ignored label"
        )
    for sums in (moments.counts, moments.residuals, moments.squares, moments.norms, moments.largest):
        sums[gone] = 0
    if moments.class_counts is not None:
        moments.class_counts = moments.class_counts.clone()
        moments.class_counts[gone] = 0
    return rest
