"""Degrees to the best code: known turns are found, and another arrangement is told from an unfinished one."""

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import (
    angle_to_code,
    best_known,
    orthogonal_blocks,
    random_permutation,
    random_rotation,
    simplex,
    unit_rows,
)


def moved(code, degrees, seed=0):
    """The rows turned by that many degrees, each its own way, then all of them turned, permuted and scaled."""
    generator = torch.Generator().manual_seed(seed)
    tangent = torch.randn(code.shape, generator=generator, dtype=torch.float64)
    tangent -= (tangent * code).sum(dim=1, keepdim=True) * code
    angle = torch.deg2rad(torch.tensor(float(degrees), dtype=torch.float64))
    rows = angle.cos() * code + angle.sin() * torch.nn.functional.normalize(tangent, dim=1)
    lengths = 0.5 + torch.rand(len(code), 1, generator=generator, dtype=torch.float64)
    return (lengths * rows @ random_rotation(code.shape[1], seed=seed))[random_permutation(len(code), seed=seed)]


@pytest.mark.parametrize(("K", "d"), [(4, 3), (7, 2), (10, 3), (12, 3), (20, 8), (24, 4)])
@pytest.mark.parametrize("degrees", [0, 0.01, 4])
def test_points_moved_by_some_degrees_are_that_far(K, d, degrees):
    found = angle_to_code(moved(best_known(K, d).points, degrees))
    # Part of the moves of few points is a rotation of them all, which is taken out.
    assert degrees / 5 <= found.mean <= degrees + 1e-6
    assert found.largest <= 2.5 * degrees + 1e-6
    assert found.arrangement == "same"
    assert found.closest <= found.code_closest + 1e-9


@pytest.mark.parametrize("scale", [2.0**-500, 2.0**500])  # exact, so that nothing may change
def test_lengths_do_not_count(scale):
    rows = moved(best_known(10, 3).points, 3)
    assert angle_to_code(rows * scale) == angle_to_code(rows)


def test_another_arrangement_is_told_from_an_unfinished_one():
    # A pentagonal antiprism with both poles is the icosahedron; a hexagonal prism of 12 rests elsewhere.
    turn = torch.arange(6, dtype=torch.float64) * torch.pi / 3
    ring = torch.stack([turn.cos(), turn.sin(), 0.6 * torch.ones(6, dtype=torch.float64)], dim=1)
    prism = unit_rows(torch.cat([ring, ring * torch.tensor([1, 1, -1.0])]))
    assert angle_to_code(prism).arrangement == "another"
    assert angle_to_code(moved(best_known(12, 3).points, 8)).arrangement == "same"


def test_a_family_is_scored_by_value():
    member = orthogonal_blocks(8, 5, sizes=[3, 3, 2], seed=1)
    found = angle_to_code(member)
    assert (found.mean, found.largest, found.family, found.arrangement) == (None, None, True, "same")
    assert found.closest == pytest.approx(found.code_closest, abs=1e-5) == 90
    off = angle_to_code(moved(member, 3))
    assert 80 < off.closest < 90
    assert off.arrangement == "same"


def test_refuses():
    with pytest.raises(InputError, match="no coordinates"):
        angle_to_code(torch.randn(5000, 7))
    with pytest.raises(InputError):
        angle_to_code(torch.zeros(4, 3))
    with pytest.raises(InputError):
        angle_to_code(simplex(4), simplex(5))
