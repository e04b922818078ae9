"""The work of ``_row_work`` compiled by numba (extra ``fast``): one pass over a row where torch makes three or four.

``limits`` are the shortest length whose square is in range, and 1, both of the weight's own type: with a whole number numba
would compute in float64.
"""

from typing import no_type_check  # annotations checked at run time would wrap what numba compiles

import numba
import numpy as np

# Sums may be reordered into vector lanes; NaN and infinity keep their meaning. No reciprocals ("arcp") of subnormal numbers.
_FAST = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
_compiled = numba.njit(**_FAST)  # pyright: ignore[reportCallIssue]


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
