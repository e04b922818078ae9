"""Objectives and their slopes against slow definitions, descent with and without numba, and the polish."""

import numpy as np
import pytest

from neucollapse.geometry.codes import _descent
from neucollapse.geometry.codes._descent import ABSOLUTE, LOGARITHMIC, RIESZ, SIGNED, anneal, descend, evaluate
from neucollapse.geometry.codes._interior import approach
from neucollapse.geometry.codes._polish import polish


def random_code(K, d, seed=0):
    U = np.random.default_rng(seed).standard_normal((K, d))
    return U / np.linalg.norm(U, axis=1)[:, None]


def slow(U, kind, p):
    """Pair by pair, from the definitions."""
    pairs = [(i, j) for i in range(len(U)) for j in range(len(U)) if i != j]
    if kind == SIGNED:
        return np.log(sum(np.exp(p * (U[i] @ U[j])) for i, j in pairs)) / p
    if kind == ABSOLUTE:
        return np.log(sum(np.exp(p * abs(U[i] @ U[j])) for i, j in pairs)) / p
    distances = [np.linalg.norm(U[i] - U[j]) for i, j in pairs]
    return np.mean([1 / r**p for r in distances]) if kind == RIESZ else -np.mean(np.log(distances))


CASES = [(SIGNED, 3.0), (SIGNED, 40.0), (ABSOLUTE, 7.0), (RIESZ, 1.0), (RIESZ, 2.5), (LOGARITHMIC, 0.0)]


@pytest.mark.parametrize(("kind", "p"), CASES)
def test_values_and_slopes(kind, p):
    U = random_code(7, 4)
    value, slope = evaluate(U, kind, p)
    assert value == pytest.approx(slow(U, kind, p), rel=1e-13)
    assert np.abs((slope * U).sum(axis=1)).max() < 1e-14
    step = np.random.default_rng(1).standard_normal(U.shape)
    step -= (step * U).sum(axis=1)[:, None] * U

    def at(h):
        V = U + h * step
        return slow(V / np.linalg.norm(V, axis=1)[:, None], kind, p)

    h = 1e-5
    assert (slope * step).sum() == pytest.approx((at(h) - at(-h)) / (2 * h), rel=1e-6)


@pytest.mark.parametrize(("kind", "p"), CASES)
def test_compiled_and_plain_agree(kind, p):
    if not hasattr(evaluate, "py_func"):
        pytest.skip("numba is not installed: there is one kind only")
    U = random_code(9, 3)
    value, slope = evaluate.py_func(U, kind, p)
    assert value == pytest.approx(evaluate(U, kind, p)[0], rel=1e-14)
    np.testing.assert_allclose(slope, evaluate(U, kind, p)[1], rtol=0, atol=1e-13)


def test_descent_ends_where_the_slope_vanishes():
    U, value = descend(random_code(12, 3, 3), RIESZ, 1.0, 1000, 1e-10)
    again, slope = evaluate(U, RIESZ, 1.0)
    assert value == pytest.approx(again, rel=1e-15)
    assert np.linalg.norm(slope, axis=1).max() <= 1e-9
    assert value * 66 == pytest.approx(49.165253058, abs=1e-8)  # the icosahedron, Thomson's problem


def forces(U, pairs, multipliers, kind):
    """The stress equations, point by point."""
    total = np.zeros_like(U)
    for (i, j), weight in zip(pairs, multipliers, strict=True):
        cosine = U[i] @ U[j]
        sign = np.sign(cosine) if kind == ABSOLUTE else 1.0
        total[i] += weight * sign * (U[j] - cosine * U[i])
        total[j] += weight * sign * (U[i] - cosine * U[j])
    return np.linalg.norm(total, axis=1).max()


@pytest.mark.parametrize(
    ("K", "d", "kind", "seed"),
    [
        (24, 3, SIGNED, 0),
        (12, 4, SIGNED, 1),
        (40, 3, SIGNED, 1),
        (60, 6, SIGNED, 0),
        (56, 7, SIGNED, 0),
        (6, 3, ABSOLUTE, 0),
        (28, 7, ABSOLUTE, 0),
    ],
)
def test_the_polish_reaches_the_last_digit(K, d, kind, seed):
    U = anneal(random_code(K, d, seed), kind, 32.0, 1e4, factor=3.0, iterations=300, tolerance=1e-12)
    end = polish(U, kind)
    cosines = end.points @ end.points.T
    cosines = np.abs(cosines) if kind == ABSOLUTE else cosines
    np.fill_diagonal(cosines, -1)
    before = U @ U.T
    before = np.abs(before) if kind == ABSOLUTE else before
    np.fill_diagonal(before, -1)
    assert cosines.max() < before.max()
    contact = cosines[end.i, end.j]
    assert np.ptp(contact) <= 1e-14
    assert contact.max() >= cosines.max() - 1e-14
    assert end.multipliers.min() >= -1e-12
    assert end.multipliers.sum() == pytest.approx(1, abs=1e-12)
    assert forces(end.points, list(zip(end.i, end.j, strict=True)), end.multipliers, kind) <= 1e-13


def test_the_interior_point_tells_what_touches():
    # The best 7 points of Schuette and van der Waerden have 12 contacts; from a blunt start all are found.
    U = anneal(random_code(7, 3), SIGNED, 8.0, 300.0, factor=3.0, iterations=200, tolerance=1e-10)
    V, i, j, multipliers = approach(U, SIGNED, 300.0)
    assert len(i) == 12
    assert multipliers.sum() == pytest.approx(1, abs=1e-9)
    assert forces(V, list(zip(i, j, strict=True)), multipliers, SIGNED) <= 1e-9
    assert (V[i] * V[j]).sum(axis=1) == pytest.approx(0.21013831273060305, abs=1e-10)


def test_without_numba_the_same_code(monkeypatch):
    if not hasattr(evaluate, "py_func"):
        pytest.skip("numba is not installed: there is one kind only")
    compiled = anneal(random_code(8, 3), SIGNED, 8.0, 1e4, factor=3.0, iterations=200, tolerance=1e-10)
    monkeypatch.setattr(_descent, "evaluate", evaluate.py_func)
    monkeypatch.setattr(_descent, "descend", descend.py_func)
    plain = anneal(random_code(8, 3), SIGNED, 8.0, 1e4, factor=3.0, iterations=200, tolerance=1e-10)

    def top(U):
        C = U @ U.T
        np.fill_diagonal(C, -1)
        return C.max()

    assert top(plain) == pytest.approx(top(compiled), abs=1e-6)
