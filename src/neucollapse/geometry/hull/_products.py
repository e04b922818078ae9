"""Steps of a triangular factor for `_pivots`, compiled into it by numba (extra `fast`). Row i of L is `L[row[i]]`.

Products of NumPy inside numba copy arrays that are not contiguous and start threads inside each thread: with them the
active set took 1.6 times as long.
"""

from typing import no_type_check  # annotations checked at run time would wrap what numba compiles

from ._jit import inner


@inner
@no_type_check
def forward(L, row, b, first, m):
    # b becomes L^-1 b, where it is that before place ``first``.
    for i in range(first, m):
        own = L[row[i]]
        b[i] = (b[i] - dot(own, b, i)) / own[i]


@inner
@no_type_check
def forward_four(L, row, b0, b1, b2, b3, m):
    # The same of four vectors: one read of the factor serves all.
    zero = b0.dtype.type(0)
    for i in range(m):
        own = L[row[i]]
        s0 = s1 = s2 = s3 = zero
        for j in range(i):
            s0 += own[j] * b0[j]
            s1 += own[j] * b1[j]
            s2 += own[j] * b2[j]
            s3 += own[j] * b3[j]
        b0[i], b1[i] = (b0[i] - s0) / own[i], (b1[i] - s1) / own[i]
        b2[i], b3[i] = (b2[i] - s2) / own[i], (b3[i] - s3) / own[i]


@inner
@no_type_check
def backward(L, row, b, m):
    # b becomes L^-T b.
    for i in range(m - 1, -1, -1):
        own = L[row[i]]
        b[i] /= own[i]
        value = b[i]
        for j in range(i):
            b[j] -= value * own[j]


@inner
@no_type_check
def rotate(turn, a, b, first, last):
    # Columns first and first + 1 of two rows, then the next two, up to last; returns what is left in column last.
    cosine, sine, left_a, left_b = turn[0], turn[1], a[first], b[first]
    for j in range(first, last):
        next_a, next_b = a[j + 1], b[j + 1]
        a[j], left_a = cosine[j] * left_a + sine[j] * next_a, cosine[j] * next_a - sine[j] * left_a
        b[j], left_b = cosine[j] * left_b + sine[j] * next_b, cosine[j] * next_b - sine[j] * left_b
    return left_a, left_b


@inner
@no_type_check
def combine(A, row, u, m, out):
    # out = sum_i u_i A[row[i]], four rows at a time
    out[:] = 0
    i = 0
    while i + 4 <= m:
        a0, a1, a2, a3 = A[row[i]], A[row[i + 1]], A[row[i + 2]], A[row[i + 3]]
        u0, u1, u2, u3 = u[i], u[i + 1], u[i + 2], u[i + 3]
        for j in range(len(out)):
            out[j] += (a0[j] * u0 + a1[j] * u1) + (a2[j] * u2 + a3[j] * u3)
        i += 4
    while i < m:
        a0, u0 = A[row[i]], u[i]
        for j in range(len(out)):
            out[j] += a0[j] * u0
        i += 1


@inner
@no_type_check
def dot(a, b, n):
    total = a.dtype.type(0)
    for i in range(n):
        total += a[i] * b[i]
    return total
