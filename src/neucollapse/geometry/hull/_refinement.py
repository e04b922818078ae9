"""Nearest points on given supports to double precision, compiled by numba (extra ``fast``).

The system ``H_T u = 1`` of ``_active_set`` is solved by a Cholesky factor in single precision and corrected against
residuals formed in double precision in d dimensions: each step gains some five digits where the support is well
conditioned.
"""

from typing import no_type_check  # annotations checked at run time would wrap what numba compiles

import numpy as np

from ._jit import entry, inner

_ZERO, _ONE = np.float32(0), np.float32(1)
_STEPS = 4
_ROUNDING = 4e-15  # size of 1 - sum(u) - <p, y> that rounding leaves
_EPSILON = 2.0**-23  # of single precision
_PIVOT = np.float32(1e-5)  # the least pivot of a Cholesky factor in single precision


@entry
@no_type_check
def refine(
    table, W, k, which, size, candidates, begin, gram, active, weight, rough, separation, direction, lower, behind
):
    """Weights and directions to double precision on the supports found; weights may come out negative.

    As in ``_block_pivots.settle``, but W and ``direction`` are in double precision. ``lower`` (n,) becomes the least of
    the distances by which classes lie beyond w_k along it; in single precision these are known along ``rough`` (n, d), as
    ``separation`` (n, K). No row of W is longer than 1. ``behind`` (n, few) names classes that lie less far beyond than
    the support does, as many as there is room for, and -1.
    """
    d, cap = W.shape[1], candidates.shape[1]
    place = np.empty(cap, np.int64)
    P, R = np.empty((cap, d)), np.empty((cap, cap), np.float32)
    near, step = np.empty((2, cap), np.float32)
    u, residual = np.empty((2, cap))
    member = np.zeros(len(W), np.bool_)
    for i in which:
        own, m = W[k[i]], 0
        for j in range(size[i] - 1, -1, -1):  # the lower triangle becomes an upper one
            if active[i, j]:
                place[m], u[m], near[m] = j, weight[i, j], table[k[i], candidates[i, j]]
                w, p = W[candidates[i, j]], P[m]
                for c in range(d):
                    p[c] = w[c] - own[c]
                m += 1
        _compress(gram[i], begin, near, table[k[i], k[i]], place, m, R)
        regular, before, expected = _factor(R, m), np.inf, np.inf
        for turn in range(_STEPS + 1):
            total = _sum(P, u, m, direction[i])
            if not regular or expected < _ROUNDING or turn == _STEPS:
                break
            largest = _residual_in_full(P, total, m, direction[i], residual)
            if largest == 0.0:
                break
            expected = 10.0 * largest * (largest / before) if turn > 0 else np.inf
            before = largest
            for a in range(m):
                step[a] = residual[a] / largest
            _solve(R, m, step)
            for a in range(m):
                u[a] += largest * step[a]
        for c in range(d):
            direction[i, c] /= total
        least = _least_of(P, m, direction[i], residual)
        for a in range(m):
            weight[i, place[a]] = u[a]
            member[candidates[i, place[a]]] = True
        lower[i] = _least_of_others(W, k[i], direction[i], rough[i], separation[i], member, least, behind[i])
        for a in range(m):
            member[candidates[i, place[a]]] = False


@inner
@no_type_check
def _compress(gram, begin, near, own, place, m, R):
    # The upper triangle of H on the support
    for a in range(m):
        source, out, base = gram[begin[place[a]] :], R[a], own - near[a] + _ONE
        for b in range(a, m):
            out[b] = source[place[b]] - near[b] + base
        out[a] += source[place[a]]  # half the diagonal is there


@inner
@no_type_check
def _factor(A, m):
    # The upper triangle of A becomes R with R^T R = A, four rows at a time; False where it is singular to this precision.
    for k in range(0, m, 4):
        end = min(k + 4, m)
        for i in range(k, end):
            r = A[i, i:m]
            if not r[0] > _PIVOT:
                return False
            inverse = _ONE / np.sqrt(r[0])
            for j in range(len(r)):
                r[j] *= inverse
            for h in range(i + 1, end):
                v, out = A[i, h:m], A[h, h:m]
                factor = v[0]
                for j in range(len(out)):
                    out[j] -= factor * v[j]
        for i in range(end, m - 1, 2):
            _subtract_two(A, k, i, m)
        if end < m and (m - end) % 2:
            corner = A[m - 1]
            for h in range(k, end):
                corner[m - 1] -= A[h, m - 1] * A[h, m - 1]
    return True


@inner
@no_type_check
def _subtract_two(A, k, i, m):
    # Subtract the products of rows k to k + 3 from rows i and i + 1.
    v0, v1, v2, v3 = A[k, i:m], A[k + 1, i:m], A[k + 2, i:m], A[k + 3, i:m]
    x, y = A[i, i:m], A[i + 1, i:m]
    a0, a1, a2, a3 = v0[0], v1[0], v2[0], v3[0]
    b0, b1, b2, b3 = v0[1], v1[1], v2[1], v3[1]
    for j in range(len(x)):
        x[j] = x[j] - a0 * v0[j] - a1 * v1[j] - a2 * v2[j] - a3 * v3[j]
        y[j] = y[j] - b0 * v0[j] - b1 * v1[j] - b2 * v2[j] - b3 * v3[j]


@inner
@no_type_check
def _solve(R, m, b):
    # b becomes the solution x of R^T R x = b.
    for i in range(m):
        r, rest = R[i, i:m], b[i:m]
        rest[0] /= r[0]
        top = rest[0]
        for j in range(1, len(r)):
            rest[j] -= top * r[j]
    for i in range(m - 1, -1, -1):
        r, rest, s = R[i, i:m], b[i:m], _ZERO
        for j in range(1, len(r)):
            s += r[j] * rest[j]
        rest[0] = (rest[0] - s) / r[0]


@inner
@no_type_check
def _residual_in_full(P, total, m, y, out):
    # 1 - H u on the support, from y = P^T u and the sum of u; returns the largest
    largest = 0.0
    for a in range(m):
        p, level = P[a], 0.0
        for c in range(len(y)):
            level += p[c] * y[c]
        out[a] = 1.0 - total - level
        largest = max(largest, abs(out[a]))
    return largest


@inner
@no_type_check
def _sum(P, u, m, y):
    # y = P^T u; returns the sum of u
    total = 0.0
    y[:] = 0.0
    a = 0
    while a + 4 <= m:
        p0, p1, p2, p3 = P[a], P[a + 1], P[a + 2], P[a + 3]
        u0, u1, u2, u3 = u[a], u[a + 1], u[a + 2], u[a + 3]
        total += (u0 + u1) + (u2 + u3)
        for c in range(len(y)):
            y[c] += (u0 * p0[c] + u1 * p1[c]) + (u2 * p2[c] + u3 * p3[c])
        a += 4
    while a < m:
        p, v = P[a], u[a]
        total += v
        for c in range(len(y)):
            y[c] += v * p[c]
        a += 1
    return total


@inner
@no_type_check
def _least_of(P, m, y, levels):
    # min <p, y> / |y| over the support
    _residual_in_full(P, 0.0, m, y, levels)
    least = np.inf
    for a in range(m):
        least = min(least, 1.0 - levels[a])
    return least / np.sqrt(_dot(y, y))


@inner
@no_type_check
def _least_of_others(W, k, y, rough, separation, member, least, behind):
    # The same with all other classes. Only those are looked at that may come before the support: a class lies beyond by
    # what it did along the rough direction, give or take twice what the unit normal has moved, and rounding.
    length, rough_length = np.sqrt(_dot(y, y)), np.sqrt(_dot(rough, rough))
    moved = 0.0
    for c in range(len(y)):
        moved += (y[c] / length - rough[c] / rough_length) ** 2
    bar = length + 2 * np.sqrt(moved) + (len(y) + 8) * _EPSILON
    count, before = 0, least - _ROUNDING
    behind[:] = -1
    for j in range(len(W)):
        if not (separation[j] >= bar or member[j] or j == k):
            level = 0.0
            for c in range(len(y)):
                level += (W[j, c] - W[k, c]) * y[c]
            least = min(least, level / length)
            if level / length < before and count < len(behind):
                behind[count] = j
                count += 1
    return least


@inner
@no_type_check
def _dot(a, b):
    total = 0.0
    for c in range(len(a)):
        total += a[c] * b[c]
    return total
