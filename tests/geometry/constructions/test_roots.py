"""Root systems are closed under their own reflections, and polytopes are what they are called."""

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import max_cosine
from neucollapse.geometry.constructions import (
    a_roots,
    d_roots,
    e6_roots,
    e7_roots,
    e8_roots,
    hexacosichoron,
    snub_cube,
)
from neucollapse.geometry.constructions._roots import TRIBONACCI


@pytest.mark.parametrize(
    ("roots", "K"),
    [
        (lambda: a_roots(2), 6),
        (lambda: a_roots(7), 56),
        (lambda: d_roots(3), 12),
        (lambda: d_roots(5), 40),
        (e6_roots, 72),
        (e7_roots, 126),
        (e8_roots, 240),
    ],
    ids=["A2", "A7", "D3", "D5", "E6", "E7", "E8"],
)
def test_reflections_permute_roots(roots, K):
    roots = roots()
    assert len(roots) == K
    gram = roots @ roots.T
    assert bool(((2 * gram - (2 * gram).round()).abs() < 1e-13).all())
    for i in (0, 1, K // 2, K - 1):
        mirrored = roots - 2 * gram[:, i : i + 1] * roots[i]
        nearest = (mirrored @ roots.T).max(dim=1)
        torch.testing.assert_close(nearest.values, torch.ones(K, dtype=torch.float64), rtol=0, atol=1e-13)
        assert len(nearest.indices.unique()) == K


def test_snub_cube_and_600_cell():
    assert abs(TRIBONACCI**3 - TRIBONACCI**2 - TRIBONACCI - 1) < 1e-14
    cube = snub_cube() @ snub_cube().T
    top = cube.fill_diagonal_(0).max()
    assert abs(float(top) - 0.723078468333509) < 1e-14  # as tabled
    assert bool((((cube - top).abs() < 1e-13).sum(dim=1) == 5).all())  # five edges at each vertex
    cell = hexacosichoron() @ hexacosichoron().T
    values, counts = torch.unique(cell[0].round(decimals=12), return_counts=True)
    assert counts.tolist() == [1, 12, 20, 12, 30, 12, 20, 12, 1]
    assert abs(max_cosine(hexacosichoron()) - float(values[-2])) < 1e-11


@pytest.mark.parametrize("call", [lambda: a_roots(1), lambda: d_roots(2)])
def test_impossible_sizes(call):
    with pytest.raises(InputError, match=r"n .dimension. as a whole number"):
        call()
