"""The logarithm of the loss: value and gradient where the loss itself is 1e-26, 1e-300 or nothing."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from neucollapse import InputError
from neucollapse.geometry import best_known, one_vs_rest
from neucollapse.heads import Linear
from neucollapse.losses import LogCrossEntropy, cross_entropy, log_cross_entropy, spherical_ce
from neucollapse.losses._log_odds import log_softplus


def exact(m):
    """log log(1 + e^m) and its derivative, in Python floats."""
    if m < -30:
        return m - math.exp(m) / 2, 1 - math.exp(m) / 2
    small = math.exp(-abs(m))
    softplus, sigmoid = max(m, 0.0) + math.log1p(small), (small if m < 0 else 1.0) / (1 + small)
    return math.log(softplus), sigmoid / softplus


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize(
    "m", [-1e4, -700.0, -100.0, -60.0, -30.0, -12.0, -11.0, -6.0, -5.0, -4.5, -1.0, 0.0, 0.54, 1.0, 30.0, 1e4]
)
def test_log_softplus(m, dtype, tolerance):
    point = torch.tensor([m], dtype=dtype, requires_grad=True)
    value = log_softplus(point)
    (slope,) = torch.autograd.grad(value, point)
    expected_value, expected_slope = exact(m)
    assert value.item() == pytest.approx(expected_value, rel=tolerance, abs=tolerance)
    assert slope.item() == pytest.approx(expected_slope, rel=tolerance, abs=0)


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0, 200.0])
def test_value_is_the_logarithm_of_the_mean(spread):
    logits = spread * torch.randn(20, 5, dtype=torch.float64)
    labels = torch.randint(5, (20,))
    labels[3] = -100
    found = log_cross_entropy(logits, labels)
    assert found.item() == pytest.approx(cross_entropy(logits, labels).log().item(), rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 10.0, 60.0, 1e4])
def test_gradcheck(shift):
    logits = torch.randn(4, 3, dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, -100])
    logits[torch.arange(3), labels[:3]] += shift
    logits.requires_grad_()
    step = 1e-6 if shift < 1e3 else 1e-4  # differences of values of 1e4
    assert gradcheck(lambda z: log_cross_entropy(z, labels), logits, eps=step, atol=1e-6)
    if shift < 1e3:
        assert gradgradcheck(lambda z: log_cross_entropy(z, labels), logits)


def test_float32_gradient_where_the_loss_has_none():
    logits = torch.randn(20, 10)
    labels = torch.randint(10, (20,))
    logits[torch.arange(20), labels] += 1e4
    z32, z64 = logits.clone().requires_grad_(), logits.double().requires_grad_()
    for z in (z32, z64):
        log_cross_entropy(z, labels).backward()
    torch.testing.assert_close(z32.grad.double(), z64.grad, rtol=2e-3, atol=1e-6)  # logits of 1e4 are rounded to 1e-3
    assert z32.grad[torch.arange(20), labels].sum().item() == pytest.approx(-1, rel=1e-5)
    assert cross_entropy(logits, labels) == 0


def test_ignored_samples_and_none():
    logits = torch.randn(3, 4)
    logits[1] = torch.nan
    logits.requires_grad_()
    log_cross_entropy(logits, torch.tensor([0, -100, 3])).backward()
    assert torch.equal(logits.grad[1], torch.zeros(4))
    assert logits.grad.isfinite().all()
    assert log_cross_entropy(torch.randn(2, 3), torch.full((2,), -100)).isnan()


def test_module():
    x, y, head = torch.randn(4, 5), torch.tensor([0, 1, 2, -100]), Linear(5, 3)
    assert torch.equal(LogCrossEntropy()(x, y, head), log_cross_entropy(head(x), y))
    with pytest.raises(InputError, match="expected a head"):
        LogCrossEntropy()(x, y)


def margin_of_free_features(reduction):
    """Margin of 8 free directions in 3 dimensions at a temperature of 1/100, where L-BFGS in float32 ends."""
    generator = torch.Generator().manual_seed(0)
    x, W = (torch.randn(8, 3, generator=generator).requires_grad_() for _ in range(2))
    optimizer = torch.optim.LBFGS([x, W], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = spherical_ce(x, torch.arange(8), W, scale=100.0, reduction=reduction)
        value.backward()
        return value

    optimizer.step(closure)
    return one_vs_rest(torch.nn.functional.normalize(W.detach())).margin


def test_reaches_the_best_margin_where_the_loss_stalls_far_from_it():
    best = best_known(8, 3).margin
    assert margin_of_free_features("log_mean") == pytest.approx(best, rel=1e-3)
    assert margin_of_free_features("mean") < 0.5 * best
