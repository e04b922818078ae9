"""A permuted, turned, reflected, scaled code is brought back onto itself."""

import itertools
import math

import pytest
import torch

from neucollapse import InputError, NonFiniteError
from neucollapse.geometry import (
    SoftmaxCode,
    best_known,
    icosahedron,
    orthoplex,
    permutation_of,
    polygon,
    procrustes,
    random_rotation,
    simplex,
    solve,
    unit_rows,
)
from neucollapse.geometry.matching._match import align, match


def gaussian(K, d, seed=0):
    return torch.randn(K, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def turned(code, seed, reflect):
    Q = torch.linalg.qr(gaussian(code.shape[1], code.shape[1], seed=seed)).Q
    if (torch.linalg.det(Q) < 0) != reflect:
        Q[:, 0] *= -1
    return code[torch.randperm(len(code), generator=torch.Generator().manual_seed(seed))] @ Q


@pytest.mark.parametrize("reflect", [False, True])
@pytest.mark.parametrize(
    "code", [icosahedron(), simplex(10), simplex(5, 8), polygon(9), orthoplex(7, 4), unit_rows(gaussian(10, 3))],
    ids=["icosahedron", "simplex", "simplex in 8", "polygon", "orthoplex", "random"],
)  # fmt: skip
def test_recovers_a_moved_copy(code, reflect):
    reference = 3 * turned(code, seed=5, reflect=reflect)
    torch.testing.assert_close(align(code, reference), reference / 3, rtol=0, atol=1e-12)


def test_recovers_a_searched_code_under_noise():
    code = solve(SoftmaxCode(10, 3), starts=2, workers=1, progress=False).points
    reference = turned(code, seed=1, reflect=True)
    aligned = align(code, reference + 0.02 * gaussian(10, 3))
    assert float((aligned - reference).norm(dim=1).max()) < 0.05


def test_no_permutation_and_rotation_is_better():
    """Against every permutation of five points, each with its best rotation."""
    code, reference = unit_rows(gaussian(5, 2)), gaussian(5, 2, seed=1)
    fits = [
        float(torch.linalg.svdvals(code[list(order)].T @ reference).sum()) for order in itertools.permutations(range(5))
    ]
    assert float((align(code, reference) * reference).sum()) == pytest.approx(max(fits), abs=1e-12)


def test_the_result_is_the_code_moved():
    code, reference = icosahedron(), gaussian(12, 3)
    aligned = align(code, reference)
    assert torch.equal(aligned, align(code, reference))
    for rows in ((aligned @ aligned.T).sort().values, (code @ code.T).sort().values):
        torch.testing.assert_close(rows[0], (code @ code.T).sort().values[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("reflections", [True, False])
def test_match_says_how(reflections):
    code, reference = unit_rows(gaussian(9, 4)), gaussian(9, 4, seed=1)
    found = match(code, reference, reflections=reflections, starts=5)
    torch.testing.assert_close(code[found.permutation] @ found.rotation, found.points, rtol=0, atol=1e-12)
    assert sorted(found.permutation.tolist()) == list(range(9))
    torch.testing.assert_close(found.rotation @ found.rotation.T, torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-12)
    scales = torch.linspace(0, 3, 3001, dtype=torch.float64)[:, None, None]
    errors = (scales * found.points - reference).norm(dim=(1, 2)) / reference.norm()
    assert found.error == pytest.approx(float(errors.min()), abs=1e-6)
    assert torch.equal(found.points, align(code, reference, reflections=reflections, starts=5))


def chiral():
    """Five points in d = 3 that no rotation takes to their mirror image."""
    return unit_rows(torch.tensor([[1.0, 0, 0], [1, 1, 0], [1, 1, 1], [0, 1, 3], [-2, 1, 0]]))


def test_a_mirror_image_is_reached_by_reflections_alone():
    code = chiral()
    mirrored = turned(code, seed=3, reflect=True)
    assert match(code, mirrored).error < 1e-12
    plain = match(code, mirrored, reflections=False)
    assert plain.error > 0.05
    assert float(torch.linalg.det(plain.rotation)) == pytest.approx(1)
    assert match(code, turned(code, seed=3, reflect=False), reflections=False).error < 1e-12


def test_no_permutation_with_a_proper_rotation_is_better():
    """Against every permutation of five points, each turned by every small angle: rotations of the plane are one number."""
    code, reference = unit_rows(gaussian(5, 2)), gaussian(5, 2, seed=1)
    best = -math.inf
    for order in itertools.permutations(range(5)):
        (a, b), (c, d) = (code[list(order)].T @ reference).tolist()
        best = max(best, math.hypot(a + d, b - c))  # of cos t (a + d) + sin t (b - c)
    aligned = align(code, reference, reflections=False)
    assert float((aligned * reference).sum()) == pytest.approx(best, abs=1e-12)


def test_error_of_nothing():
    assert match(simplex(3), torch.zeros(3, 2)).error == 0
    assert match(torch.zeros(3, 2), simplex(3)).error == 1


def test_refuses():
    with pytest.raises(InputError, match="one shape"):
        align(simplex(4), simplex(5))
    with pytest.raises(NonFiniteError, match="reference"):
        align(simplex(3), torch.full((3, 2), torch.nan))
    with pytest.raises(InputError, match="start"):
        align(simplex(3), simplex(3), starts=0)


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
def test_no_scale_is_out_of_range(scale):
    code = best_known(9, 4).points
    reference = (code.flip(0) + 0.01 * torch.randn(9, 4, dtype=torch.float64)) @ random_rotation(4)
    expected, found = match(code, reference), match(code * scale, reference * scale)
    assert torch.equal(found.permutation, expected.permutation)
    torch.testing.assert_close(found.rotation, expected.rotation, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.points / scale, expected.points, rtol=0, atol=1e-12)
    assert found.error == pytest.approx(expected.error, rel=1e-9)
    assert torch.equal(permutation_of(code * scale, reference / scale), permutation_of(code, reference))
    torch.testing.assert_close(procrustes(code * scale, reference), procrustes(code, reference), rtol=0, atol=1e-12)
