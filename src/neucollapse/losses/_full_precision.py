"""Modules whose bookkeeping stays in float32 however narrow the model is made."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ._rows import at_least_float32


class KeepsFullPrecision(nn.Module):
    """A module with buffers that half precision would let stand still or overflow: running means and counts.

    Attributes:
        full_precision: names of buffers that `.half()`, `.bfloat16()` and `.to(dtype)` leave in float32.
    """

    full_precision: tuple[str, ...] = ()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "KeepsFullPrecision":
        """Every move and change of type of a module comes here."""
        before = {name: getattr(self, name) for name in self.full_precision}
        super()._apply(fn, recurse)
        for name, value in before.items():
            moved = getattr(self, name)
            if moved.dtype != value.dtype and torch.finfo(moved.dtype).bits < 32:
                setattr(self, name, at_least_float32(value).to(moved.device))
        return self
