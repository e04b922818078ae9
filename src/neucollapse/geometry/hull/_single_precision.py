"""Nearest points for a batch of classes found in single precision and refined: the way to large supports."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np
import torch
from torch import Tensor

from ..._types import Float, Int
from ._active_set import Batch, separations

MOST_POINTS = 1 << 14  # of which all inner products are kept: 1 GB
_GRAM = 5 << 23  # entries in the inner products of the candidates that a thread holds: 160 MB
_PARTS = 8  # into which few classes are divided, whatever the number of threads: results must not depend on it
# How closely the rounds of a turn solve, in at most how many steps: roughly at first, to find out which classes matter.
_ROUNDS = [*3 * [(5e-4, 10)], (3e-6, 20), *20 * [(3e-7, 30)]]
_TURNS = 6  # after each, what stands in the way joins the candidates, half as many again because more will
_FIRST = 18  # candidates at first, in thirty-secondths of d
_RESOLVED = 3e-6  # of the longest row: by less than this single precision does not say which class is nearer
_EXCHANGES, _AT_ONCE = 6, 32  # rounds in double precision, and classes that join a support in one of them
_BLOCK = 1024  # rows of the table that are formed together


def single_precision(
    W: Float[Tensor, "K d"],
    k: Int[Tensor, " n"],
    tolerance: float,
    *,
    first: int | None = None,
    turns: int = _TURNS,
    exchanges: int = _EXCHANGES,
) -> Iterator[Batch]:
    """Nearest points for classes k, part by part; ``gap`` says which of them single precision did not resolve.

    ``first`` candidates a class are looked at to begin with, ``turns`` times others join them, and ``exchanges`` times
    supports change after their weights are known in double precision.

    Each thread takes parts from beginning to end: some wait for memory while others compute.
    """
    K, d = W.shape
    single = W.float()
    table = _products(single)
    threads = torch.get_num_threads()
    cap = min(K - 1, 5 * d // 4)
    row_begins = _row_begins(cap)
    most = max(1, min(_GRAM // int(row_begins[cap]), -(-len(k) // _PARTS)))
    spare: SimpleQueue[_Work] = SimpleQueue()
    for _ in range(threads):
        spare.put(_Work(W, single, table, most, row_begins))

    def solve(part: Tensor) -> Batch:
        work = spare.get()
        try:
            work.begin(part)
            work.settle(first or _FIRST * d // 32, turns)
            return work.refine(tolerance, exchanges)
        finally:
            spare.put(work)

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(solve, k.split(most))
    finally:
        torch.set_num_threads(threads)  # threads of the pool have changed the default of later ones


def _products(W: Float[Tensor, "K d"]) -> Float[Tensor, "K K"]:
    """All inner products of rows; each is computed once."""
    K = len(W)
    table = torch.from_numpy(np.empty((K, K), np.float32))  # NumPy asks for huge pages: a third off the gathers
    for low in range(0, K, _BLOCK):
        high = min(low + _BLOCK, K)
        torch.mm(W[low:high], W[:high].T, out=table[low:high, :high])
        table[:low, low:high] = table[low:high, :low].T
    return table


def _row_begins(cap: int) -> np.ndarray:
    """Where rows of a lower triangle begin (cap + 1,), with the room that ``_block_pivots`` asks for."""
    from ._block_pivots import LANES, RIGHT

    lengths = (np.arange(cap) // LANES + 1) * LANES + RIGHT
    return np.concatenate(([0], lengths.cumsum()))


class _Work:
    """What one thread reads and writes: fresh memory for each part would cost as much as the work on it."""

    def __init__(self, W: Tensor, single: Tensor, table: Tensor, most: int, row_begins: np.ndarray) -> None:
        self.W, self.single, self.table = W, single, table
        self.row_begins, self.cap = row_begins, len(row_begins) - 1
        self.gram = np.empty((most, row_begins[-1]), np.float32)
        self.separation = single.new_empty(most, len(W))
        self.rough = single.new_empty(most, W.shape[1])

    def begin(self, k: Int[Tensor, " n"]) -> None:
        """Turn to the classes k."""
        n, cap = len(k), self.cap
        self.k = k
        self.size = torch.zeros(n, dtype=torch.int64)
        self.candidates = torch.zeros(n, cap, dtype=torch.int64)
        self.active = torch.zeros(n, cap, dtype=torch.bool)
        self.weight = self.W.new_zeros(n, cap)

    def settle(self, first: int, turns: int) -> None:
        """Supports and weights to single precision, and how far all classes lie beyond along the ``rough`` directions found."""
        from ._block_pivots import settle, widen

        n, d = len(self.k), self.W.shape[1]
        first = min(max(1, first), self.cap)
        similar = self.table[self.k]
        similar[torch.arange(n), self.k] = -torch.inf
        self.candidates[:, :first] = similar.topk(first, dim=1, sorted=False).indices.sort(dim=1).values
        self.active[:, :first], self.weight[:, :first] = True, 1 / first
        self.size[:] = first
        left, old = torch.arange(n), torch.zeros(n, dtype=torch.int64)
        fixed = (self.table.numpy(), self.single.numpy(), self.k.numpy())
        arrays = (self.size.numpy(), *self._candidates())
        lists = (self.size.numpy(), self.candidates.numpy(), self.active.numpy(), self.weight.numpy())
        accuracy, steps = np.array([a for a, _ in _ROUNDS], np.float32), np.array([s for _, s in _ROUNDS])
        for turn in range(turns):
            settle(*fixed, left.numpy(), old.numpy(), *arrays, self.rough.numpy(), accuracy, steps)
            if len(left) == n:
                separations(self.single, self.k, self.rough[:n], out=self.separation)
            else:
                self.separation[left] = separations(self.single, self.k[left], self.rough[left])
            if turn == turns - 1:  # nothing would settle what joins now
                break
            widen(left.numpy(), self.separation.numpy(), self.rough.numpy(), _RESOLVED, d // 2, old.numpy(), *lists)
            left = left[self.size[left] > old[left]]
            if not len(left):
                break

    def refine(self, tolerance: float, exchanges: int) -> Batch:
        """Weights and bounds in double precision."""
        from ._block_pivots import exchange
        from ._refinement import refine

        n = len(self.k)
        direction = self.W.new_zeros(n, self.W.shape[1])
        upper, lower, gap = direction.new_empty(3, n)
        left = torch.arange(n)
        fixed = (self.table.numpy(), self.W.numpy(), self.k.numpy())
        arrays = (self.size.numpy(), *self._candidates())
        behind = torch.empty(n, _AT_ONCE, dtype=torch.int64).numpy()
        seen = (self.rough.numpy(), self.separation.numpy())
        for turn in range(exchanges + 1):
            refine(*fixed, left.numpy(), *arrays, *seen, direction.numpy(), lower.numpy(), behind)
            upper[left] = direction[left].norm(dim=1)
            bound = (upper[left] - lower[left].clamp(min=0)).clamp(min=0)
            feasible = (self.weight[left] >= 0).all(dim=1) & bound.isfinite()
            gap[left] = torch.where(feasible, bound, torch.inf)
            left = left[gap[left] > tolerance]
            if turn == exchanges or not len(left):
                break
            exchange(fixed[0], left.numpy(), behind, *arrays)
        return Batch(self.k, self.candidates, self.weight > 0, self.weight, direction, upper, gap)

    def _candidates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.candidates.numpy(), self.row_begins, self.gram, self.active.numpy(), self.weight.numpy()
