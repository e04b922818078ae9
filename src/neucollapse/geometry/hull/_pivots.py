"""Nearest points of convex hulls one class at a time, compiled by numba (extra ``fast``).

The problem and the active set are described in ``_active_set``: ``H_T u = 1`` on a support T, ``H = P P^T + 1 1^T`` with
``p_j = w_j - w_k``. Here T changes by a few members at a time and ``H_T^-1`` is kept up to date: joining q members to m
is one symmetric rank-q update, dropping one is a rank-1 update. H is read off the inner products of W, so that nothing
before the last refinement costs a factor d.

A round prices the candidates, lets the worst violators join in turn (each only if it still violates when those before
it have joined), and walks from the old point ``x`` to the new minimum ``z``, dropping what reaches zero on the way. The
first to join always moves the point, so every round strictly improves and none can recur. A point affinely dependent on
the support lies on its hyperplane and violates nothing: one that rounding makes seem to is refused. Where all are refused
that violate by more, it is the inverse that rounding has spoilt (on the way a support was nearly dependent): it is renewed.
"""

from collections import namedtuple
from typing import no_type_check  # annotations checked at run time would wrap what numba compiles

import numpy as np

from ._jit import entry, inner
from ._products import add_outer, dot, multiply

_PRODUCTS = 3195321011  # checksum of _products.py, kept by a test: numba's cache looks at this file alone
_DEPENDENT = 1e-11  # of H_jj: what a newcomer must have outside the span of the support not to count as dependent on it
_SPOILT = 1000.0  # times what counts: so large a violation is not rounding
_FEWEST, _MOST = 8, 32  # members that may join in one round: an eighth of the support, within these


# Memory of one thread, for supports of at most ``cap`` members among M candidates; side = cap + _MOST + 1.
_Work = namedtuple(
    "_Work",
    [
        "H",  # (side, M) rows of H: those of member i at row[i]
        "B",  # (side, side) the inverse of H on the support
        "members",  # (side,) the candidates in the support
        "row",  # (side,) a permutation
        "x",  # (side,) the feasible point
        "z",  # (side,) the minimum over the span of the support
        "U",  # (_MOST, side) newcomers in terms of the support
        "G",  # (_MOST, side) newcomers against the support
        "S",  # (_MOST, _MOST) newcomers against each other, given the support
        "gain",  # (_MOST,) violations of the newcomers, in turn
        "factor",  # (_MOST,) of the outer products that update B
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
    work = _allocate(index.shape[1], width - 1)
    place = np.arange(width)
    for p in range(n):
        offset = p * width if local else 0
        at = place if local else candidates[p]
        scale = _begin(gram, offset, at, work)
        if scale == 0.0:  # all candidates coincide with k
            m = 1
            work.members[0], work.z[0] = 0, 1.0
        else:
            m = _settle(gram, offset, at, scale, W, k[p], candidates[p], index.shape[1], tolerance, work, direction[p])
        total = _combine(W, k[p], candidates[p], m, work, direction[p])
        for i in range(m):
            index[p, i], weight[p, i] = candidates[p, work.members[i] + 1], work.z[i] / total
        direction[p] /= total
        count[p] = m


@inner
@no_type_check
def _allocate(cap, M):
    side = cap + _MOST + 1
    vectors = np.empty((2, side))
    blocks = np.empty((2, _MOST, side))
    few = np.empty((2, _MOST))
    long = np.empty((3, M))
    return _Work(
        np.empty((side, M)), np.empty((side, side)), np.empty(side, np.int64), np.empty(side, np.int64),
        vectors[0], vectors[1], blocks[0], blocks[1], np.empty((_MOST, _MOST)), few[0], few[1],
        np.empty(_MOST, np.int64), long[0], long[1], long[2],
    )  # fmt: skip


@inner
@no_type_check
def _begin(gram, offset, at, work):
    # The support of the nearest candidate alone; returns the factor that makes the longest p_j one, or 0.
    M = len(work.near)
    own = gram[offset + at[0], at[0]]
    size, first = 0.0, 0
    for j in range(M):
        a = at[j + 1]
        work.near[j] = gram[offset + at[0], a]
        work.diagonal[j] = gram[offset + a, a] - 2.0 * work.near[j] + own
        size = max(size, work.diagonal[j])
    if size <= 0.0:
        return 0.0
    for j in range(M):
        work.diagonal[j] = max(work.diagonal[j], 0.0) / size + 1.0
        if work.diagonal[j] < work.diagonal[first]:
            first = j
    work.row[:] = np.arange(len(work.row))
    work.members[0] = first
    _fetch(gram, offset, at, 1.0 / size, first, work.near, own, work.H[0])
    work.B[0, 0] = work.x[0] = work.z[0] = 1.0 / work.diagonal[first]
    return 1.0 / size


@inner
@no_type_check
def _settle(gram, offset, at, scale, W, k, candidate, cap, tolerance, work, y):
    # Rounds until no candidate violates optimality; returns the size of the support.
    own = gram[offset + at[0], at[0]]
    m, renewed = 1, False
    for _ in range(5):  # refinement may move a weight of a nearly degenerate support below zero
        for _ in range(4 * cap + 100):  # bounds what rounding might do; a class cut short keeps the gap it has
            least = _price(work.H, work.row, work.members, work.z, m, tolerance, work.violation)
            q = _worst(work.violation, least, min(max(_FEWEST, m // 8), _MOST), work.newcomers)
            for e in range(q):
                j = work.newcomers[e]
                _fetch(gram, offset, at, scale, j, work.near, own, work.H[work.row[m + e]])
                work.gain[e] = work.violation[j]
            n = _join(work, m, q, min(q, cap - m), least) if q > 0 else m
            if n > m:
                m, renewed = _walk(work, n), False
            elif renewed or q == 0 or work.violation[work.newcomers[0]] < _SPOILT * least:
                break
            else:
                _renew(work, m)
                renewed = True
        _refine(W, k, candidate, scale, m, work, y)
        n = m
        m = _walk(work, n)
        if m == n:
            break
    return m


@inner
@no_type_check
def _fetch(gram, offset, at, scale, j, near, own, out):
    source = gram[offset + at[j + 1]]
    base = own - near[j]
    for i in range(len(out)):
        out[i] = (source[at[i + 1]] - near[i] + base) * scale + 1.0


@inner
@no_type_check
def _price(H, row, members, z, m, tolerance, violation):
    # 1 - H z: by how much each candidate violates optimality; returns from where it counts.
    violation[:] = 1.0
    i = 0
    while i + 4 <= m:
        r0, r1, r2, r3 = H[row[i]], H[row[i + 1]], H[row[i + 2]], H[row[i + 3]]
        z0, z1, z2, z3 = z[i], z[i + 1], z[i + 2], z[i + 3]
        for j in range(len(violation)):
            violation[j] -= (r0[j] * z0 + r1[j] * z1) + (r2[j] * z2 + r3[j] * z3)
        i += 4
    while i < m:
        r0, z0 = H[row[i]], z[i]
        for j in range(len(violation)):
            violation[j] -= r0[j] * z0
        i += 1
    for i in range(m):
        violation[members[i]] = -1.0
    total = z[:m].sum()
    # |sum_j z_j p_j|^2 = total (1 - total): a violation over its root is a distance
    return 0.25 * tolerance * np.sqrt(max(total * (1.0 - total), 0.0)) + 4e-16


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
def _join(work, m, q, room, least):
    # Newcomers, their rows of H in place, join in turn: to z and B; returns the new m.
    H, B, U, G, S = work.H, work.B, work.U, work.G, work.S
    row, newcomers, gain, z = work.row, work.newcomers, work.gain, work.z
    for e in range(q):
        h = H[row[m + e]]
        for i in range(m):
            G[e, i] = h[work.members[i]]
        S[e, :q] = h[newcomers[:q]]
        S[e, e] = work.diagonal[newcomers[e]]
    multiply(B, G, m, q, U)
    for e in range(q):
        for f in range(e + 1):
            S[e, f] -= dot(U[e], G[f], m)
            S[f, e] = S[e, f]
        U[e, m : m + q] = 0.0
    joined = 0
    for e in range(q):
        if joined == room or gain[e] <= least or S[e, e] <= _DEPENDENT * work.diagonal[newcomers[e]]:
            continue
        n = m + joined
        row[n], row[m + e] = row[m + e], row[n]
        U[joined, :n] = U[e, :n]  # in the place of one that was refused, if any
        _eliminate(U, S, gain, z, n, e, joined, q)
        work.x[n], work.members[n], work.factor[joined] = 0.0, newcomers[e], 1.0 / S[e, e]
        joined += 1
    n = m + joined
    B[:m, m:n] = 0.0
    B[m:n, :n] = 0.0
    add_outer(B, U, work.factor, n, joined)
    return n


@inner
@no_type_check
def _eliminate(U, S, gain, z, n, e, place, q):
    # Newcomer e becomes member n: z follows, and the newcomers after it are seen from the larger support.
    own, pivot = U[place], S[e, e]
    own[n] = -1.0
    step = gain[e] / pivot
    for f in range(e + 1, q):
        ratio = S[e, f] / pivot
        other = U[f]
        for i in range(n + 1):
            other[i] -= ratio * own[i]
        for h in range(e + 1, q):
            S[f, h] -= ratio * S[e, h]
        gain[f] -= step * S[e, f]
    z[n] = 0.0
    for i in range(n + 1):
        z[i] -= step * own[i]


@inner
@no_type_check
def _renew(work, m):
    # A step of Newton's method for the inverse, B (2 - H B), a row at a time, and one for z.
    B, residual, step = work.B, work.G, work.U
    for e in range(m + 1):
        for i in range(m):
            h = work.H[work.row[i]]
            residual[0, i] = 1.0 if e == m or i == e else 0.0
            for j in range(m):
                residual[0, i] -= h[work.members[j]] * (work.z[j] if e == m else B[e, j])
        multiply(B, residual, m, 1, step)
        for i in range(m):
            if e == m:
                work.z[i] += step[0, i]
            else:
                B[e, i] += step[0, i]
    for i in range(m):
        for j in range(i):
            B[i, j] = B[j, i] = 0.5 * (B[i, j] + B[j, i])


@inner
@no_type_check
def _walk(work, m):
    # Lawson and Hanson's inner loop, from x to z by way of the boundary; returns the new size of the support.
    x, z = work.x, work.z
    while True:
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
    # Member i leaves, the last one takes its place; returns m - 1.
    B, x, z, v, members, row = work.B, work.x, work.z, work.U[0], work.members, work.row
    last = m - 1
    pivot = B[i, i]
    f = z[i] / pivot
    for a in range(m):
        v[a] = B[i, a]
        z[a] -= f * v[a]
    if i != last:
        for a in range(last):
            B[i, a] = B[a, i] = B[last, a]
        B[i, i] = B[last, last]
        v[i], members[i], x[i], z[i] = v[last], members[last], x[last], z[last]
        row[i], row[last] = row[last], row[i]
    work.factor[0] = -1.0 / pivot
    add_outer(B, work.U, work.factor, last, 1)
    return last


@inner
@no_type_check
def _combine(W, k, candidate, m, work, y):
    # y = sum_i z_i p_i, formed in d dimensions; returns the sum of the weights.
    own, total = W[k], 0.0
    y[:] = 0.0
    for i in range(m):
        w, u = W[candidate[work.members[i] + 1]], work.z[i]
        total += u
        for j in range(len(y)):
            y[j] += u * (w[j] - own[j])
    return total


@inner
@no_type_check
def _refine(W, k, candidate, scale, m, work, y):
    # Twice: a step of B against residuals formed in d dimensions.
    own, residual, z = W[k], work.G, work.z
    for _ in range(2):
        total = _combine(W, k, candidate, m, work, y)
        for i in range(m):
            w = W[candidate[work.members[i] + 1]]
            level = 0.0
            for j in range(len(y)):
                level += (w[j] - own[j]) * y[j]
            residual[0, i] = 1.0 - total - scale * level
        multiply(work.B, residual, m, 1, work.U)
        z[:m] += work.U[0, :m]
