"""The tiles cover every pair once, in bounded memory, and their distances keep their digits."""

import itertools

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import pair_tiles


def gaussian(K, d, seed=0):
    return torch.randn(K, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("K", [1, 2, 7, 8, 9, 23])
def test_each_pair_once(K):
    points = gaussian(K, 3)
    seen = {}
    for tile in pair_tiles(points, tile=8):
        assert tile.gram.numel() <= 64
        rows, columns = range(*tile.rows.indices(K)), range(*tile.columns.indices(K))
        for (a, i), (b, j) in itertools.product(enumerate(rows), enumerate(columns)):
            if tile.pairs is None or tile.pairs[a, b]:
                assert (i, j) not in seen
                seen[i, j] = float(tile.gram[a, b])
    assert seen.keys() == set(itertools.combinations(range(K), 2))
    assert all(value == pytest.approx(float(points[i] @ points[j]), abs=1e-14) for (i, j), value in seen.items())


def test_select_and_fill_see_the_same_pairs():
    points = gaussian(20, 3)
    tiles = list(pair_tiles(points, tile=7))
    total = sum(float(tile.select(tile.gram).sum()) for tile in tiles)
    assert total == pytest.approx(sum(float(tile.fill(tile.gram, 0.0).sum()) for tile in tiles), abs=1e-13)
    assert sum(tile.select(tile.gram).numel() for tile in tiles) == 190
    assert max(float(tile.fill(tile.gram, -torch.inf).max()) for tile in tiles) == float(
        (points @ points.T).triu(1).max()
    )


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-9, 0.0])
def test_distances_of_near_coincident_points(size):
    points = gaussian(30, 6)
    points[20:] = points[:10] + size * gaussian(10, 6, seed=1)
    slow = (points[:, None] - points[None]).square().sum(dim=2)
    for tile in pair_tiles(points, tile=12):
        expected = slow[tile.rows, tile.columns]
        torch.testing.assert_close(tile.select(tile.squared_distances()), tile.select(expected), rtol=1e-9, atol=0)


def test_keeps_type():
    (tile,) = pair_tiles(torch.eye(3))
    assert tile.gram.dtype == tile.squared_distances().dtype == torch.float32
    assert tile.select(tile.squared_distances()).tolist() == [2, 2, 2]


def test_refuses_an_empty_tile():
    with pytest.raises(InputError, match="tile"):
        next(pair_tiles(torch.eye(3), tile=0))
