"""Nearest points of convex hulls from single precision, compiled by numba (extra ``fast``): many members change at once.

The problem and its optimality conditions are those of ``_active_set``: ``H_T u = 1`` on a support T, with
``H = P P^T + 1 1^T`` and ``p_j = w_j - w_k``. Here the inner products of a class's few hundred candidates lie in the
processor's cache in single precision, and no factor is kept up to date:

* ``settle`` finds the support to single precision. A round solves on it by conjugate gradients, roughly at first, then
  lets all violators join and all negative weights leave (block principal pivoting: Judice and Pires, 1994);
* ``exchange`` makes the changes that only double precision shows, after ``_refinement``.

Nothing here promises to end at the solution. The caller holds every point against all K classes, and what single
precision could not resolve begins again in ``_pivots``.
"""

from typing import no_type_check  # annotations checked at run time would wrap what numba compiles

import numpy as np

from ._jit import entry, inner

_ZERO, _ONE = np.float32(0), np.float32(1)
_JOIN = 3  # times the residual left on the support: by how much a candidate must violate optimality to join
_PATIENCE = 3  # rounds without fewer changes before they come one at a time, which cannot cycle
_TILE = 16


@entry
@no_type_check
def settle(table, W, k, which, old, M, candidates, gram, active, weight, direction, accuracy, steps):
    """Supports and weights to single precision for the classes ``k[which]``, of whose M candidates those from ``old`` on are new.

    ``table`` (K, K) holds inner products of W (K, d). Changed are, per class: ``gram`` (n, cap, cap), inner products of
    its ``candidates`` (n, cap); which of them are ``active`` (n, cap); their ``weight`` (n, cap); and the ``direction``
    (n, d) of the nearest point from w_k. Round r solves to ``accuracy[r]`` in at most ``steps[r]`` steps.
    """
    vectors = np.empty((5, M), np.float32)
    rows = np.empty(M, np.int64)
    for i in which:
        near = vectors[4]
        for j in range(M):
            near[j] = table[k[i], candidates[i, j]]
        _gather(table, candidates[i], old, M, gram[i])
        problem = gram[i], near, table[k[i], k[i]], M
        _pivot(problem, active[i], weight[i], accuracy, steps, vectors, rows)
        _combine(W, k[i], candidates[i], weight[i], M, direction[i])


@inner
@no_type_check
def _gather(table, candidates, old, new, gram):
    # Rows and columns ``old`` to ``new`` of the inner products: each is read once and mirrored tile by tile.
    for a in range(old, new):
        source, out = table[candidates[a]], gram[a]
        for b in range(a + 1):
            out[b] = source[candidates[b]]
    for i in range(old // _TILE * _TILE, new, _TILE):
        for j in range(0, i + 1, _TILE):
            for a in range(max(i, old), min(i + _TILE, new)):
                for b in range(j, min(j + _TILE, a)):
                    gram[b, a] = gram[a, b]


@inner
@no_type_check
def _pivot(problem, active, weight, accuracy, steps, vectors, rows):
    M = problem[3]
    u, residual = vectors[0], vectors[1]
    for j in range(M):
        u[j], rows[j] = weight[j], j
    fewest, patience, tolerance = M + 1, _PATIENCE, accuracy[0]
    for turn in range(len(accuracy) + 1):
        m = 0
        for j in range(M):
            if turn == 0 or not active[j]:  # what is active was solved for
                rows[m] = j
                m += 1
        _residual(problem, rows, m, u, vectors)
        bar = _JOIN * tolerance
        changes, last = 0, -1
        for j in range(M):
            if _misplaced(active[j], u[j], residual[j], bar):
                changes, last = changes + 1, j
        if turn > 0 and (turn == len(accuracy) or (changes == 0 and tolerance == accuracy[-1])):
            break
        if tolerance == accuracy[-1]:
            patience = _PATIENCE if changes < fewest else patience - 1
            fewest = min(fewest, changes)
        m = 0
        for j in range(M):
            if (patience > 0 or j == last) and _misplaced(active[j], u[j], residual[j], bar):
                active[j] = not active[j]
            if active[j]:
                rows[m] = j
                m += 1
            else:
                u[j] = _ZERO
        tolerance = accuracy[turn]
        if changes > 0:
            _residual(problem, rows, m, u, vectors)
        _conjugate_gradients(problem, rows, m, vectors, tolerance, steps[turn])
    for j in range(M):
        active[j] = active[j] and u[j] > _ZERO
        weight[j] = u[j] if active[j] else 0.0


@inner
@no_type_check
def _misplaced(active, u, residual, bar):
    return u < _ZERO if active else residual > bar


@inner
@no_type_check
def _residual(problem, rows, m, u, vectors):
    residual = vectors[1]
    _multiply(problem, rows, m, u, residual)
    for i in range(m):
        residual[rows[i]] = _ONE - residual[rows[i]]


@inner
@no_type_check
def _conjugate_gradients(problem, rows, m, vectors, tolerance, steps):
    # Adds to u what brings the root mean square of the residual on the support down to the tolerance.
    u, residual, p, product = vectors[0], vectors[1], vectors[2], vectors[3]
    square = _ZERO
    p[:] = _ZERO
    for i in range(m):
        j = rows[i]
        p[j] = residual[j]
        square += residual[j] * residual[j]
    for _ in range(steps):
        if square <= tolerance * tolerance * m:
            break
        _multiply(problem, rows, m, p, product)
        curvature, new = _ZERO, _ZERO
        for i in range(m):
            curvature += p[rows[i]] * product[rows[i]]
        step = square / curvature
        for i in range(m):
            j = rows[i]
            u[j] += step * p[j]
            residual[j] -= step * product[j]
            new += residual[j] * residual[j]
        ratio, square = new / square, new
        for i in range(m):
            p[rows[i]] = residual[rows[i]] + ratio * p[rows[i]]


@inner
@no_type_check
def _multiply(problem, rows, m, v, out):
    # out = H v on some rows, with H = P P^T + 1 1^T read off the inner products of W
    gram, near, own, M = problem
    total = shift = _ZERO
    for j in range(M):
        total += v[j]
        shift += near[j] * v[j]
    base = own * total - shift + total
    i = 0
    while i + 8 <= m:
        g0, g1, g2, g3 = gram[rows[i], :M], gram[rows[i + 1], :M], gram[rows[i + 2], :M], gram[rows[i + 3], :M]
        g4, g5, g6, g7 = gram[rows[i + 4], :M], gram[rows[i + 5], :M], gram[rows[i + 6], :M], gram[rows[i + 7], :M]
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = _ZERO
        for j in range(M):
            s0 += g0[j] * v[j]
            s1 += g1[j] * v[j]
            s2 += g2[j] * v[j]
            s3 += g3[j] * v[j]
            s4 += g4[j] * v[j]
            s5 += g5[j] * v[j]
            s6 += g6[j] * v[j]
            s7 += g7[j] * v[j]
        out[rows[i]], out[rows[i + 1]], out[rows[i + 2]], out[rows[i + 3]] = s0, s1, s2, s3
        out[rows[i + 4]], out[rows[i + 5]], out[rows[i + 6]], out[rows[i + 7]] = s4, s5, s6, s7
        i += 8
    while i < m:
        g, s = gram[rows[i], :M], _ZERO
        for j in range(M):
            s += g[j] * v[j]
        out[rows[i]] = s
        i += 1
    for i in range(m):
        out[rows[i]] += base - near[rows[i]] * total


@inner
@no_type_check
def _combine(W, k, candidates, weight, M, direction):
    # The nearest point seen from w_k: sum_j u_j w_j / sum_j u_j - w_k
    total = 0.0
    for j in range(M):
        total += weight[j]
    for c in range(len(direction)):
        direction[c] = -W[k, c]
    for j in range(M):
        if weight[j] > 0:
            w, share = W[candidates[j]], np.float32(weight[j] / total)
            for c in range(len(direction)):
                direction[c] += share * w[c]


@entry
@no_type_check
def exchange(table, which, separation, bar, size, candidates, gram, active, weight):
    """Supports lose what has no positive weight and gain the classes that ``separation`` (m, K) puts before ``bar`` (m,).

    Both belong to the m classes ``which``. Where there is no room for all that should join, what comes last is left out.
    """
    for p in range(len(which)):
        i, row = which[p], separation[p]
        old = new = size[i]
        for j in range(old):
            if active[i, j]:
                active[i, j] = weight[i, j] > 0
            else:
                active[i, j] = row[candidates[i, j]] < bar[p]
            weight[i, j] = max(weight[i, j], 0.0)
            row[candidates[i, j]] = np.inf
        for j in range(len(row)):
            if row[j] < bar[p] and new < candidates.shape[1]:
                candidates[i, new], active[i, new] = j, True
                new += 1
        _gather(table, candidates[i], old, new, gram[i])
        size[i] = new
