"""Nearest points for a batch of classes by the compiled active set, each from the few classes that can matter to it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from ..._environment import numba_available
from ..._types import Float, Int
from ._active_set import Batch, separations
from ._single_precision import MOST_POINTS, single_precision

_TABLE = 1 << 27  # entries in the largest table of all inner products kept: 1 GB, K = 11,585
_CHUNK = 4_000_000  # numbers in the other temporaries of one batch: about 32 MB
_FAST_FROM = 5_000  # pairs of classes: below, loading the compiled code takes longer than doing without
_LOCAL = 256  # candidates at first where their inner products must be formed class by class
_MANY, _LARGE = 3_000, 120  # classes and members of a support from which single precision is twice as fast
_PROBES = 8  # classes that tell
_ROUNDS = 4  # each with twice the candidates of the one before


def pays(K: int, n: int) -> bool:
    """Whether n of K classes are many enough for compiled code, and there is some."""
    return K * n >= _FAST_FROM and numba_available()


def compiled(
    W: Float[Tensor, "K d"], k: Int[Tensor, " n"], tolerance: float, *, mixed: bool | None = None
) -> Iterator[Batch]:
    """Nearest points for classes k, batch by batch; W is centred, its longest row 1.

    ``gap`` says how far each class got: rounding may keep a few from the tolerance. ``mixed`` decides whether single
    precision comes first; by default it does where it pays.
    """
    if not (large_supports(W, k, tolerance) if mixed is None else mixed):
        yield from one_by_one(W, k, tolerance)
        return
    for batch in single_precision(W, k, tolerance):
        left = (batch.gap > tolerance).nonzero()[:, 0]
        if len(left):
            now = one_by_one(W, batch.k[left], tolerance)
            for some, solved in zip(left.split(_step(W)), now, strict=True):
                batch.put(some, solved)
        yield batch


def large_supports(
    W: Float[Tensor, "K d"], k: Int[Tensor, " n"], tolerance: float, *, points: int = _MANY, members: int = _LARGE
) -> bool:
    """Whether single precision pays: for most classes of many points, by the mean support of a few of them."""
    K, d = W.shape
    if not (points <= K <= MOST_POINTS and 8 * len(k) >= K and min(K, d) > members):
        return False
    some = k[:: -(-len(k) // _PROBES)]
    return sum(int(batch.live.sum()) for batch in one_by_one(W, some, tolerance)) >= members * len(some)


def one_by_one(
    W: Float[Tensor, "K d"],
    k: Int[Tensor, " n"],
    tolerance: float,
    *,
    most: int | None = None,
    tabled: bool | None = None,
    rounds: int = _ROUNDS,
) -> Iterator[Batch]:
    """A class starts from its ``most`` similar classes. The hyperplane found is held against all K; where others lie
    beyond it, the class goes on with those most in its way, and twice as many of them in each of the ``rounds``.

    ``tabled`` decides whether all inner products are formed at once, where they are few enough to be kept.
    """
    K, d = W.shape
    tabled = K * K <= _TABLE and 8 * len(k) >= K if tabled is None else tabled
    table = W @ W.T if tabled else None
    most = most or (64 + d + d // 2 if tabled else _LOCAL)
    for part in k.split(_step(W)):
        yield _rounds(W, table, part, tolerance, min(K - 1, most), rounds)


def _step(W: Float[Tensor, "K d"]) -> int:
    return max(1, _CHUNK // len(W))


def _rounds(
    W: Float[Tensor, "K d"],
    table: Float[Tensor, "K K"] | None,
    k: Int[Tensor, " n"],
    tolerance: float,
    most: int,
    rounds: int,
) -> Batch:
    K = len(W)
    similar = table[k] if table is not None else W[k] @ W.T
    now, behind = _solve(W, table, k, _candidates(-similar, k, most), tolerance)
    done, pending = now, torch.arange(len(k))
    for _ in range(rounds - 1):
        left = now.gap > tolerance
        if most == K - 1 or not left.any():
            break
        most, pending, behind = min(K - 1, 2 * most), pending[left], behind[left]
        held = torch.where(now.live[left], now.index[left], now.index[left, :1])
        behind.scatter_(1, held, -torch.inf)  # the support stays among the candidates
        now, behind = _solve(W, table, k[pending], _candidates(behind, k[pending], most), tolerance)
        done.put(pending, now)
    return done


def _candidates(behind: Float[Tensor, "n K"], k: Int[Tensor, " n"], most: int) -> Int[Tensor, "n width"]:
    """Each class followed by those least far behind it (``behind`` is changed)."""
    behind[torch.arange(len(k)), k] = torch.inf
    nearest = behind.topk(most, dim=1, largest=False, sorted=False).indices
    return torch.cat([k[:, None], nearest.sort(dim=1).values], dim=1)  # sorted: read in the order of memory


def _solve(
    W: Tensor, table: Tensor | None, k: Tensor, candidates: Tensor, tolerance: float
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
            points = W[near]
            gram = torch.bmm(points, points.mT).flatten(0, 1)
        outputs = (values[some].numpy() for values in (index, weight, count, direction))
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
    upper = direction.norm(dim=1)
    behind = separations(W, k, direction)
    gap = (upper - behind.amin(dim=1).clamp(min=0)).clamp(min=0)
    return Batch(k, index, live, weight, direction, upper, gap), behind
