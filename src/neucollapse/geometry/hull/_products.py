"""Products of small matrices for ``_pivots``, compiled into it by numba (extra ``fast``).

Products of NumPy inside numba copy arrays that are not contiguous and start threads inside each thread: with them the
active set took 1.6 times as long.
"""

from typing import no_type_check  # annotations checked at run time would wrap what numba compiles

from ._jit import inner


@inner
@no_type_check
def dot(a, b, n):
    total = 0.0
    for i in range(n):
        total += a[i] * b[i]
    return total


@inner
@no_type_check
def multiply(B, G, m, q, out):
    # out[e] = B G[e] for q vectors of m, in tiles of 2 x 4, so that one read serves several products.
    e = 0
    while e + 4 <= q:
        g0, g1, g2, g3 = G[e, :m], G[e + 1, :m], G[e + 2, :m], G[e + 3, :m]
        for i in range(0, m - 1, 2):
            a, b = B[i, :m], B[i + 1, :m]
            s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = 0.0
            for j in range(m):
                s0 += a[j] * g0[j]
                s1 += a[j] * g1[j]
                s2 += a[j] * g2[j]
                s3 += a[j] * g3[j]
                t0 += b[j] * g0[j]
                t1 += b[j] * g1[j]
                t2 += b[j] * g2[j]
                t3 += b[j] * g3[j]
            out[e, i], out[e + 1, i], out[e + 2, i], out[e + 3, i] = s0, s1, s2, s3
            out[e, i + 1], out[e + 1, i + 1], out[e + 2, i + 1], out[e + 3, i + 1] = t0, t1, t2, t3
        if m % 2:
            for f in range(e, e + 4):
                out[f, m - 1] = dot(B[m - 1], G[f], m)
        e += 4
    while e < q:
        for i in range(m):
            out[e, i] = dot(B[i], G[e], m)
        e += 1


@inner
@no_type_check
def add_outer(B, U, factor, m, q):
    # B += sum_e factor[e] U[e] U[e]^T, tiled alike
    e = 0
    while e + 4 <= q:
        u0, u1, u2, u3 = U[e, :m], U[e + 1, :m], U[e + 2, :m], U[e + 3, :m]
        f0, f1, f2, f3 = factor[e], factor[e + 1], factor[e + 2], factor[e + 3]
        for i in range(0, m - 1, 2):
            a, b = B[i, :m], B[i + 1, :m]
            x0, x1, x2, x3 = f0 * u0[i], f1 * u1[i], f2 * u2[i], f3 * u3[i]
            y0, y1, y2, y3 = f0 * u0[i + 1], f1 * u1[i + 1], f2 * u2[i + 1], f3 * u3[i + 1]
            for j in range(m):
                v0, v1, v2, v3 = u0[j], u1[j], u2[j], u3[j]
                a[j] += (x0 * v0 + x1 * v1) + (x2 * v2 + x3 * v3)
                b[j] += (y0 * v0 + y1 * v1) + (y2 * v2 + y3 * v3)
        if m % 2:
            for f in range(e, e + 4):
                _add_row(B[m - 1], U[f], factor[f] * U[f, m - 1], m)
        e += 4
    while e < q:
        for i in range(m):
            _add_row(B[i], U[e], factor[e] * U[e, i], m)
        e += 1


@inner
@no_type_check
def _add_row(row, u, factor, m):
    for j in range(m):
        row[j] += factor * u[j]
