"""Codes and lines from strongly regular graphs: their two cosines, and the families' formulas."""

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import coherence
from neucollapse.geometry.constructions import isotropic, latin_square_lines, paley_lines


@pytest.mark.parametrize("q", [2, 3, 4, 5])
def test_isotropic_has_two_cosines(q):
    points = isotropic(q)
    K, d = (q + 1) * (q**3 + 1), q * (q * q - q + 1)
    assert points.shape == (K, d)
    gram = points @ points.T
    collinear = (gram + 1 / q).abs() < 1e-13
    others = (gram - 1 / q**2).abs() < 1e-13
    assert bool((collinear.sum(dim=1) == q * (q * q + 1)).all())
    assert bool((others.sum(dim=1) == q**4).all())
    torch.testing.assert_close(points.T @ points, torch.eye(d, dtype=torch.float64) * K / d, rtol=0, atol=1e-11)


@pytest.mark.parametrize("q", [5, 9, 13, 49, 81])
def test_paley_lines_meet_welch(q):
    lines = paley_lines(q)
    K, d = q + 1, (q + 1) // 2
    assert lines.shape == (K, d)
    assert abs(coherence(lines) - ((K - d) / (d * (K - 1))) ** 0.5) < 1e-14
    gram = (lines @ lines.T).abs().fill_diagonal_(q**-0.5)
    torch.testing.assert_close(gram, torch.full_like(gram, q**-0.5), rtol=0, atol=1e-14)


def test_latin_square_lines_are_equiangular():
    gram = (latin_square_lines() @ latin_square_lines().T).abs().fill_diagonal_(0.2)
    torch.testing.assert_close(gram, torch.full_like(gram, 0.2), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: isotropic(6), "prime power, got 6"),
        (lambda: isotropic(1), "q .* >= 2"),
        (lambda: paley_lines(7), "q = 1 mod 4"),
        (lambda: paley_lines(21), "prime power, got 21"),
    ],
)
def test_impossible_sizes(call, said):
    with pytest.raises(InputError, match=said):
        call()
