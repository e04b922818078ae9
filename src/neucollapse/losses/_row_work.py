"""What tiles of logits need beside products: lengths and directions of rows of the weight, gradients through the
normalisation, exclusion of targets, exponentials.

Rows are worked on in place or into buffers, outside autograd. A zero row has no direction: its unit row stays zero, and it
gets no gradient. Many rows on a CPU are worked on by compiled code where there is some (extra `fast`).
"""

from functools import lru_cache

import torch
from torch import Tensor

from .._environment import numba_available

_COMPILED_FROM = 2**22  # entries of a weight: below, loading compiled code takes longer than many steps of torch


def row_work(weight: Tensor, lengths: Tensor) -> "RowWork":
    """The best there is for a weight (K, d) and its lengths (K, 1), known or to be found."""
    plain = weight.device.type == "cpu" and weight.is_contiguous() and weight.dtype in (torch.float32, torch.float64)
    kind = _CompiledRowWork if plain and weight.numel() >= _COMPILED_FROM and numba_available() else RowWork
    return kind(weight.detach(), lengths)


def _least(dtype: torch.dtype) -> float:
    """Rows of lengths from here to one over it have squares that stay in the range of the type."""
    return 1e4 * torch.finfo(dtype).tiny ** 0.5


def _in_range(lengths: Tensor) -> bool:
    low, high = lengths.aminmax()
    least = _least(lengths.dtype)
    return bool(least < low and high < 1 / least)


def _scaled(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rows over their largest entries (n, 1), and these."""
    largest = weight.abs().amax(dim=1, keepdim=True)
    return weight / largest.where(largest > 0, 1), largest


class RowWork:
    """Work on the rows from `start` to `stop` of a weight (K, d), and of their lengths (K, 1), by torch."""

    def __init__(self, weight: Tensor, lengths: Tensor) -> None:
        self.weight, self.lengths = weight, lengths

    def begin(self, start: int, stop: int, out: Tensor, total: Tensor) -> None:
        """Find the lengths; write directions, and add their sum to `total` (d,)."""
        rows, lengths = self.weight[start:stop], self.lengths[start:stop]
        torch.linalg.vector_norm(rows, dim=1, keepdim=True, out=lengths)
        if not _in_range(lengths):
            scaled, largest = _scaled(rows)
            lengths.copy_(largest * torch.linalg.vector_norm(scaled, dim=1, keepdim=True))
        self.directions(start, stop, out)
        total += out.sum(dim=0)

    def directions(self, start: int, stop: int, out: Tensor) -> None:
        """Write directions of rows whose lengths are known."""
        rows, lengths = self.weight[start:stop], self.lengths[start:stop]
        if _in_range(lengths):
            torch.div(rows, lengths, out=out)
            return
        scaled, _ = _scaled(rows)
        norm = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
        torch.div(scaled, norm.where(norm > 0, 1), out=out)

    def to_tangent(self, start: int, stop: int, gradient: Tensor, units: Tensor) -> None:
        """Turn the gradient by directions into that by rows, in place: its tangential part, over the length."""
        lengths = self.lengths[start:stop]
        along = torch.bmm(gradient[:, None], units[:, :, None])[:, 0]
        gradient.addcmul_(units, along, value=-1).div_(lengths.where(lengths > 0, torch.inf))

    def exclude(self, buffer: Tensor, places: Tensor, low: int, high: int) -> None:
        """Write -inf into a flat buffer at `places[low:high]`."""
        buffer.index_fill_(0, places[low:high], -torch.inf)

    def exponentials(self, logits: Tensor, total: Tensor | None = None) -> Tensor:
        """Of a tile of logits up to 88, in place; the sums of its rows are added to `total`."""
        logits.exp_()
        if total is not None:
            total.addmv_(logits, logits.new_ones(logits.shape[1]))  # faster than a sum
        return logits


class _CompiledRowWork(RowWork):
    # Between two products every call of torch finds its code out of cache, so that it is the number of calls that counts:
    # the same few tensors come again and again, and their arrays are kept (64: up to some 30 blocks of samples).
    def __init__(self, weight: Tensor, lengths: Tensor) -> None:
        from . import _compiled_rows

        super().__init__(weight, lengths)
        self.kernels, self.rows, self.norms = _compiled_rows, weight.numpy(), lengths.numpy()
        self.limits = torch.tensor([_least(weight.dtype), 1.0], dtype=weight.dtype).numpy()
        self.array = lru_cache(maxsize=64)(torch.Tensor.numpy)
        self.nowhere = weight.new_empty(0)
        # Where torch has vectors of 512 bits it is as fast; with those of 256, less than half.
        self.own_exponentials = weight.dtype == torch.float32 and torch.backends.cpu.get_cpu_capability() != "AVX512"

    def begin(self, start: int, stop: int, out: Tensor, total: Tensor) -> None:
        rows, lengths = self.rows[start:stop], self.norms[start:stop]
        self.kernels.begin(rows, self.limits, lengths, self.array(out), self.array(total))

    def directions(self, start: int, stop: int, out: Tensor) -> None:
        self.kernels.directions(self.rows[start:stop], self.limits, self.norms[start:stop], self.array(out))

    def to_tangent(self, start: int, stop: int, gradient: Tensor, units: Tensor) -> None:
        self.kernels.to_tangent(self.array(gradient), self.limits, self.array(units), self.norms[start:stop])

    def exclude(self, buffer: Tensor, places: Tensor, low: int, high: int) -> None:
        self.kernels.exclude(self.array(buffer), self.array(places), low, high)

    def exponentials(self, logits: Tensor, total: Tensor | None = None) -> Tensor:
        if not self.own_exponentials or not logits.is_contiguous():
            return super().exponentials(logits, total)
        self.kernels.exponentials(self.array(logits), self.array(self.nowhere if total is None else total))
        return logits
