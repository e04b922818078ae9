"""The family of d+2 <= K <= 2d, and unit-norm tight frames, from their definitions."""

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import (
    find_blocks,
    max_cosine,
    one_vs_rest,
    orthogonal_blocks,
    orthonormal,
    orthoplex,
    random_rotation,
    simplex,
    tight_frame,
)


@pytest.mark.parametrize(
    ("K", "d", "sizes"), [(5, 3, None), (5, 3, [3, 2]), (8, 5, [4, 2, 2]), (10, 5, None), (7, 5, [5, 2]), (9, 6, None)]
)
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_every_member_has_margin_one(K, d, sizes, seed):
    W = orthogonal_blocks(K, d, sizes=sizes, seed=seed)
    torch.testing.assert_close(W.norm(dim=1), torch.ones(K, dtype=torch.float64))
    torch.testing.assert_close(one_vs_rest(W).distance, torch.ones(K, dtype=torch.float64), rtol=0, atol=1e-12)
    assert abs(max_cosine(W)) <= 1e-14
    turned = (W @ random_rotation(d, seed=1))[torch.randperm(K, generator=torch.Generator().manual_seed(0))]
    found = find_blocks(turned)
    assert found.optimal
    expected = sizes or [K // (K - d) + (b < K % (K - d)) for b in range(K - d)]
    assert sorted(map(len, found.blocks)) == sorted(expected)
    assert int(torch.linalg.matrix_rank(W)) == d


def test_what_is_no_member():
    assert not find_blocks(simplex(5)).optimal
    assert find_blocks(orthoplex(7, 4)).optimal
    crowded = orthogonal_blocks(6, 4)
    crowded[0] = torch.nn.functional.normalize(crowded[0] + 0.1 * crowded[3], dim=0)
    assert not find_blocks(crowded).optimal
    assert one_vs_rest(crowded).margin < 1


@pytest.mark.parametrize(("K", "d", "sizes"), [(4, 3, None), (9, 4, None), (5, 3, [4, 1]), (5, 3, [5]), (5, 3, [3, 3])])
def test_refuses(K, d, sizes):
    with pytest.raises(InputError):
        orthogonal_blocks(K, d, sizes=sizes)


@pytest.mark.parametrize(("K", "d"), [(3, 2), (7, 4), (8, 3), (9, 3), (11, 5), (12, 1), (40, 17), (101, 7)])
def test_tight_frames_of_zero_sum(K, d):
    W = tight_frame(K, d)
    torch.testing.assert_close(W.norm(dim=1), torch.ones(K, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(W.T @ W, K / d * torch.eye(d, dtype=torch.float64), rtol=0, atol=1e-11)
    torch.testing.assert_close(W.sum(dim=0), torch.zeros(d, dtype=torch.float64), rtol=0, atol=1e-11)


def test_frames_that_do_not_exist():
    for make in (lambda: tight_frame(3, 3), lambda: tight_frame(5, 1), lambda: orthonormal(4, 3)):
        with pytest.raises(InputError):
            make()
