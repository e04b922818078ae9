"""Supervised contrastive loss: the definition from loops, tiles, anchors without positives, small temperatures."""

import math
import sys

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neucollapse import InputError
from neucollapse.geometry import simplex
from neucollapse.losses._sup_con import SupCon, sup_con

room = sys.modules[sup_con.__module__]


def naive(x, y, tau):
    """Equation 2 of arXiv 2004.11362, anchor by anchor; the losses of the anchors with positives, by their number."""
    z = [row / (row @ row).sqrt() for row in x]
    losses = {}
    for i in range(len(x)):
        positives = [p for p in range(len(x)) if p != i and y[p] == y[i]]
        below = torch.logsumexp(torch.stack([z[i] @ z[a] / tau for a in range(len(x)) if a != i]), dim=0)
        if positives:
            losses[i] = -sum(z[i] @ z[p] / tau - below for p in positives) / len(positives)
    return losses


@pytest.mark.parametrize("tau", [0.02, 0.1, 1.0, 10])
def test_is_the_definition(tau):
    x = torch.randn(12, 3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 1, 2, 0, 1, 9, 0, 5, 5, 5, 1, 7])  # 2, 9 and 7 are alone
    losses = naive(x, y.tolist(), tau)
    ours, theirs = sup_con(x, y, temperature=tau), sum(losses.values()) / len(losses)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)
    for a, b in zip(torch.autograd.grad(ours, x), torch.autograd.grad(theirs, x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    each = sup_con(x, y, temperature=tau, reduction="none")
    assert (each.nonzero().squeeze(1) == torch.tensor(list(losses))).all()
    torch.testing.assert_close(sup_con(x, y, temperature=tau, reduction="sum"), each.sum())


@pytest.mark.parametrize("tile", [1, 3, 5, 100])
def test_tiles_change_nothing(tile, monkeypatch):
    x = torch.randn(11, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randint(3, (11,))
    expected = sup_con(x, y)
    (gradient,) = torch.autograd.grad(expected, x)
    monkeypatch.setattr(room, "_ROWS", tile)
    monkeypatch.setattr(room, "_COLUMNS", 2)
    tiled = sup_con(x, y)
    torch.testing.assert_close(tiled, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(tiled, x)[0], gradient, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("tile", [2, 100])
def test_gradcheck(tile, monkeypatch):
    monkeypatch.setattr(room, "_ROWS", tile)
    monkeypatch.setattr(room, "_COLUMNS", 2)
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 0, 1, 1, 4])
    assert gradcheck(lambda x: sup_con(x, y, temperature=0.5), x)
    assert gradgradcheck(lambda x: sup_con(x, y, temperature=0.5), x)


@pytest.mark.parametrize("tau", [0.01, 0.03, 0.1])
def test_float32_matches_float64(tau):
    x, y = torch.randn(700, 32), torch.randint(40, (700,))  # two tiles
    x32, x64 = x.clone().requires_grad_(), x.double().requires_grad_()
    losses = [sup_con(leaf, y, temperature=tau) for leaf in (x32, x64)]
    assert losses[0].dtype == torch.float32
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
    for loss in losses:
        loss.backward()
    assert (x32.grad.double() - x64.grad).norm() / x64.grad.norm() < 1e-5


def test_nothing_of_the_size_of_all_pairs_is_kept():
    B, d = 1500, 8
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda x: x):
        sup_con(torch.randn(B, d, requires_grad=True), torch.randint(9, (B,)))
    assert sum(kept) < 20 * B * d
    assert sum(kept) < B * B / 5


class Largest(TorchDispatchMode):
    """Keeps the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("K", [1, 9, 150])
def test_nothing_of_the_size_of_all_pairs_is_made(K, monkeypatch):
    monkeypatch.setattr(room, "_ROWS", 16)
    monkeypatch.setattr(room, "_COLUMNS", 4)
    B, d = 300, 8
    x, y = torch.randn(B, d, requires_grad=True), torch.randint(K, (B,))
    with Largest() as largest:
        sup_con(x, y).backward()
    assert largest.elements == B * d
    with Largest() as largest:
        (x @ x.mT).sum().backward()
    assert largest.elements == B * B


def test_value_at_collapse():
    K, n, tau = 10, 4, 0.1
    x, y = simplex(K).repeat(n, 1).float().requires_grad_(), torch.arange(K).repeat(n)
    loss = sup_con(x, y, temperature=tau)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(n - 1 + (K - 1) * n * math.exp(-K / (K - 1) / tau)), rel=1e-5)
    assert x.grad.norm() < 1e-5


@pytest.mark.parametrize("tau", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("n", [2, 8])
@pytest.mark.parametrize("noise", [1e-1, 1e-2, 1e-3])
def test_float32_gradient_near_collapse(noise, n, tau):
    x = simplex(10).repeat(n, 1)
    x, y = (x + noise * torch.randn_like(x)).float(), torch.arange(10).repeat(n)
    x32, x64 = x.clone().requires_grad_(), x.double().requires_grad_()
    sup_con(x32, y, temperature=tau).backward()
    losses = naive(x64, y.tolist(), tau)
    (sum(losses.values()) / len(losses)).backward()
    error = (x32.grad.double() - x64.grad).norm() / x64.grad.norm()
    assert error < 1e-4


@pytest.mark.parametrize("tau", [1 / 600, 0.0034, 0.025])
@pytest.mark.parametrize("sign", [1, -1])
def test_nothing_overflows_at_the_smallest_temperatures(tau, sign):
    """Cosines of 1 and -1 in both roles, where no maximum is taken out of e^(300) in float64 and e^40 in float32."""
    x = torch.tensor([[1.0, 0.0], [sign, 0.0], [sign, 1e-3], [-1.0, 0.0], [-sign, 0.0], [-sign, 1e-3]])
    x, y = x.repeat(4, 1), torch.tensor([0, 0, 0, 1, 1, 1]).repeat(4)
    x32, x64 = x.clone().requires_grad_(), x.double().requires_grad_()
    losses = naive(x64, y.tolist(), tau)
    loss, expected = sup_con(x32, y, temperature=tau), sum(losses.values()) / len(losses)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for value in (loss, expected):
        value.backward()
    assert (x32.grad.double() - x64.grad).norm() < 1e-4 * x64.grad.norm()


@pytest.mark.parametrize("tau", [1 / 600, 0.0035, 0.0045, 0.01])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_derivatives_are_exact_at_small_temperatures(tau, dtype):
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.02], [0.6, 0.8], [1.0, 0.01]], dtype=dtype, requires_grad=True)
    y = torch.tensor([0, 0, 1, 1])
    wide = x.detach().double().requires_grad_()
    values = sup_con(x, y, temperature=tau), sum(naive(wide, y.tolist(), tau).values()) / 4
    firsts = [torch.autograd.grad(v, leaf, create_graph=True)[0] for v, leaf in zip(values, (x, wide), strict=True)]
    seconds = [torch.autograd.grad(g[:, 0].sum(), leaf)[0] for g, leaf in zip(firsts, (x, wide), strict=True)]
    for mine, exact in (values, firsts, seconds):
        torch.testing.assert_close(mine.double(), exact, rtol=1e-5, atol=1e-5 * exact.abs().max().item())


def test_the_temperature_may_be_trained():
    x = torch.randn(9, 3, dtype=torch.float64, requires_grad=True)
    tau, y = torch.tensor(0.3, dtype=torch.float64, requires_grad=True), torch.arange(9) % 4
    assert gradcheck(lambda x, tau: sup_con(x, y, temperature=tau), (x, tau))
    assert gradgradcheck(lambda x, tau: sup_con(x, y, temperature=tau), (x, tau))
    torch.testing.assert_close(sup_con(x, y, temperature=tau), sup_con(x, y, temperature=0.3))


@pytest.mark.parametrize("tau", [0.0, -0.1, 1 / 601, math.nan, math.inf, torch.tensor(-0.1), torch.tensor(1e-3)])
def test_temperatures_are_refused_where_they_cannot_be_computed(tau):
    with pytest.raises(InputError, match=r"at least 1/600 = 0.00167"):
        sup_con(torch.eye(2), torch.tensor([0, 0]), temperature=tau)


@pytest.mark.parametrize("tau", [0.025, 0.1])
def test_two_views_of_a_sample_are_exact_down_to_the_smallest_loss(tau):
    """With one positive there is nothing to spread: the loss is a cross-entropy, e^-80 at the smallest temperature."""
    x, y = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]).requires_grad_(), torch.tensor([0, 0, 1, 1])
    loss = sup_con(x, y, temperature=tau)
    assert loss.item() == pytest.approx(math.log1p(2 * math.exp(-2 / tau)), rel=1e-5, abs=0)
    tilted = (x + torch.tensor([0.0, 1e-2])).detach()
    gradients = []
    for leaf in (tilted.clone().requires_grad_(), tilted.double().requires_grad_()):
        sup_con(leaf, y, temperature=tau).backward()
        gradients.append(leaf.grad.double())
    assert (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[1].norm()


def test_without_anchors_it_is_zero():
    x = torch.randn(3, 4, requires_grad=True)
    loss = sup_con(x, torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss == 0
    assert torch.equal(x.grad, torch.zeros(3, 4))
    for labels in ([5], [-100]):
        one = torch.randn(1, 4, requires_grad=True)
        loss = sup_con(one, torch.tensor(labels))
        loss.backward()
        assert loss == 0
        assert torch.equal(one.grad, torch.zeros(1, 4))


def test_ignored_samples_are_left_out():
    x, y = torch.randn(6, 3), torch.tensor([0, -100, 1, 0, 1, -100])
    x[1] = torch.nan
    x.requires_grad_()
    loss = sup_con(x, y)
    loss.backward()
    kept = y >= 0
    torch.testing.assert_close(loss, sup_con(x.detach()[kept], y[kept]))
    assert x.grad.isfinite().all()
    assert torch.equal(x.grad[~kept], torch.zeros(2, 3))


def test_a_zero_row_is_finite():
    x = torch.randn(4, 3)
    x[0] = 0
    x.requires_grad_()
    sup_con(x, torch.tensor([0, 0, 1, 1])).backward()
    assert x.grad.isfinite().all()
    assert torch.equal(x.grad[0], torch.zeros(3))


def test_shapes_and_dtypes():
    x, y = torch.randn(2, 4, 3), torch.tensor([[0, 1, 0, 1], [1, 1, 0, 2]])
    flat = sup_con(x.flatten(0, 1), y.flatten(), temperature=0.1, reduction="none")
    torch.testing.assert_close(sup_con(x, y, temperature=0.1, reduction="none").flatten(), flat)
    for half in (torch.float16, torch.bfloat16):
        loss = sup_con(x.to(half), y.to(torch.int32))
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, sup_con(x.to(half).float(), y))
    with torch.autocast("cpu", torch.bfloat16):
        narrow = sup_con(x, y)
    torch.testing.assert_close(narrow, sup_con(x, y))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x, y: sup_con(x, y, temperature=0.0), "temperature of at least"),
        (lambda x, y: sup_con(x, y, temperature=math.nan), "temperature of at least"),
        (lambda x, y: sup_con(x, y.float()), "integer labels"),
        (lambda x, y: sup_con(x, y[:2]), r"shape \(4,\)"),
        (lambda x, y: sup_con(x, y - 1), "got -1"),
        (lambda x, y: sup_con(x.long(), y), "floating features"),
        (lambda x, y: sup_con(x, y, reduction="median"), "'median'"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(torch.randn(4, 3), torch.tensor([0, 0, 1, 1]))


def test_module():
    x, y = torch.randn(6, 3), torch.tensor([0, 0, 1, 1, 2, 2])
    torch.testing.assert_close(SupCon(temperature=0.3)(x, y), sup_con(x, y, temperature=0.3))
