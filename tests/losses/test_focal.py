"""The focal loss against its definition, and its digits where p_y is 1."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from neucollapse import InputError
from neucollapse.heads import Linear
from neucollapse.losses import Focal, cross_entropy, focal_loss


def naive(logits, labels, gamma):
    losses = []
    for z, y in zip(logits.double().tolist(), labels.tolist(), strict=True):
        odds = math.fsum(math.exp(z_j - z[y]) for j, z_j in enumerate(z) if j != y)
        losses.append((odds / (1 + odds)) ** gamma * math.log1p(odds))
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
def test_value_is_the_definition(gamma, spread):
    logits, labels = spread * torch.randn(50, 7, dtype=torch.float64), torch.randint(7, (50,))
    found = focal_loss(logits, labels, gamma=gamma, reduction="none")
    torch.testing.assert_close(found, naive(logits, labels, gamma), rtol=1e-11, atol=0)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("shift", [0.0, 40.0])
def test_gradcheck(gamma, shift):
    logits, labels = torch.randn(3, 5, dtype=torch.float64), torch.tensor([0, 2, 4])
    logits[torch.arange(3), labels] += shift
    size = focal_loss(logits, labels, gamma=gamma).item()

    def relative(z):
        return focal_loss(z, labels, gamma=gamma) / size

    assert gradcheck(relative, logits.requires_grad_(), rtol=1e-5, atol=1e-7)
    assert gradgradcheck(relative, logits, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("gap", [5.0, 10.0, 20.0])
def test_float32_gradient_in_the_terminal_phase(gap):
    logits, labels = torch.randn(20, 10), torch.randint(10, (20,))
    logits[torch.arange(20), labels] += gap
    z32, z64 = logits.clone().requires_grad_(), logits.double().requires_grad_()
    for z in (z32, z64):
        focal_loss(z, labels, gamma=2.0, reduction="sum").backward()
    torch.testing.assert_close(z32.grad.double(), z64.grad, rtol=1e-4, atol=0)


def test_options():
    logits, labels = torch.randn(2, 3, 4), torch.tensor([[0, 1, -100], [2, 3, 0]])
    torch.testing.assert_close(focal_loss(logits, labels, gamma=0.0), cross_entropy(logits, labels))
    losses = focal_loss(logits.bfloat16(), labels, reduction="none")
    assert losses.shape == (2, 3)
    assert losses.dtype == torch.float32
    assert losses[0, 2] == 0
    for gamma in (-1.0, math.inf, math.nan):
        with pytest.raises(InputError, match="gamma"):
            focal_loss(logits, labels, gamma=gamma)


def test_module():
    x, y, head = torch.randn(4, 5), torch.tensor([0, 1, 2, -100]), Linear(5, 3)
    assert torch.equal(Focal(gamma=1.5)(x, y, head), focal_loss(head(x), y, gamma=1.5))
    with pytest.raises(InputError, match="expected a head"):
        Focal()(x, y)
    with pytest.raises(InputError, match="gamma"):
        Focal(gamma=-1.0)
