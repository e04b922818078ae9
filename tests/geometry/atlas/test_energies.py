"""Energies against a loop, and the least energies against coordinates, designs and a descent."""

import itertools
import math

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import best_known_energy, icosahedron, mean_energy, orthoplex, polygon, simplex, unit_rows
from neucollapse.geometry.atlas._energies import _SHARP


def slow_energy(W, s):
    U = [row / row.norm() for row in W.double()]
    terms = [float((u - v).norm()) for u, v in itertools.combinations(U, 2)]
    return sum(math.log(1 / r) if s == 0 else r**-s for r in terms) / len(terms)


@pytest.mark.parametrize("s", [0, 1, 2, 3.5])
def test_mean_energy_against_a_loop(s):
    W = torch.randn(40, 4)
    assert mean_energy(W, s) == pytest.approx(slow_energy(W, s), rel=1e-12)
    W[1] = W[0] + 1e-6
    assert mean_energy(W, s) == pytest.approx(slow_energy(W, s), rel=1e-8)
    W[1] = W[0]
    assert mean_energy(W, s) == math.inf


@pytest.mark.parametrize("s", [0, 1, 2, 10])
@pytest.mark.parametrize("code", [simplex(5), simplex(4, 7), polygon(9), orthoplex(12, 6), icosahedron()], ids=len)
def test_proved_energies_are_those_of_their_codes(code, s):
    best = best_known_energy(*code.shape, s)
    assert best.status == "proved"
    assert best.value == pytest.approx(slow_energy(code, s), rel=1e-13)


def test_known_values():
    assert best_known_energy(100, 512, 2).value == pytest.approx(0.495, abs=1e-15)
    assert best_known_energy(10, 5, 2).value == pytest.approx(17 / 36, abs=1e-15)
    thomson = best_known_energy(24, 3, 1)
    assert thomson.status == "record"
    assert thomson.value * 24 * 23 / 2 == pytest.approx(223.347074052)
    assert best_known_energy(12, 3, 1).value * 66 == pytest.approx(
        49.165253058, abs=1e-9
    )  # the table and the closed form


@pytest.mark.parametrize("size", _SHARP, ids=str)
def test_sharp_codes_are_designs(size):
    """Counts add up, and the first three moments of the cosines are those of the sphere: spherical 3-designs."""
    (K, d), (_, cosines) = size, _SHARP[size]
    assert sum(count for _, count in cosines) == K - 1
    for power, moment in ((1, 0), (2, 1 / d), (3, 0)):
        assert (1 + sum(count * c**power for c, count in cosines)) / K == pytest.approx(moment, abs=1e-12)


@pytest.mark.parametrize(("K", "d", "s"), [(9, 5, 2), (13, 4, 1), (24, 3, 2)])
def test_unknown_says_why(K, d, s):
    best = best_known_energy(K, d, s)
    assert best.value is None
    assert best.status == "unknown"
    assert str(K) in best.source


@pytest.mark.parametrize(("K", "d", "s"), [(4, 3, 1), (12, 3, 0), (16, 5, 2), (6, 3, 3), (20, 3, 1)])
def test_nothing_random_does_better(K, d, s):
    best = best_known_energy(K, d, s).value
    W = torch.randn(20, K, d, dtype=torch.float64)
    assert min(mean_energy(unit_rows(w), s) for w in W) > best


@pytest.mark.parametrize("s", [-1, math.inf, math.nan])
def test_refuses_exponents(s):
    with pytest.raises(InputError, match="exponent"):
        mean_energy(simplex(3), s)
    with pytest.raises(InputError, match="exponent"):
        best_known_energy(3, 2, s)
