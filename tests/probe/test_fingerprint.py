"""Fingerprint: the same for the same samples in any order, another for any other samples."""

import pytest
import torch

from neucollapse.probe import Fingerprint

N, D, K = 4000, 16, 5


def taken(x, y, size=256):
    fingerprint = Fingerprint()
    for start in range(0, len(x), size):
        fingerprint.update(x[start : start + size], y[start : start + size])
    return fingerprint


@pytest.fixture
def data():
    return torch.randn(N, D) + 100, torch.randint(-1, K, (N,))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1000, 7])
def test_order_and_batch_size_do_not_matter(data, dtype, size):
    x, y = data[0].to(dtype), data[1]
    order = torch.randperm(N)
    assert taken(x, y).matches(taken(x[order], y[order], size))


def test_rounding_does_not_matter(data):
    x, y = data
    assert taken(x, y).matches(taken(x * (1 + 1e-7 * torch.randn_like(x)), y))


def test_every_change_is_seen(data):
    x, y = data
    first = taken(x, y)
    assert first.difference(taken(x[1:], y[1:])) == "it gave 3999 samples, not 4000"
    relabelled = y.clone()
    relabelled[0] = (y[0] + 1) % K
    assert "samples, not" in first.difference(taken(x, relabelled))
    exchanged = x.clone()
    exchanged[3] += 5 * torch.randn(D)
    assert "other features" in first.difference(taken(exchanged, y))
    noisy = x + 0.05 * torch.randn_like(x)
    assert "other features" in first.difference(taken(noisy, y))
    assert "other features" in first.difference(taken(x.flip(1), y))


def test_sums_that_agree_but_not_the_squares():
    x, y = torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0])
    assert not taken(x, y).matches(taken(torch.tensor([[0.0], [4.0]]), y))


def test_empty_and_zero():
    assert Fingerprint().matches(Fingerprint())
    zero = torch.zeros(3, 2), torch.zeros(3, dtype=torch.long)
    assert taken(*zero).matches(taken(*zero))
    assert not taken(*zero).matches(taken(torch.ones(3, 2), zero[1]))
