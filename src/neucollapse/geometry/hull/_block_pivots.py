"""Nearest points of convex hulls from single precision, compiled by numba (extra ``fast``): many members change at once.

The problem and the optimality conditions are described in ``_active_set``: ``H_T u = 1`` on a support T, with
``H = P P^T + 1 1^T`` and ``p_j = w_j - w_k``. Here a class's few hundred candidates and their inner products in single
precision fit the processor's cache, and no factor is kept up to date:

* ``settle`` finds the support to single precision. A round solves on it by conjugate gradients, roughly at first, then
  lets all violators join and all negative weights leave (block principal pivoting: Judice and Pires, 1994);
* ``widen`` adds candidates that stand in the way of what was found;
* ``exchange`` makes the changes that only double precision shows, after ``_refinement``.

Nothing here promises to end at the solution. The caller holds every point against all K classes, and what single
precision could not resolve begins again in ``_pivots``.
"""

from typing import no_type_check  # annotations checked at run time would wrap what numba compiles

import numpy as np

from ._jit import entry, inner

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_JOIN = 3  # times the residual left on the support: by how much a candidate must violate optimality to join
LANES, RIGHT = 16, 64  # rows of inner products are read in multiples of the one; at least so many zeros follow each
_PATIENCE = 3  # rounds without fewer changes before they come one at a time, which cannot cycle


@entry
@no_type_check
def settle(table, W, k, which, old, size, candidates, begin, gram, active, weight, direction, accuracy, steps):
    """Supports and weights to single precision for the classes ``k[which]``, whose candidates from ``old`` (n,) on are new.

    ``table`` (K, K) holds inner products of W (K, d). Changed are, per class: ``gram`` (n, begin[cap]), the lower triangle
    of inner products of its ``size`` (n,) first ``candidates`` (n, cap), row a from ``begin[a]`` on, the diagonal halved and
    zeros after it; which of them are ``active`` (n, cap); their ``weight`` (n, cap); and the ``direction`` (n, d) of the
    nearest point from w_k. Round r solves to ``accuracy[r]`` in at most ``steps[r]`` steps.
    """
    cap = candidates.shape[1]
    rows = np.empty(cap, np.int64)
    _gather(table, which, old, size, candidates, begin, gram)
    for i in which:
        M = size[i]
        vectors = np.zeros((6, _padded(M)), np.float32)
        near = vectors[4]
        for j in range(M):
            near[j] = table[k[i], candidates[i, j]]
        problem = gram[i], begin, near, table[k[i], k[i]], M
        _pivot(problem, active[i], weight[i], accuracy, steps, vectors, rows)
        _combine(W, k[i], candidates[i], weight[i], M, direction[i])


@entry
@no_type_check
def widen(which, separation, direction, resolved, most, old, size, candidates, active, weight):
    """What lies behind the hyperplanes of the classes ``which`` joins their candidates, with what lies just before them.

    ``separation`` (n, K) says how far beyond w_k each class lies along ``direction`` (n, d), the nearest candidate by its
    length. By less than ``resolved`` nothing counts as behind; at most ``most`` join, the least beyond first. Candidates
    from ``old`` (n,) on are new: all of them where the idle ones had to make room.
    """
    K, cap = separation.shape[1], candidates.shape[1]
    known, found, beyond = np.zeros(K, np.bool_), np.empty(K, np.int64), np.empty(K, np.float32)
    for i in which:
        row, bar = separation[i], np.sqrt(_dot(direction[i], direction[i]))
        for j in range(size[i]):
            known[candidates[i, j]] = True
        behind, depth = 0, _ZERO
        for j in range(K):
            if row[j] < bar - resolved and not known[j]:
                behind += 1
                depth += bar - row[j]
        count, reach = 0, bar + depth / max(behind, 1)  # half as many again, about
        for j in range(K if behind > 0 else 0):
            if row[j] < reach and not known[j]:
                found[count], beyond[count] = j, row[j]
                count += 1
        for j in range(size[i]):
            known[candidates[i, j]] = False
        old[i] = size[i]
        if size[i] + min(count, most) > cap:
            old[i], size[i] = 0, _forget_idle(candidates[i], active[i], weight[i], size[i])
        room = min(most, cap - size[i])
        last = np.partition(beyond[:count], room - 1)[room - 1] if 0 < room < count else reach
        for f in range(count):
            if room > 0 and beyond[f] <= last:
                a = size[i]
                candidates[i, a], active[i, a] = found[f], beyond[f] < bar
                size[i] += 1
                room -= 1


@inner
@no_type_check
def _forget_idle(candidates, active, weight, size):
    # The active candidates alone, in order; returns their number.
    m = 0
    for j in range(size):
        if active[j]:
            candidates[m], weight[m], active[m] = candidates[j], weight[j], True
            m += 1
    active[m:size], weight[m:size] = False, 0.0
    return m


@inner
@no_type_check
def _dot(a, b):
    total = _ZERO
    for c in range(len(a)):
        total += a[c] * b[c]
    return total


@inner
@no_type_check
def _gather(table, which, old, size, candidates, begin, gram):
    # Rows ``old`` to ``size`` of the lower triangles of inner products, in the form that ``_multiply`` asks for. A row of the
    # table serves all classes at once: read here and there, it would come from memory nearly whole for each of them.
    cap = candidates.shape[1]
    end = np.zeros(len(table) + 1, np.int64)  # a counting sort: counts by row of the table, then begins, then ends
    for i in which:
        for a in range(old[i], size[i]):
            end[candidates[i, a] + 1] += 1
    for c in range(len(table)):
        end[c + 1] += end[c]
    place = np.empty(end[-1], np.int64)
    for i in which:
        for a in range(old[i], size[i]):
            c = candidates[i, a]
            place[end[c]] = i * cap + a
            end[c] += 1
    f = 0
    for c in range(len(table)):
        source = table[c]
        while f < end[c]:
            i, a = place[f] // cap, place[f] % cap
            chosen, out = candidates[i], gram[i, begin[a] : begin[a + 1]]
            for b in range(a + 1):
                out[b] = source[chosen[b]]
            out[a] *= _HALF
            out[a + 1 :] = _ZERO
            f += 1


@inner
@no_type_check
def _padded(M):
    return (M + LANES - 1) // LANES * LANES


@inner
@no_type_check
def _pivot(problem, active, weight, accuracy, steps, vectors, rows):
    M = problem[4]
    u, residual, support = vectors[0], vectors[1], vectors[5]
    for j in range(M):
        u[j] = weight[j]
    fewest, patience, tolerance = M + 1, _PATIENCE, accuracy[0]
    for turn in range(len(accuracy) + 1):
        for j in range(M):
            rows[j] = j
        _residual(problem, rows, M, u, residual)
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
                rows[m], support[j] = j, _ONE
                m += 1
            else:
                u[j] = support[j] = _ZERO
        tolerance = accuracy[turn]
        if changes > 0:
            _residual(problem, rows, m, u, residual)
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
def _residual(problem, rows, m, u, residual):
    _multiply(problem, rows, m, u, residual)
    for j in range(len(residual)):
        residual[j] = _ONE - residual[j]


@inner
@no_type_check
def _conjugate_gradients(problem, rows, m, vectors, tolerance, steps):
    # Adds to u what brings the root mean square of the residual on the support down to the tolerance.
    u, residual, p, product, support = vectors[0], vectors[1], vectors[2], vectors[3], vectors[5]
    square = _ZERO
    for j in range(len(p)):
        residual[j] *= support[j]
        p[j] = residual[j]
        square += residual[j] * residual[j]
    for _ in range(steps):
        if square <= tolerance * tolerance * m:
            break
        _multiply(problem, rows, m, p, product)
        curvature, new = _ZERO, _ZERO
        for j in range(len(p)):
            curvature += p[j] * product[j]
        step = square / curvature
        for j in range(len(p)):
            u[j] += step * p[j]
            residual[j] -= step * product[j] * support[j]
            new += residual[j] * residual[j]
        ratio, square = new / square, new
        for j in range(len(p)):
            p[j] = residual[j] + ratio * p[j]


@inner
@no_type_check
def _multiply(problem, rows, m, v, out):
    # out = H v, where v is 0 outside the given rows. H = P P^T + 1 1^T is formed from the inner products of W, of which the
    # lower triangle is kept, with half the diagonal and zeros right of it: one read serves the row and the column of an
    # entry. Rows are padded to full lanes, as a scalar loop at the end of every row would take as long as the rest.
    gram, begin, near, own, _ = problem
    total = shift = _ZERO
    for j in range(len(v)):
        total += v[j]
        shift += near[j] * v[j]
    base = own * total - shift + total
    for j in range(len(v)):
        out[j] = base - near[j] * total
    i = 0
    while i < m:
        r0 = rows[i]
        end = _padded(rows[i + 3] + 1) if i + 4 <= m else 0
        if 0 < end <= r0 + RIGHT:
            r1, r2, r3 = rows[i + 1], rows[i + 2], rows[i + 3]
            g0, g1 = gram[begin[r0] :][:end], gram[begin[r1] :][:end]
            g2, g3 = gram[begin[r2] :][:end], gram[begin[r3] :][:end]
            v0, v1, v2, v3 = v[r0], v[r1], v[r2], v[r3]
            s0 = s1 = s2 = s3 = _ZERO
            for j in range(end):
                s0 += g0[j] * v[j]
                s1 += g1[j] * v[j]
                s2 += g2[j] * v[j]
                s3 += g3[j] * v[j]
                out[j] += (v0 * g0[j] + v1 * g1[j]) + (v2 * g2[j] + v3 * g3[j])
            out[r0] += s0
            out[r1] += s1
            out[r2] += s2
            out[r3] += s3
            i += 4
        else:
            g, s = gram[begin[r0] :], _ZERO
            for j in range(r0 + 1):
                s += g[j] * v[j]
                out[j] += v[r0] * g[j]
            out[r0] += s
            i += 1


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
def exchange(table, which, behind, size, candidates, begin, gram, active, weight):
    """Supports of the classes ``which`` lose what has no positive weight and gain the classes that ``behind`` (n, few) names.

    Where there is no room for these, idle candidates make some.
    """
    old = size.copy()
    for i in which:
        for j in range(size[i]):
            active[i, j] = active[i, j] and weight[i, j] > 0
            weight[i, j] = max(weight[i, j], 0.0)
        if size[i] + behind.shape[1] > candidates.shape[1]:
            old[i], size[i] = 0, _forget_idle(candidates[i], active[i], weight[i], size[i])
        for c in behind[i]:
            if c >= 0:
                place = _place(candidates[i], size[i], c)
                if place < candidates.shape[1]:
                    candidates[i, place], active[i, place] = c, True
                    size[i] = max(size[i], place + 1)
    _gather(table, which, old, size, candidates, begin, gram)


@inner
@no_type_check
def _place(candidates, size, c):
    for j in range(size):
        if candidates[j] == c:
            return j
    return size
