"""Nearest points for a batch of classes found in single precision and refined: the way to large supports."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import torch
from torch import Tensor

from .._types import Float, Int
from ._active_set import Batch, separations

_TABLE = 1 << 28  # entries in the table of all inner products: 1 GB, K = 16,384
_GRAM = 1 << 26  # entries in the inner products of the candidates that a thread holds: 256 MB
_PARTS = 8  # into which few classes are divided, whatever the number of threads: results must not depend on it
# Rounds of a turn: how closely each solves, in at most how many steps. The first turn only has to find out which classes
# matter; what then stands in the way joins the candidates, half as many again because more will.
_ROUGHLY = [(2e-3, 10), (5e-4, 10), (2e-4, 10), (2e-4, 10)]
_BETTER = [(5e-4, 10), (1e-4, 10), (1e-5, 16)]
_CLOSELY = [(3e-6, 20)] + 20 * [(3e-7, 30)]
_TURNS = [_ROUGHLY, _BETTER + _CLOSELY, *4 * [_CLOSELY]]
_BEGIN, _LEAST = 18, 2  # candidates at first, and the fewest that join later, in thirty-secondths of d
_FEWEST = 128  # dimensions: with fewer, no support is large
_RESOLVED = 3e-6  # of the longest row: by less than this single precision does not say which class is nearer
_EXCHANGES = 6


def fits(K: int, d: int, n: int) -> bool:
    """Whether a table of all inner products can be kept, and n of K classes in d dimensions are worth it."""
    return K * K <= _TABLE and 8 * n >= K and min(K, d) > _FEWEST


def single_precision(W: Float[Tensor, "K d"], k: Int[Tensor, " n"], tolerance: float) -> Iterator[Batch]:
    """Nearest points for classes k, part by part; ``gap`` says which of them single precision did not resolve.

    Each thread takes parts from beginning to end: some wait for memory while others compute.
    """
    K, d = W.shape
    single = W.float()
    table = torch.from_numpy(np.empty((K, K), np.float32))  # NumPy asks for huge pages: a third off the gathers
    torch.mm(single, single.T, out=table)
    threads = torch.get_num_threads()
    cap = min(K - 1, 15 * d // 8)  # not a power of two: rows would share their places in the cache
    most = max(1, min(_GRAM // cap**2, -(-len(k) // _PARTS)))
    spare: SimpleQueue[_Work] = SimpleQueue()
    for _ in range(threads):
        spare.put(_Work(W, single, table, most, cap))

    def solve(part: Tensor) -> Batch:
        work = spare.get()
        try:
            work.begin(part)
            work.settle()
            return work.refine(tolerance)
        finally:
            spare.put(work)

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(solve, k.split(most))
    finally:
        torch.set_num_threads(threads)  # the default of threads to come, which those of the pool have changed


class _Work:
    """What one thread reads and writes: fresh memory for each part would cost as much as the work on it."""

    def __init__(self, W: Tensor, single: Tensor, table: Tensor, most: int, cap: int) -> None:
        self.W, self.single, self.table = W, single, table
        self.gram = torch.empty(most, cap, cap)
        self.products = {values.dtype: values.new_empty(most, len(W)) for values in (single, W)}

    def begin(self, k: Int[Tensor, " n"]) -> None:
        """Turn to the classes k."""
        n, cap = len(k), self.gram.shape[1]
        self.k = k
        self.size = torch.zeros(n, dtype=torch.int64)
        self.candidates = torch.zeros(n, cap, dtype=torch.int64)
        self.active = torch.zeros(n, cap, dtype=torch.bool)
        self.weight = self.W.new_zeros(n, cap)

    def settle(self) -> None:
        """Supports and weights to single precision."""
        from ._block_pivots import settle

        n, d = len(self.k), self.W.shape[1]
        direction = torch.zeros(n, d)
        left, old, growth = torch.arange(n), 0, max(1, _BEGIN * d // 32)
        separation, bar = -self.table[self.k], torch.full((n, 1), torch.inf)
        separation[left, self.k] = torch.inf
        fixed = (self.table.numpy(), self.single.numpy(), self.k.numpy())
        arrays = (*self._candidates(), direction.numpy())
        for rounds in _TURNS:
            new = min(old + growth, self.gram.shape[1])
            nearest = separation.topk(new - old, dim=1, largest=False, sorted=False).indices.sort(dim=1).values
            self.candidates[left, old:new] = nearest
            self.active[left, old:new] = separation.gather(1, nearest) < bar
            if old == 0:
                self.weight[:, :new] = 1 / new
            self.size[left] = new
            accuracy, steps = np.array([a for a, _ in rounds], np.float32), np.array([s for _, s in rounds])
            settle(*fixed, left.numpy(), old, new, *arrays, accuracy, steps)
            separation = separations(self.single, self.k[left], direction[left], out=self.products[torch.float32])
            separation.scatter_(1, self.candidates[left, :new], torch.inf)
            bar = direction[left].norm(dim=1, keepdim=True)
            behind = (separation < bar - _RESOLVED).sum(dim=1)
            more = behind > 0
            if not more.any() or new == self.gram.shape[1]:
                break
            wanted = round(1.5 * float(behind[more].double().mean()))
            growth = max(1, _LEAST * d // 32, min(wanted, d // 2))
            left, separation, bar, old = left[more], separation[more], bar[more], new

    def refine(self, tolerance: float) -> Batch:
        """Weights and bounds in double precision."""
        from ._block_pivots import exchange
        from ._refinement import refine

        n = len(self.k)
        direction = self.W.new_zeros(n, self.W.shape[1])
        upper, gap = direction.new_empty(2, n)
        left = torch.arange(n)
        fixed = (self.table.numpy(), self.W.numpy(), self.k.numpy())
        arrays = (self.size.numpy(), *self._candidates())
        for turn in range(_EXCHANGES + 1):
            refine(*fixed, left.numpy(), *arrays, direction.numpy())
            separation = separations(self.W, self.k[left], direction[left], out=self.products[self.W.dtype])
            upper[left] = direction[left].norm(dim=1)
            bound = (upper[left] - separation.amin(dim=1).clamp(min=0)).clamp(min=0)
            feasible = (self.weight[left] >= 0).all(dim=1) & bound.isfinite()
            gap[left] = torch.where(feasible, bound, torch.inf)
            more = gap[left] > tolerance
            left, separation = left[more], separation[more]
            if turn == _EXCHANGES or not len(left):
                break
            bar = upper[left] - tolerance / 2
            exchange(fixed[0], left.numpy(), separation.numpy(), bar.numpy(), *arrays)
        return Batch(self.k, self.candidates, self.weight > 0, self.weight, direction, upper, gap)

    def _candidates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.candidates.numpy(), self.gram.numpy(), self.active.numpy(), self.weight.numpy()
