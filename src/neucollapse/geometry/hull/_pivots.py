r"""Nearest points of convex hulls one class at a time, compiled by numba (extra `fast`), in double or single precision.

The problem and the active set are described in `_active_set`: $H_T u = 1$ on a support T, $H = P P^T + 1 1^T$ with
$p_j = w_j - w_k$. Here members join and leave one at a time, and the Cholesky factor L of $H_T$ follows, with
$c = L^{-1} 1$. H is read off the inner products of W, in their precision.

* A round prices the candidates and lets the worst violators join in turn, each only if it still violates when those
  before it have joined: with $v = L^{-1} H_{Tj}$ it does by $1 - v \cdot c$. Then it walks from the old point x to the
  new minimum z and drops what reaches zero on the way. The first to join always moves the point, so every round strictly
  improves and none can recur. A point affinely dependent on the support lies on its hyperplane and violates nothing: one
  that rounding makes seem to is refused.
* When no candidate violates optimality by more than rounding explains, the weights are refined in double precision,
  against residuals formed in d dimensions. Candidates near the bar are priced the same way. Supports change after that
  only by what double precision shows, in a few turns.
"""

from collections import namedtuple
from typing import no_type_check  # annotations checked at run time would wrap what numba compiles

import numpy as np

from ._jit import entry, inner
from ._products import backward, combine, dot, forward, forward_four, rotate

_PRODUCTS = 3131553707  # checksum of _products.py, kept by a test: numba's cache looks at this file alone
_DEPENDENT = (
    0.7  # power of the rounding unit: the share of H_jj outside the span of the support that proves independence
)
_FEWEST, _MOST = 8, 32  # members that may join in one round: an eighth of the support, within these
_TURNS = 8  # of changes that double precision shows
_STEPS = 12  # of refinement, at most
_EXACT = 4e-16  # a violation in double precision that is rounding

# Memory of one thread, for supports of at most ``cap`` members among M candidates; side = cap + _MOST. Member i has row[i].
_Work = namedtuple(  # pyright: ignore[reportUntypedNamedTuple]
    "_Work",
    [
        "H",  # (side, M) rows of H, of members
        "L",  # (side, side) rows of the Cholesky factor of H on the support
        "P",  # (side, d) rows p_j, in double precision
        "members",  # (side,) the candidates in the support
        "row",  # (side,) a permutation
        "c",  # (side,) L^-1 1
        "x",  # (side,) the feasible point
        "z",  # (side,) the minimum over the span of the support
        "u",  # (side,) the same in double precision
        "residual",  # (side,) of u, in double precision
        "turn",  # (2, side) sines and cosines
        "newcomers",  # (_MOST,) candidates
        "violation",  # (M,) of optimality, by each candidate
        "near",  # (M,) <w_j, w_k>
        "diagonal",  # (M,) H_jj
    ],
)


@entry
@no_type_check
def solve(gram, local, W, k, candidates, tolerance, index, weight, count, direction):
    """Nearest points of hulls of candidates, for classes ``k`` (n,).

    ``gram`` holds inner products of W: all of them (K, K), or with ``local`` those of ``candidates[p]``, stacked (n
    (M + 1), M + 1). ``candidates`` (n, M + 1) begin with k. Written are supports ``index`` (n, cap) with weights u,
    ``count`` (n,) of them a class, and ``direction`` (n, d), ``sum_j u_j p_j / sum(u)``.
    """
    n, width = candidates.shape
    cap = index.shape[1]
    work = _allocate(gram, cap + _MOST, width - 1, W.shape[1])
    place = np.arange(width)
    for p in range(n):
        source = gram[p * width : (p + 1) * width] if local else gram
        at = place if local else candidates[p]
        scale = _begin(source, at, work)
        if scale > 0:
            m = _rounds(source, at, scale, cap, tolerance, work)
            m = _exchanges(source, at, scale, W, k[p], candidates[p], m, cap, tolerance, work, direction[p])
        else:  # all candidates coincide with k
            m, work.u[0] = 1, 1.0
            _place(W, k[p], candidates[p], work, 0)
        total, size = 0.0, 0
        for i in range(m):
            work.u[i] = max(work.u[i], 0.0)
            total += work.u[i]
        for i in range(m):
            if work.u[i] > 0:
                index[p, size], weight[p, size] = candidates[p, work.members[i] + 1], work.u[i] / total
                size += 1
        combine(work.P, work.row, work.u, m, direction[p])
        direction[p] /= total
        count[p] = size


@inner
@no_type_check
def _allocate(gram, side, M, d):
    kind = gram.dtype
    short, long, double = np.empty((3, side), kind), np.empty((3, M), kind), np.empty((2, side))
    return _Work(
        np.empty((side, M), kind), np.empty((side, side), kind), np.empty((side, d)),
        np.empty(side, np.int64), np.empty(side, np.int64), short[0], short[1], short[2], double[0], double[1],
        np.empty((2, side), kind), np.empty(_MOST, np.int64), long[0], long[1], long[2]
    )  # fmt: skip


@inner
@no_type_check
def _begin(gram, at, work):
    # The support of the nearest candidate alone; returns the factor that makes the longest p_j one, or 0.
    M, own = len(work.near), gram[at[0], at[0]]
    zero, one = own - own, work.near.dtype.type(1)
    size, first = zero, 0
    for j in range(M):
        a = at[j + 1]
        work.near[j] = gram[at[0], a]
        work.diagonal[j] = gram[a, a] - work.near[j] - work.near[j] + own
        size = max(size, work.diagonal[j])
    work.row[:] = np.arange(len(work.row))
    work.members[0] = 0
    if size <= 0:
        return zero
    for j in range(M):
        work.diagonal[j] = max(work.diagonal[j], zero) / size + one
        if work.diagonal[j] < work.diagonal[first]:
            first = j
    work.members[0] = first
    _fetch(gram, at, one / size, first, work, work.H[0])
    work.L[0, 0] = np.sqrt(work.diagonal[first])
    work.c[0] = one / work.L[0, 0]
    work.x[0] = work.z[0] = one / work.diagonal[first]
    return one / size


@inner
@no_type_check
def _rounds(gram, at, scale, cap, tolerance, work):
    # Rounds until no candidate violates optimality by more than rounding explains; returns the size of the support.
    m = 1
    for _ in range(4 * cap + 100):  # bounds what rounding might do; a class cut short keeps the gap it has
        bar = _price(work, m, tolerance)
        q = _worst(work.violation, bar, min(max(_FEWEST, m // 8), _MOST), work.newcomers)
        before = m
        q = min(q, cap - m)
        for e in range(q):
            _fetch(gram, at, scale, work.newcomers[e], work, work.H[work.row[m + e]])
        m = _join(work, m, q, bar)
        if m == before:
            break
        m = _walk(work, m)
    for j in range(len(work.violation)):  # what may count in double precision is priced again there
        work.violation[j] += 4 * bar
    return m


@inner
@no_type_check
def _exchanges(gram, at, scale, W, k, candidate, m, cap, tolerance, work, y):
    # What double precision shows: members of no weight leave for good, candidates that violate optimality join.
    violation = work.violation
    work.u[:m] = work.z[:m]
    for i in range(m):
        _place(W, k, candidate, work, i)
    for _ in range(_TURNS):
        total = _refine(work, scale, m, y)
        before = m
        for i in range(m - 1, -1, -1):
            if work.u[i] <= 0:
                m = _drop(work, i, m)
        if m < before:
            continue
        for j in range(len(violation)):
            if violation[j] > 0 and m < cap:
                level = 0.0
                for c in range(len(y)):
                    level += (W[candidate[j + 1], c] - W[k, c]) * y[c]
                if 1.0 - total - scale * level > _bar(total, tolerance):
                    _fetch(gram, at, scale, j, work, work.H[work.row[m]])
                    work.u[m], work.newcomers[0], violation[j] = 0.0, j, -1
                    m = _join(work, m, 1, -np.inf)
                    _place(W, k, candidate, work, m - 1)
        if m == before:
            break
    return m


@inner
@no_type_check
def _fetch(gram, at, scale, j, work, out):
    # Row j of H
    source, near = gram[at[j + 1]], work.near
    base, one = gram[at[0], at[0]] - near[j], near.dtype.type(1)
    for i in range(len(out)):
        out[i] = (source[at[i + 1]] - near[i] + base) * scale + one


@inner
@no_type_check
def _price(work, m, tolerance):
    # 1 - H z: by how much each candidate violates optimality; returns from where it counts.
    violation, z = work.violation, work.z
    total, left = 0.0, np.finfo(violation.dtype).eps
    combine(work.H, work.row, z, m, violation)
    for j in range(len(violation)):
        violation[j] = 1 - violation[j]
    for i in range(m):
        total += z[i]
        left = max(left, abs(violation[work.members[i]]))
        violation[work.members[i]] = -1
    return _bar(total, tolerance) + 2 * left


@inner
@no_type_check
def _bar(total, tolerance):
    # |sum_j u_j p_j|^2 = total (1 - total): a violation over its root is a distance
    return 0.25 * tolerance * np.sqrt(max(total * (1.0 - total), 0.0)) + _EXACT


@inner
@no_type_check
def _worst(violation, least, most, out):
    # The ``most`` largest violations, in falling order; returns how many there are.
    found, bar = 0, least
    for j in range(len(violation)):
        value = violation[j]
        if value > bar:
            i = min(found, most - 1)
            while i > 0 and violation[out[i - 1]] < value:
                out[i] = out[i - 1]
                i -= 1
            out[i] = j
            found = min(found + 1, most)
            if found == most:
                bar = violation[out[most - 1]]
    return found


@inner
@no_type_check
def _join(work, m, q, bar):
    # Newcomers, their rows of H in place, join in turn if they violate optimality and are independent; returns the new size.
    L, c, row, members = work.L, work.c, work.row, work.members
    for e in range(q):
        for i in range(m):
            L[row[m + e], i] = work.H[row[m + e], members[i]]
    for e in range(0, q - 3, 4):
        forward_four(L, row, L[row[m + e]], L[row[m + e + 1]], L[row[m + e + 2]], L[row[m + e + 3]], m)
    for e in range(q - q % 4, q):
        forward(L, row, L[row[m + e]], 0, m)
    n = m
    for e in range(q):
        j, r = work.newcomers[e], row[m + e]
        v = L[r]
        for i in range(m, n):
            v[i] = work.H[r, members[i]]
        forward(L, row, v, m, n)
        square, gain = work.diagonal[j] - dot(v, v, n), 1 - dot(v, c, n)
        if gain > bar and square > np.finfo(v.dtype).eps ** _DEPENDENT * work.diagonal[j]:
            v[n] = np.sqrt(square)
            c[n] = gain / v[n]
            members[n], work.x[n] = j, 0
            row[n], row[m + e] = r, row[n]
            n += 1
    return n


@inner
@no_type_check
def _walk(work, m):
    # Lawson and Hanson's inner loop, from x to the minimum z by way of the boundary; returns the new size of the support.
    x, z = work.x, work.z
    while True:
        z[:m] = work.c[:m]
        backward(work.L, work.row, z, m)
        step, leaves = 1.0, -1
        for i in range(m):
            if z[i] <= 0:
                fall = x[i] - z[i]
                ratio = x[i] / fall if fall > 0 else 0.0
                if leaves < 0 or ratio < step:
                    step, leaves = ratio, i
        if leaves < 0 or m == 1:
            x[:m] = z[:m]
            return m
        for i in range(m):
            x[i] = max(x[i] + step * (z[i] - x[i]), 0.0)
        m = _drop(work, leaves, m)


@inner
@no_type_check
def _drop(work, i, m):
    # Member i leaves: rotations of columns make the factor without its row triangular again; returns m - 1.
    cosine, sine, row, c = work.turn[0], work.turn[1], work.row, work.c
    for r in range(i + 1, m, 2):
        one = work.L[row[r]]
        two = work.L[row[r + 1]] if r + 1 < m else c
        a, b = rotate(work.turn, one, two, i, r - 1)
        length = np.sqrt(a * a + one[r] * one[r])
        cosine[r - 1], sine[r - 1], one[r - 1] = a / length, one[r] / length, length
        two[r - 1], b = cosine[r - 1] * b + sine[r - 1] * two[r], cosine[r - 1] * two[r] - sine[r - 1] * b
        if r + 1 < m:
            length = np.sqrt(b * b + two[r + 1] * two[r + 1])
            cosine[r], sine[r], two[r] = b / length, two[r + 1] / length, length
    if (m - 1 - i) % 2 == 0:  # c comes without a row; z is free
        rotate(work.turn, c, work.z, i, m - 1)
    free = row[i]
    for r in range(i, m - 1):
        row[r], work.members[r] = row[r + 1], work.members[r + 1]
        work.x[r], work.u[r] = work.x[r + 1], work.u[r + 1]
    row[m - 1] = free
    return m - 1


@inner
@no_type_check
def _place(W, k, candidate, work, i):
    # The row p_j of member i, in double precision
    w, own, p = W[candidate[work.members[i] + 1]], W[k], work.P[work.row[i]]
    for c in range(len(own)):
        p[c] = w[c] - own[c]


@inner
@no_type_check
def _refine(work, scale, m, y):
    # u solves the system of the support, y = P^T u, by steps of the factor; returns the sum of u.
    u, residual, step = work.u, work.residual, work.z
    before = np.inf
    for _ in range(_STEPS):
        total, largest = 0.0, 0.0
        combine(work.P, work.row, u, m, y)
        for i in range(m):
            total += u[i]
        for i in range(m):
            residual[i] = 1.0 - total - scale * dot(work.P[work.row[i]], y, len(y))
            largest = max(largest, abs(residual[i]))
        if largest < _EXACT or largest > 0.5 * before:
            break
        before = largest
        for i in range(m):
            step[i] = residual[i] / largest
        forward(work.L, work.row, step, 0, m)
        backward(work.L, work.row, step, m)
        for i in range(m):
            u[i] += largest * step[i]
    return total
