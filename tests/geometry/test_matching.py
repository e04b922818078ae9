"""A permuted, turned, reflected, scaled code is brought back onto itself."""

import itertools

import pytest
import torch

from neucollapse import InputError, NonFiniteError
from neucollapse.geometry import align, icosahedron, orthoplex, polygon, simplex, solve, unit_rows


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
    code = solve(10, 3, starts=2).points
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


def test_refuses():
    with pytest.raises(InputError, match="one shape"):
        align(simplex(4), simplex(5))
    with pytest.raises(NonFiniteError, match="reference"):
        align(simplex(3), torch.full((3, 2), torch.nan))
    with pytest.raises(InputError, match="start"):
        align(simplex(3), simplex(3), starts=0)
