"""The work of ``_row_work`` compiled by numba (extra ``fast``): one pass over a row where torch makes three or four.

``limits`` are the shortest length whose square is in range, and 1, both of the weight's own type: with a whole number numba
would compute in float64.
"""

from typing import no_type_check  # annotations checked at run time would wrap what numba compiles

import numba
import numpy as np

# Sums may be reordered into vector lanes; NaN and infinity keep their meaning. No reciprocals ("arcp") of subnormal numbers.
_PLAIN = {"cache": True, "nogil": True, "error_model": "numpy"}
_compiled = numba.njit(**_PLAIN, fastmath={"reassoc", "contract", "nsz"})  # pyright: ignore[reportCallIssue]
_in_order = numba.njit(**_PLAIN, fastmath={"contract"})  # pyright: ignore[reportCallIssue]

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_LOWEST = np.float32(-87.3)  # below, exponentials are subnormal
_LOG2_E, _LOG_2_HIGH, _LOG_2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_C2, _C3, _C4 = np.float32(5.0000001201e-1), np.float32(1.6666665459e-1), np.float32(4.1665795894e-2)
_C5, _C6, _C7 = np.float32(8.3334519073e-3), np.float32(1.3981999507e-3), np.float32(1.9875691500e-4)


@_compiled
@no_type_check
def begin(weight, limits, lengths, out, total):
    """Lengths of rows, their directions, and the sum of these added to ``total``."""
    least, one = limits[0], limits[1]
    zero = one - one
    for k in range(len(weight)):
        w, u = weight[k], out[k]
        length = np.sqrt(_dot(w, w, zero))
        if not least < length < one / least:
            largest = _largest(w, zero)
            length = largest * _length_over(w, largest, zero)
        lengths[k, 0] = length
        _direction(w, least, one, length, u)
        for j in range(len(total)):
            total[j] += u[j]


@_compiled
@no_type_check
def directions(weight, limits, lengths, out):
    """Directions of rows of known lengths."""
    least, one = limits[0], limits[1]
    for k in range(len(weight)):
        _direction(weight[k], least, one, lengths[k, 0], out[k])


@_compiled
@no_type_check
def to_tangent(gradient, limits, units, lengths):
    """The gradient by rows, in place, from that by their directions; 0 where a row is 0."""
    one = limits[1]
    zero = one - one
    for k in range(len(gradient)):
        g, u, length = gradient[k], units[k], lengths[k, 0]
        along = _dot(g, u, zero)
        factor = one / length if length > zero else zero
        for j in range(len(g)):
            g[j] = (g[j] - along * u[j]) * factor


@_in_order
@no_type_check
def exponentials(z, sums):
    """Of float32 up to 88, in place, to two units in the last place, and the sums of rows; 0 where they would be subnormal."""
    for i in range(len(z)):
        row = z[i]
        for j in range(len(row)):
            x = row[j]
            # e^x = 2^n e^r with |r| <= log(2) / 2, where e^r is a polynomial (Cephes' expf)
            n = np.floor(max(x, _LOWEST) * _LOG2_E + _HALF)
            r = (x - n * _LOG_2_HIGH) - n * _LOG_2_LOW
            p = ((((_C7 * r + _C6) * r + _C5) * r + _C4) * r + _C3) * r + _C2
            power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
            row[j] = _ZERO if x < _LOWEST else (p * (r * r) + r + _ONE) * power
        sums[i] = _sum(row)


@_compiled
@no_type_check
def _sum(a):
    total = _ZERO
    for j in range(len(a)):
        total += a[j]
    return total


@_compiled
@no_type_check
def _direction(w, least, one, length, out):
    if least < length < one / least:
        factor = one / length
        for j in range(len(w)):
            out[j] = w[j] * factor
        return
    zero = one - one
    largest = _largest(w, zero)
    inner = _length_over(w, largest, zero)
    for j in range(len(w)):
        out[j] = w[j] / largest / inner if largest > zero else w[j]


@_compiled
@no_type_check
def _dot(a, b, zero):
    total = zero
    for j in range(len(a)):
        total += a[j] * b[j]
    return total


@_compiled
@no_type_check
def _largest(w, zero):
    largest = zero
    for j in range(len(w)):
        largest = max(largest, abs(w[j]))
    return largest


@_compiled
@no_type_check
def _length_over(w, largest, zero):
    total = zero
    if largest > zero:
        for j in range(len(w)):
            total += (w[j] / largest) * (w[j] / largest)
    return np.sqrt(total)
