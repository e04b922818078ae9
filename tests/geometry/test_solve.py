"""The search reaches what is known, the same from the same seed, and leaves torch as it found it."""

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import best_known, max_cosine, one_vs_rest, solve


@pytest.mark.parametrize(("K", "d"), [(10, 3), (12, 3), (10, 4), (16, 5)])
def test_reaches_the_record(K, d):
    found, best = solve(K, d), best_known(K, d)
    assert found.status == "found"
    assert found.margin == pytest.approx(best.margin, abs=1e-10)
    assert found.max_cosine == pytest.approx(best.max_cosine, abs=1e-10)
    points = found.points
    torch.testing.assert_close(points.norm(dim=1), torch.ones(K, dtype=torch.float64), rtol=0, atol=1e-14)
    assert max_cosine(points) == pytest.approx(found.max_cosine, abs=1e-15)
    assert one_vs_rest(points).margin == pytest.approx(found.margin, abs=1e-15)


def test_same_seed_same_code_and_more_starts_no_worse():
    first, again, other = solve(9, 4, starts=2), solve(9, 4, starts=2), solve(9, 4, starts=2, seed=1)
    assert torch.equal(first.points, again.points)
    assert not torch.equal(first.points, other.points)
    assert solve(9, 4, starts=4).max_cosine <= first.max_cosine + 1e-12


def test_points_are_the_callers_own():
    found = solve(7, 3, starts=1)
    found.points.zero_()
    assert float(found.points.norm()) == pytest.approx(7**0.5)


def test_proved_sizes_are_not_searched():
    assert solve(10, 9) == best_known(10, 9)
    assert solve(9, 5).family


def test_leaves_torch_as_it_was():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    solve(7, 3, starts=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("arguments", [{"starts": 0}, {"starts": -1}, {"d": 0}, {"K": 1}])
def test_refuses(arguments):
    with pytest.raises(InputError):
        solve(**({"K": 7, "d": 3} | arguments))
