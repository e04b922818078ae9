"""Label smoothing against its definition and torch, and its optimum at finite logits."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F  # noqa: N812

from neucollapse import InputError
from neucollapse.heads import Linear
from neucollapse.losses import LabelSmoothing, cross_entropy, label_smoothing


def naive(logits, labels, smoothing):
    losses = []
    for z, y in zip(logits.tolist(), labels.tolist(), strict=True):
        top = max(z)
        lse = top + math.log(math.fsum(math.exp(v - top) for v in z))
        share = [smoothing / len(z) + (1 - smoothing) * (j == y) for j in range(len(z))]
        losses.append(math.fsum(q * (lse - v) for q, v in zip(share, z, strict=True)))
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("spread", [0.0, 1.0, 10.0])
def test_value_is_the_definition(smoothing, spread):
    logits, labels = spread * torch.randn(50, 7, dtype=torch.float64), torch.randint(7, (50,))
    found = label_smoothing(logits, labels, smoothing=smoothing, reduction="none")
    torch.testing.assert_close(found, naive(logits, labels, smoothing), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_agrees_with_torch(reduction):
    logits, labels = torch.randn(6, 4, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 2, 3, -100, 1])
    ours = label_smoothing(logits, labels, smoothing=0.1, reduction=reduction)
    theirs = F.cross_entropy(logits, labels, reduction=reduction, label_smoothing=0.1)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    gradients = [torch.autograd.grad(loss.sum(), logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-14)
    assert gradcheck(lambda z: label_smoothing(z, labels), logits)
    assert gradgradcheck(lambda z: label_smoothing(z, labels), logits)


def test_the_least_value_is_the_entropy_of_the_label():
    K, eps = 10, 0.1
    m = math.log(eps * (K - 1) / K) - math.log(1 - eps + eps / K)
    logits = torch.zeros(1, K, dtype=torch.float64)
    logits[0, 3] = math.log(K - 1) - m
    logits.requires_grad_()
    loss = label_smoothing(logits, torch.tensor([3]), smoothing=eps)
    q = [eps / K] * (K - 1) + [1 - eps + eps / K]
    assert loss.item() == pytest.approx(-sum(p * math.log(p) for p in q), rel=1e-13)
    assert torch.autograd.grad(loss, logits)[0].abs().max() < 1e-16


@pytest.mark.parametrize("smoothing", [1e-12, 1e-20])
def test_float32_gradient_in_the_terminal_phase(smoothing):
    logits, labels = torch.randn(20, 10), torch.randint(10, (20,))
    logits[torch.arange(20), labels] += 35.0
    z32, z64 = logits.clone().requires_grad_(), logits.double().requires_grad_()
    for z in (z32, z64):
        label_smoothing(z, labels, smoothing=smoothing, reduction="sum").backward()
    torch.testing.assert_close(z32.grad.double(), z64.grad, rtol=1e-4, atol=1e-6 * z64.grad.abs().max().item())


def test_options():
    logits, labels = torch.randn(2, 3, 4), torch.tensor([[0, 1, -100], [2, 3, 0]])
    torch.testing.assert_close(label_smoothing(logits, labels, smoothing=0.0), cross_entropy(logits, labels))
    masked = torch.tensor([[1.0, -torch.inf, 0.0]], requires_grad=True)
    label_smoothing(masked, torch.tensor([0]), smoothing=0.0).backward()
    assert masked.grad.isfinite().all()
    assert label_smoothing(logits.half(), labels).dtype == torch.float32
    for smoothing in (-0.1, 1.0, math.nan):
        with pytest.raises(InputError, match="smoothing"):
            label_smoothing(logits, labels, smoothing=smoothing)


def test_module():
    x, y, head = torch.randn(4, 5), torch.tensor([0, 1, 2, -100]), Linear(5, 3)
    assert torch.equal(LabelSmoothing(smoothing=0.2)(x, y, head), label_smoothing(head(x), y, smoothing=0.2))
    with pytest.raises(InputError, match="expected a head"):
        LabelSmoothing()(x, y)
    with pytest.raises(InputError, match="smoothing"):
        LabelSmoothing(smoothing=1.0)
