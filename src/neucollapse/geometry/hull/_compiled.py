"""Nearest points for a batch of classes by the compiled active set, each from the few classes that can matter to it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from ..._environment import numba_available
from ..._types import Float, Int
from ._active_set import Batch, gap_above, separations

MOST_POINTS = 1 << 14  # of which all inner products are kept in single precision: 1 GB
_TABLE = 1 << 30  # bytes of the largest table of all inner products: in double precision, K = 11,585
_CHUNK = 4_000_000  # numbers in the other temporaries of one batch: about 32 MB
_FAST_FROM = 5_000  # pairs of classes: below, loading the compiled code takes longer than doing without
_LOCAL = 256  # candidates at first where their inner products must be formed class by class
_MIXED_FROM = 3_000  # classes, of which the table in double precision is read from memory again and again
_ROUNDS = 4  # each with twice the candidates of the one before


def pays(K: int, n: int) -> bool:
    """Whether n of K classes are many enough for compiled code, and there is some."""
    return K * n >= _FAST_FROM and numba_available()


def compiled(
    W: Float[Tensor, "K d"], k: Int[Tensor, " n"], tolerance: float, *, mixed: bool | None = None
) -> Iterator[Batch]:
    """Nearest points for classes k, batch by batch; W is centred, its longest row 1.

    `gap` says how far each class got: rounding may keep a few from the tolerance. `mixed` decides whether single
    precision comes first; by default it does for many classes.
    """
    K = len(W)
    if mixed is None:
        mixed = _MIXED_FROM <= K <= MOST_POINTS and 8 * len(k) >= K
    for batch in one_by_one(W, k, tolerance, single=mixed):
        left = (batch.gap > tolerance).nonzero()[:, 0]
        if mixed and len(left):
            (again,) = one_by_one(W, batch.k[left], tolerance)
            batch.put(left, again)
        yield batch


def one_by_one(
    W: Float[Tensor, "K d"],
    k: Int[Tensor, " n"],
    tolerance: float,
    *,
    single: bool = False,
    most: int | None = None,
    tabled: bool | None = None,
    rounds: int = _ROUNDS,
) -> Iterator[Batch]:
    """A class starts from its `most` similar classes. The hyperplane found is held against all K; where others lie beyond
    it, the class goes on with those most in its way, and twice as many of them in each of the `rounds`.

    Supports are found from inner products in `single` precision, or in double. `tabled` decides whether all of these are
    formed at once; by default they are, where they are few enough to be kept and most classes are asked for.
    """
    K, d = W.shape
    values = W.float() if single else W
    if tabled is None:
        tabled = K * K * values.element_size() <= _TABLE and 8 * len(k) >= K
    table = values @ values.T if tabled else None
    most = min(K - 1, most or (64 + d + d // 2 if tabled else _LOCAL))
    for part in k.split(max(1, _CHUNK // K)):
        yield _rounds(W, values, table, part, tolerance, most, rounds)


def _rounds(
    W: Float[Tensor, "K d"],
    values: Float[Tensor, "K d"],
    table: Float[Tensor, "K K"] | None,
    k: Int[Tensor, " n"],
    tolerance: float,
    most: int,
    rounds: int,
) -> Batch:
    K = len(W)
    similar = table[k] if table is not None else values[k] @ values.T
    now, behind = _solve(W, values, table, k, _candidates(-similar, k, most), tolerance)
    done, pending = now, torch.arange(len(k))
    for _ in range(rounds - 1):
        left = now.gap > tolerance
        if most == K - 1 or not left.any():
            break
        most, pending, behind = min(K - 1, 2 * most), pending[left], behind[left]
        held = torch.where(now.live[left], now.index[left], now.index[left, :1])
        behind.scatter_(1, held, -torch.inf)  # the support stays among the candidates
        now, behind = _solve(W, values, table, k[pending], _candidates(behind, k[pending], most), tolerance)
        done.put(pending, now)
    return done


def _candidates(behind: Float[Tensor, "n K"], k: Int[Tensor, " n"], most: int) -> Int[Tensor, "n width"]:
    """Each class followed by those least far behind it (`behind` is changed)."""
    behind[torch.arange(len(k)), k] = torch.inf
    nearest = behind.topk(most, dim=1, largest=False, sorted=False).indices
    return torch.cat([k[:, None], nearest.sort(dim=1).values], dim=1)  # sorted: read in the order of memory


def _solve(
    W: Tensor, values: Tensor, table: Tensor | None, k: Tensor, candidates: Tensor, tolerance: float
) -> tuple[Batch, Float[Tensor, "n K"]]:
    """Nearest points among the candidates, their gaps among all K, and how far behind w_k each of those lies."""
    from ._pivots import solve

    n, width = candidates.shape
    size = min(W.shape[1] + 1, width - 1)
    index, weight = torch.zeros(n, size, dtype=torch.int64), W.new_zeros(n, size)
    count, direction = torch.zeros(n, dtype=torch.int64), W.new_zeros(n, W.shape[1])
    fixed = W.numpy()

    def run(some: slice) -> None:
        near, gram = candidates[some], table
        if gram is None:
            points = values[near]
            gram = torch.bmm(points, points.mT).flatten(0, 1)
        outputs = (result[some].numpy() for result in (index, weight, count, direction))
        solve(gram.numpy(), table is None, fixed, k[some].numpy(), near.numpy(), tolerance, *outputs)

    threads = torch.get_num_threads()
    share = -(-n // (4 * threads)) if threads > 1 else n  # several a thread: supports differ in size
    step = share if table is not None else max(1, _CHUNK // (width * (width + W.shape[1])))
    pieces = [slice(begin, begin + step) for begin in range(0, n, step)]
    if threads == 1:
        list(map(run, pieces))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, pieces))
    live = torch.arange(size) < count[:, None]
    upper, behind = direction.norm(dim=1), separations(W, k, direction)
    return Batch(k, index, live, weight, direction, upper, gap_above(upper, behind)), behind
