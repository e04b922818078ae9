"""What tiles of logits need of rows of the weight: lengths, directions, and gradients through the normalisation.

Rows are worked on in place or into buffers, outside autograd. A zero row has no direction: its unit row stays zero, and it
gets no gradient. Many rows on a CPU are worked on by compiled code where there is some (extra ``fast``).
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .._environment import numba_available

_COMPILED_FROM = 2**22  # entries of a weight: below, loading compiled code takes longer than many steps of torch


@runtime_checkable
class RowWork(Protocol):
    """Work on rows (n, d) of the weight, of lengths (n, 1)."""

    def begin(self, weight: Tensor, lengths: Tensor, out: Tensor, total: Tensor) -> None:
        """Write lengths and directions, and add the sum of directions to ``total`` (d,)."""
        ...

    def directions(self, weight: Tensor, lengths: Tensor, out: Tensor) -> None:
        """Write directions of rows of known lengths."""
        ...

    def to_tangent(self, gradient: Tensor, units: Tensor, lengths: Tensor) -> None:
        """Turn the gradient by directions into that by rows, in place: its tangential part, over the length."""
        ...


def row_work(weight: Tensor) -> RowWork:
    """The best there is for a weight (K, d)."""
    plain = weight.device.type == "cpu" and weight.is_contiguous() and weight.dtype in (torch.float32, torch.float64)
    if plain and weight.numel() >= _COMPILED_FROM and numba_available():
        return _Compiled(weight.dtype)
    return _Torch()


def _least(dtype: torch.dtype) -> float:
    """Rows of lengths from here to one over it have squares that stay in the range of the type."""
    return 1e4 * torch.finfo(dtype).tiny ** 0.5


def _in_range(lengths: Tensor) -> bool:
    low, high = lengths.aminmax()
    least = _least(lengths.dtype)
    return bool(least < low and high < 1 / least)


class _Torch:
    def begin(self, weight: Tensor, lengths: Tensor, out: Tensor, total: Tensor) -> None:
        torch.linalg.vector_norm(weight, dim=1, keepdim=True, out=lengths)
        if not _in_range(lengths):
            scaled, largest = _scaled(weight)
            lengths.copy_(largest * torch.linalg.vector_norm(scaled, dim=1, keepdim=True))
        self.directions(weight, lengths, out)
        total += out.sum(dim=0)

    def directions(self, weight: Tensor, lengths: Tensor, out: Tensor) -> None:
        if _in_range(lengths):
            torch.div(weight, lengths, out=out)
            return
        scaled, _ = _scaled(weight)
        norm = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
        torch.div(scaled, norm.where(norm > 0, 1), out=out)

    def to_tangent(self, gradient: Tensor, units: Tensor, lengths: Tensor) -> None:
        along = torch.bmm(gradient[:, None], units[:, :, None])[:, 0]
        gradient.addcmul_(units, along, value=-1).div_(lengths.where(lengths > 0, torch.inf))


def _scaled(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rows over their largest entries (n, 1), and these."""
    largest = weight.abs().amax(dim=1, keepdim=True)
    return weight / largest.where(largest > 0, 1), largest


class _Compiled:
    def __init__(self, dtype: torch.dtype) -> None:
        self.limits = torch.tensor([_least(dtype), 1.0], dtype=dtype).numpy()

    def begin(self, weight: Tensor, lengths: Tensor, out: Tensor, total: Tensor) -> None:
        from ._compiled_rows import begin

        begin(weight.numpy(), self.limits, lengths.numpy(), out.numpy(), total.numpy())

    def directions(self, weight: Tensor, lengths: Tensor, out: Tensor) -> None:
        from ._compiled_rows import directions

        directions(weight.numpy(), self.limits, lengths.numpy(), out.numpy())

    def to_tangent(self, gradient: Tensor, units: Tensor, lengths: Tensor) -> None:
        from ._compiled_rows import to_tangent

        to_tangent(gradient.numpy(), self.limits, units.numpy(), lengths.numpy())
