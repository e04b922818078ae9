"""Cosines and their extremes against all pairs in a loop; exact where directions nearly coincide; tiled."""

import itertools
import resource

import numpy as np
import pytest
import torch

from neucollapse import InputError, NonFiniteError
from neucollapse.geometry import closest_pair, coherence, cosines, max_cosine, simplex, unit_rows


def gaussian(K, d, seed=0):
    return torch.randn(K, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_cosines(W):
    W = np.asarray(W, dtype=np.float64)
    return {
        (i, j): W[i] @ W[j] / (np.linalg.norm(W[i]) * np.linalg.norm(W[j]))
        for i, j in itertools.combinations(range(len(W)), 2)
    }


@pytest.mark.parametrize(("K", "d"), [(2, 1), (5, 3), (60, 4), (1100, 3)])
def test_against_a_loop(K, d):
    W = gaussian(K, d)
    slow = slow_cosines(W)
    pair = closest_pair(W)
    assert slow[pair.first, pair.second] == pytest.approx(max(slow.values()), abs=1e-14)
    assert max_cosine(W) == pair.cosine == pytest.approx(max(slow.values()), abs=1e-14)
    assert coherence(W) == pytest.approx(max(map(abs, slow.values())), abs=1e-14)
    C = cosines(W)
    assert all(float(C[i, j]) == pytest.approx(value, abs=1e-14) for (i, j), value in list(slow.items())[:2000])
    assert torch.equal(C.diagonal(), torch.ones(K, dtype=torch.float64))


@pytest.mark.parametrize("chord", [1e-3, 1e-8, 1e-12])
@pytest.mark.parametrize("sign", [1, -1])
def test_near_coincident_pair_is_found_exactly(chord, sign):
    """Two pairs whose cosines both round to 1: the nearer one, and its chord to all digits."""
    W = unit_rows(gaussian(700, 5))
    W[650] = W[3] + 3 * chord * torch.tensor([0.0, 0, 0, 0, 1])
    other = W[7] + chord * torch.tensor([1.0, 0, 0, 0, 0])
    W[600] = sign * other
    expected = float((other / other.norm() - W[7]).norm())
    if sign > 0:
        pair = closest_pair(W)
        assert (pair.first, pair.second) == (7, 600)
        assert pair.chord == pytest.approx(expected, rel=1e-3)
        assert pair.cosine == pytest.approx(1 - expected**2 / 2, abs=1e-16)
    assert coherence(W) == pytest.approx(1 - expected**2 / 2, abs=1e-16)


def test_signed_and_absolute_differ():
    assert max_cosine(simplex(5)) == pytest.approx(-1 / 4, abs=1e-15)
    assert coherence(simplex(5)) == pytest.approx(1 / 4, abs=1e-15)
    assert max_cosine(-3 * simplex(5).float()) == pytest.approx(-1 / 4, abs=1e-7)


def test_extreme_scales():
    W = gaussian(20, 3) * torch.logspace(-300, 300, 20, dtype=torch.float64)[:, None]
    assert max_cosine(W) == pytest.approx(max_cosine(gaussian(20, 3)), abs=1e-14)


def test_never_stores_all_pairs():
    W = gaussian(20_000, 8)  # K x K would be 3.2 GB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert 0 < max_cosine(W) <= 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # in kB
    identical = torch.ones(3000, 4)
    assert max_cosine(identical) == 1


def test_refuses_rows_without_direction():
    with pytest.raises(InputError, match=r"zero rows in W at \[1\]"):
        max_cosine(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(NonFiniteError):
        cosines(torch.tensor([[float("inf")]]))
    with pytest.raises(InputError, match="K >= 2"):
        coherence(torch.ones(1, 3))
