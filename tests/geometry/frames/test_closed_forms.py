"""Closed-form codes are what their docstrings say, to rounding."""

import math

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import icosahedron, orthoplex, polygon, simplex
from neucollapse.geometry._rows import check_size

EXACT = {"rtol": 0, "atol": 2e-15}


@pytest.mark.parametrize(("K", "d"), [(2, None), (2, 1), (3, 2), (10, None), (10, 32), (257, 300)])
def test_simplex(K, d):
    W = simplex(K, d)
    assert W.shape == (K, d or K - 1)
    assert W.dtype == torch.float64
    eye = torch.eye(K, dtype=torch.float64)
    torch.testing.assert_close(W @ W.T, eye * K / (K - 1) - torch.full_like(eye, 1 / (K - 1)), **EXACT)
    torch.testing.assert_close(W.sum(dim=0), torch.zeros_like(W[0]), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("K", "d"), [(2, 1), (4, 2), (5, 3), (6, 3), (7, 5), (4, 5)])
def test_orthoplex(K, d):
    W = orthoplex(K, d)
    G = W @ W.T
    assert torch.equal(W.abs().sum(dim=1), torch.ones(K, dtype=torch.float64))
    assert torch.equal(G.diagonal(), torch.ones(K, dtype=torch.float64))
    off = G - torch.eye(K, dtype=torch.float64)
    assert set(off.flatten().tolist()) <= {0.0, -1.0}  # distinct points: orthogonal or opposite
    assert int((off == -1).sum()) == 2 * max(K - d, 0)


def test_polygon_and_icosahedron():
    G = polygon(7) @ polygon(7).T
    index = torch.arange(7)
    torch.testing.assert_close(G, (2 * math.pi * (index[:, None] - index) / 7).double().cos(), rtol=0, atol=1e-6)
    torch.testing.assert_close(G.diagonal(), torch.ones(7, dtype=torch.float64), **EXACT)
    values = (icosahedron() @ icosahedron().T).sort(dim=1).values
    expected = torch.tensor([-1.0] + 5 * [-(5**-0.5)] + 5 * [5**-0.5] + [1.0], dtype=torch.float64)
    torch.testing.assert_close(values, expected.expand(12, 12), **EXACT)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: simplex(5, 3), "d >= K-1 = 4"),
        (lambda: simplex(1), "K .* >= 2"),
        (lambda: orthoplex(7, 3), "K <= 2d = 6"),
        (lambda: orthoplex(2, 0), "d .* >= 1"),
        (lambda: check_size(2.5, 2), "K .* got 2.5"),
        (lambda: check_size(True, 2), "K .* got True"),
        (lambda: check_size(3, "2"), "d .* got '2'"),
    ],
)
def test_impossible_sizes(call, said):
    with pytest.raises(InputError, match=said):
        call()
