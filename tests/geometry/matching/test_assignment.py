"""Classes on vertices: against a loop over all permutations, planted optima, and bounds that are never crossed."""

import itertools
import math

import pytest
import torch

from neucollapse import InputError, NonFiniteError
from neucollapse.geometry import orthoplex, polygon, simplex, unit_rows
from neucollapse.geometry.matching._assignment import _swapped, assign_by_similarity
from neucollapse.geometry.matching._assignment_bounds import _eigenvalues, _projected, _row_by_row


def gaussian(K, d, seed=0):
    return torch.randn(K, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_value(code, S, order):
    rows = [code[v].tolist() for v in order]
    return sum(
        float(S[i][j]) * sum(a * b for a, b in zip(rows[i], rows[j], strict=True))
        for i, j in itertools.permutations(range(len(rows)), 2)
    )


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize(("K", "d"), [(2, 2), (4, 2), (5, 3), (6, 3)])
def test_exact_against_a_loop(K, d, far):
    code, S = unit_rows(gaussian(K, d)), gaussian(K, K, seed=1)  # neither symmetric nor of zero diagonal
    values = [slow_value(code, S, order) for order in itertools.permutations(range(K))]
    found = assign_by_similarity(5 * code, S, far=far)
    assert found.exact
    assert found.value == pytest.approx(min(values) if far else max(values), abs=1e-10)
    assert found.value == pytest.approx(slow_value(code, S, found.permutation.tolist()), abs=1e-10)
    assert found.bound <= found.value if far else found.bound >= found.value


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_heuristic_finds_the_best_of_seven(seed, far):
    code, S = unit_rows(gaussian(7, 3, seed)), gaussian(7, 7, seed + 5)
    exact = assign_by_similarity(code, S, far=far)
    searched = assign_by_similarity(code, S, far=far, enumerate_all=False)
    assert searched.value == pytest.approx(exact.value, abs=1e-10)
    assert torch.equal(searched.permutation, exact.permutation)


@pytest.mark.parametrize(("K", "d"), [(10, 3), (24, 4), (40, 6)])
def test_recovers_a_planted_assignment(K, d):
    """Similarities that are the cosines themselves: by Cauchy and Schwarz nothing beats the sum of their squares."""
    code = unit_rows(gaussian(K, d))
    planted = torch.randperm(K, generator=torch.Generator().manual_seed(1))
    found = assign_by_similarity(code, (code @ code.T)[planted][:, planted])
    assert torch.equal(found.permutation, planted)
    assert found.exact  # the bound by eigenvalues is met
    assert found.value == pytest.approx(float((code @ code.T).square().sum()) - K, rel=1e-12)


def test_neighbours_on_a_ring():
    """Classes in a cycle belong around the polygon: each neighbour at the smallest angle, and no better way."""
    K = 20
    shuffled = torch.randperm(K, generator=torch.Generator().manual_seed(0))
    S = torch.zeros(K, K)
    for a, b in zip(shuffled.tolist(), shuffled.roll(1).tolist(), strict=True):
        S[a, b] = S[b, a] = 1
    found = assign_by_similarity(polygon(K), S)
    assert found.value == pytest.approx(2 * K * math.cos(2 * math.pi / K), rel=1e-12)
    assert found.exact


def test_distances_are_similarities_turned_round():
    code, S = unit_rows(gaussian(9, 3)), gaussian(9, 9, seed=2)
    near, far = assign_by_similarity(code, S), assign_by_similarity(code, 3 - S, far=True)
    assert torch.equal(near.permutation, far.permutation)
    total = float((code @ code.T).sum()) - 9
    assert far.value == pytest.approx(3 * total - near.value, abs=1e-9)


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize(("K", "d"), [(5, 2), (12, 3), (30, 8)])
def test_no_assignment_crosses_any_bound(K, d, far):
    code, S = unit_rows(gaussian(K, d)), gaussian(K, K, seed=3)
    S = (S + S.T).fill_diagonal_(0) * (-1 if far else 1)
    gram = (code @ code.T).fill_diagonal_(0)
    best = assign_by_similarity(code, S)
    for bound in (_eigenvalues(S, gram), _projected(S, gram), _row_by_row(S, gram)):
        assert bound >= best.value - 1e-9
        assert best.bound <= bound + 1e-9
    for seed in range(50):
        order = torch.randperm(K, generator=torch.Generator().manual_seed(seed))
        assert float((S * gram[order][:, order]).sum()) <= best.value + 1e-9


def test_on_a_simplex_all_assignments_are_equally_good():
    S = gaussian(12, 12)
    found = assign_by_similarity(simplex(12), S)
    assert found.exact
    assert found.value == pytest.approx(-float(S.sum() - S.trace()) / 11, rel=1e-10)
    assert assign_by_similarity(simplex(5), S[:5, :5]).permutation.tolist() == [0, 1, 2, 3, 4]  # ties keep the order


def test_opposite_vertices_for_confused_pairs():
    S = torch.zeros(12, 12)
    for k in range(6):
        S[k, k + 6] = 1
    found = assign_by_similarity(orthoplex(12, 6), S, far=True)
    assert found.value == pytest.approx(-6)
    assert found.exact
    assert all(abs(int(found.permutation[k]) - int(found.permutation[k + 6])) == 1 for k in range(6))


def test_no_swap_helps_where_swapping_ends():
    A, B = gaussian(15, 15), gaussian(15, 15, seed=1)
    A, B = (A + A.T).fill_diagonal_(0), (B + B.T).fill_diagonal_(0)
    start = torch.randperm(15, generator=torch.Generator().manual_seed(2))
    end = _swapped(A, B, start)

    def value(p):
        return float((A * B[p][:, p]).sum())

    assert value(end) > value(start)
    for i, j in itertools.combinations(range(15), 2):
        other = end.clone()
        other[[i, j]] = other[[j, i]]
        assert value(other) <= value(end) + 1e-9


def test_seeds_and_starts():
    code, S = unit_rows(gaussian(25, 4)), gaussian(25, 25, seed=4)
    one, two = (assign_by_similarity(code, S, starts=4, seed=1) for _ in range(2))
    assert torch.equal(one.permutation, two.permutation)
    assert assign_by_similarity(code, S, starts=12, seed=1).value >= one.value


def test_refuses():
    code = polygon(9)
    with pytest.raises(InputError, match="9 x 9"):
        assign_by_similarity(code, torch.zeros(9, 8))
    with pytest.raises(InputError, match="at most 8"):
        assign_by_similarity(code, torch.zeros(9, 9), enumerate_all=True)
    with pytest.raises(InputError, match="start"):
        assign_by_similarity(code, torch.zeros(9, 9), starts=0)
    with pytest.raises(NonFiniteError, match="similarity"):
        assign_by_similarity(code, torch.full((9, 9), torch.nan))
