"""The work of `_row_work` compiled by numba (extra `fast`): one pass over a row where torch makes three or four.

`limits` are the shortest length whose square is in range, and 1, both of the weight's own type: with a whole number numba
would compute in float64.
"""

from typing import Any, no_type_check  # annotations checked at run time would wrap what numba compiles

import numba
import numpy as np

# Sums may be reordered into vector lanes; NaN and infinity keep their meaning. No reciprocals ("arcp") of subnormal numbers.
_PLAIN: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
_compiled = numba.njit(**_PLAIN, fastmath={"reassoc", "contract", "nsz"})
_in_order = numba.njit(**_PLAIN, fastmath={"contract"})

_ZERO = np.float32(0)
_LOWEST = np.float32(-87.3)  # below, exponentials are subnormal
_LOG2_E, _LOG_2_HIGH, _LOG_2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUND = np.float32(1.5 * 2**23 + 127)  # a number to which this is added ends in the bits of 127 and its whole part
# (e^r - 1 - r) / r^2 on |r| <= log(2) / 2: fitted, e^r to 5e-9 of itself
_C2, _C3, _C4 = np.float32(0.49999993), np.float32(0.1666652), np.float32(0.04166839)
_C5, _C6 = np.float32(0.00836876), np.float32(0.00138145)


@_compiled
@no_type_check
def begin(weight, limits, lengths, out, total):
    """Lengths of rows, their directions, and the sum of these added to `total`."""
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
def exclude(buffer, places, low, high):
    """-inf at `places[low:high]`."""
    for i in range(low, high):
        buffer[places[i]] = -np.inf


@_in_order
@no_type_check
def exponentials(z, total):
    """Of float32 up to 88, in place, to two units in the last place; 0 where they would be subnormal.

    `total` gains the sums of rows, unless it is empty.
    """
    for i in range(len(z)):
        row = z[i]
        for j in range(len(row)):
            # e^x = 2^n e^r; what does not wait for each other is kept apart, as the processor waits longer than it works.
            x = max(row[j], _LOWEST)
            shifted = np.float32(x * _LOG2_E + _ROUND)
            n = shifted - _ROUND
            r = (x - n * _LOG_2_HIGH) - n * _LOG_2_LOW
            square = r * r
            p = (_C6 * square + (_C5 * r + _C4)) * square + (_C3 * r + _C2)
            power = np.int32(shifted.view(np.int32) << np.int32(23)).view(np.float32)
            power = _ZERO if row[j] < _LOWEST else power
            row[j] = (p * square + r) * power + power
        if len(total) > 0:
            total[i] += _sum(row)


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
