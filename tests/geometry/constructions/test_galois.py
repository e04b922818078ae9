"""The tables of a finite field obey the axioms, and the trace is the linear form it should be."""

import numpy as np
import pytest

from neucollapse import InputError
from neucollapse.geometry.constructions._galois import galois_field


@pytest.mark.parametrize("q", [2, 3, 4, 5, 7, 8, 9, 16, 25, 27])
def test_axioms(q):
    field = galois_field(q)
    assert field.q == q
    a, b, c = np.ogrid[:q, :q, :q]
    add, multiply = field.add, field.multiply
    assert np.array_equal(add(add(a, b), c), add(a, add(b, c)))
    assert np.array_equal(multiply(multiply(a, b), c), multiply(a, multiply(b, c)))
    assert np.array_equal(multiply(a, add(b, c)), add(multiply(a, b), multiply(a, c)))
    x = np.arange(q)
    assert np.array_equal(add(x, 0 * x), x)
    assert np.array_equal(multiply(1, x), x)
    table = multiply(x[1:, None], x)
    assert all(
        sorted(row) == list(range(q)) for row in table.tolist()
    )  # no zero divisors: every element has an inverse
    assert np.array_equal(field.add(field.subtract(a, b), b), np.broadcast_to(a, (q, q, 1)))
    cube = multiply(x, multiply(x, x))
    assert np.array_equal(field.power(x, 3), cube)


@pytest.mark.parametrize("q", [4, 8, 9, 27, 32])
def test_trace(q):
    field = galois_field(q)
    x, y = np.ogrid[:q, :q]
    trace = field.trace(np.arange(q))
    assert np.array_equal(trace[field.add(x, y)], (trace[x] + trace[y]) % field.p)
    assert np.array_equal(np.bincount(trace), np.full(field.p, q // field.p))
    assert np.array_equal(trace[field.power(np.arange(q), field.p)], trace)


def test_powers_of_a_primitive_element():
    field = galois_field(512)
    assert sorted(field.powers.tolist()) == list(range(1, 512))
    assert np.array_equal(field.multiply(field.powers[:-1], field.powers[1:2]), field.powers[1:])


@pytest.mark.parametrize("q", [1, 6, 12, 100])
def test_not_a_prime_power(q):
    with pytest.raises(InputError, match=f"prime power, got {q}"):
        galois_field(q)
