"""NC0: the rows of the classifier add up to zero, which collapse under cross-entropy needs.

Gradients of the cross-entropy with respect to the rows add up to zero, so that their sum only changes through weight
decay: an optimiser whose decay does not shrink it, as AdamW, cannot reach collapse. It tells without any data why a model
does not collapse.
"""

import torch
from torch import Tensor

from .._types import Float
from ._absent import Absent
from ._metric import Metric, on_weight
from ._range import SHARE


def row_sum(rows: Float[Tensor, "K d"]) -> float:
    """Length of the sum of the rows. Range [0, inf), 0 at collapse. arXiv 2602.16642.

    Examples:
        >>> row_sum(torch.tensor([[3.0, 0.0], [0.0, 4.0]], dtype=torch.float64))
        5.0
    """
    return float(torch.linalg.vector_norm(rows.sum(dim=0)))


def row_sum_relative(rows: Float[Tensor, "K d"]) -> float:
    """Length of the sum of the rows over the sum of their lengths. Range [0, 1], 0 at collapse.

    Examples:
        >>> row_sum_relative(torch.tensor([[3.0, 0.0], [-3.0, 0.0]], dtype=torch.float64))
        0.0
    """
    lengths = torch.linalg.vector_norm(rows, dim=1).sum()
    if not bool(lengths):
        raise Absent("all rows are zero and have no lengths to compare with")
    return row_sum(rows) / float(lengths)


_MEASURED = (
    Metric(
        "nc0/row_sum", "length of the sum of rows", "‖Σ_k w_k‖",
        "Length of the sum of the rows. Of the classifier (@weight) it must vanish for collapse under cross-entropy with "
        "weight decay; of class means it is K times the length of their mean.",
        lambda _, rows: row_sum(rows.raw) * rows.unit, "zhao2026", side="means",
    ),
    Metric(
        "nc0/row_sum_relative", "length of the sum of rows, relative", "‖Σ_k w_k‖ / Σ_k ‖w_k‖",
        "nc0/row_sum over the sum of the lengths of the rows: free of their scale.",
        lambda _, rows: row_sum_relative(rows.raw), "zhao2026", range=SHARE, side="means",
    ),
)  # fmt: skip

METRICS = (*_MEASURED, *on_weight(_MEASURED))
