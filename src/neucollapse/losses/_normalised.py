"""Points brought to the unit sphere."""

import torch
from torch import Tensor

from .._types import Float


def normalised(x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
    """Rows divided by their norms. A zero row has no direction: it stays zero, with zero gradient."""
    # The largest entry first, so that norms of 1e-30 or 1e+30 neither vanish nor overflow when squared in float32.
    # It may be detached, because the direction does not depend on it.
    largest = x.detach().abs().amax(dim=-1, keepdim=True)
    zero = largest == 0
    scaled = x / largest.where(~zero, 1)
    # The norm of a zero row is never taken: its derivative there is not finite.
    norm = torch.linalg.vector_norm(scaled.where(~zero, 1), dim=-1, keepdim=True)
    return (scaled / norm).where(~zero, 0)
