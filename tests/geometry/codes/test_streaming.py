"""Descent in tiles: its slope against autograd, and large codes that get better and never worse."""

import math

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import SoftmaxCode, SphericalCode, max_cosine, solve
from neucollapse.geometry.codes._streaming import _listed, _neighbours, _tiled, solve_in_tiles, spread


@pytest.mark.parametrize("tile", [7, 40, 10**6])
def test_the_slope_is_that_of_the_smooth_maximum(tile):
    W = torch.nn.functional.normalize(
        torch.randn(13, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=1
    )
    free = W.clone().requires_grad_()
    U = torch.nn.functional.normalize(free, dim=1)
    gram = (U @ U.T).fill_diagonal_(-torch.inf)
    smooth = torch.logsumexp(9.0 * gram.flatten(), 0) / 9.0
    smooth.backward()
    top, value, slope = _tiled(W, 9.0, tile)
    assert top == pytest.approx(float(gram.detach().max()), abs=1e-15)
    assert value == pytest.approx(float(smooth.detach()), abs=1e-14)
    torch.testing.assert_close(slope, free.grad, rtol=0, atol=1e-14)


def test_listed_pairs_give_the_same_pass():
    generator = torch.Generator().manual_seed(0)
    W = torch.nn.functional.normalize(torch.randn(600, 3, dtype=torch.float64, generator=generator), dim=1)
    p = 4e3
    neighbours = _neighbours(W, p)
    assert neighbours is not None
    assert 600 < len(neighbours.i) < 0.02 * 600**2
    cosines = (W @ W.T).tril(-1) - 2 * torch.ones(600, 600).triu().double()
    assert int((cosines > neighbours.others).sum()) == len(neighbours.i)
    listed, tiled = _listed(W, p, neighbours), _tiled(W, p)
    assert (listed.top, listed.value) == pytest.approx((tiled.top, tiled.value), abs=1e-15)
    torch.testing.assert_close(listed.slope, tiled.slope, rtol=0, atol=1e-12)
    assert _neighbours(W, 9.0) is None  # so many pairs matter that tiles are quicker


def test_lists_follow_moving_points():
    points = torch.nn.functional.normalize(torch.randn(2500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    *_, (s, W) = spread(points, steps=120)
    assert s == pytest.approx(max_cosine(W), abs=1e-15)  # over all pairs
    assert 1 - s > 0.5 * (8 * math.pi / 3**0.5 / 2500) / 2  # half the gap of a hexagonal packing


def test_random_points_spread_and_the_best_is_kept():
    points = torch.nn.functional.normalize(torch.randn(60, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    found = list(spread(points, steps=400))
    values = [value for value, _ in found]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(max_cosine(points), abs=1e-6)
    assert max_cosine(found[-1][1]) == pytest.approx(values[-1], abs=1e-6)
    searched = solve(SphericalCode(60, 5), starts=1, workers=1, progress=False)
    assert values[-1] < searched.value + 0.05


def test_searches_in_tiles_are_never_worse_than_where_they_begin():
    known = solve_in_tiles(SphericalCode(288, 16), seed=0, budget=0.1, progress=False)
    assert known.value <= 0.25 + 1e-12  # the construction: nothing better is near
    random = solve_in_tiles(SoftmaxCode(300, 5), seed=0, budget=0.1, progress=False)
    assert random.value == pytest.approx(1 - max_cosine(random.points), abs=1e-15)
    assert 1 - random.value <= random.stats["first"] + 1e-6


def test_solve_goes_in_tiles_from_many_points_on():
    assert "first" in solve(SoftmaxCode(4200, 8), budget=0.1, progress=False).stats
    for unused in ({"starts": 3}, {"target": 0.5}, {"checkpoint": "search.safetensors"}):
        with pytest.raises(InputError, match=f"uses no '{next(iter(unused))}' for 4,200 points"):
            solve(SoftmaxCode(4200, 8), budget=0.1, **unused)
