"""HardMax: the definition from loops, its optimum the softmax code, and the limit of cross-entropy."""

import math
import sys

import pytest
import torch
from torch.autograd import gradcheck

from neucollapse import InputError
from neucollapse.geometry import best_features, icosahedron, one_vs_rest, simplex
from neucollapse.heads import Cosine
from neucollapse.losses._hard_max import HardMax, hard_max
from neucollapse.losses._spherical import spherical_ce


def naive(x, y, W):
    """arXiv 2310.05351: for each sample the maximum over the wrong classes, class by class."""
    gaps = []
    for i in range(len(x)):
        h, u = x[i] / (x[i] @ x[i]).sqrt(), [w / (w @ w).sqrt() for w in W]
        gaps.append(max((u[j] - u[y[i]]) @ h for j in range(len(W)) if j != y[i]))
    return torch.stack(gaps)


def samples():
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    W = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    return x, torch.tensor([0, 5, 3, 0, 1, 3, 1]), W


@pytest.mark.parametrize("tile", [7, 15, 2**19])
@pytest.mark.parametrize(("reduction", "reduce"), [("max", torch.max), ("mean", torch.mean), ("sum", torch.sum)])
def test_is_the_definition(reduction, reduce, tile, monkeypatch):
    monkeypatch.setattr(sys.modules[hard_max.__module__], "_TILE", tile)
    x, y, W = samples()
    ours, theirs = hard_max(x, y, W, reduction=reduction), reduce(naive(x, y.tolist(), W))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    for mine, other in zip(*(torch.autograd.grad(loss, (x, W)) for loss in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(hard_max(x, y, W, reduction="none"), naive(x, y.tolist(), W))


@pytest.mark.parametrize("reduction", ["max", "mean"])
def test_gradcheck(reduction):
    x, y, W = samples()
    assert gradcheck(lambda x, W: hard_max(x, y, W, reduction=reduction), (x, W))


@pytest.mark.parametrize("code", [simplex(6), icosahedron()])
def test_value_at_softmax_codes_is_minus_their_margin(code):
    y, margin = torch.arange(len(code)), one_vs_rest(code).distance.min().item()
    assert hard_max(best_features(code), y, code).item() == pytest.approx(-margin, rel=1e-9)
    assert hard_max(code, y, code, reduction="mean").item() == pytest.approx(-margin, rel=1e-9)


@pytest.mark.parametrize("tau", [0.1, 0.02, 1e-3])
def test_is_the_limit_of_cross_entropy(tau):
    """The bounds of the docstring, and with them the limit; scales up to 1,000, losses of e^-1000."""
    x, y, W = samples()
    x = W[y] + 0.02 * x  # on the right side
    hard = hard_max(x, y, W)
    assert hard < 0
    soft = tau * spherical_ce(x, y, W, scale=1 / tau, reduction="log_mean")
    assert hard - tau * math.log(2 * len(x)) <= soft <= hard + tau * math.log(len(W) - 1)


def test_descent_reaches_the_simplex():
    torch.manual_seed(1)
    y = torch.arange(4)
    loss = HardMax(3, 4)
    x = torch.randn(4, 3, requires_grad=True)
    for step in range(400):
        gradients = torch.autograd.grad(loss(x, y), (x, loss.weight))
        for leaf, gradient in zip((x, loss.weight), gradients, strict=True):
            leaf.data = torch.nn.functional.normalize(leaf.data - 0.3 * 0.985**step * gradient)
    assert loss(x, y).item() == pytest.approx(-4 / 3, abs=5e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_finite_at_exact_collapse_and_at_coincident_classes(dtype):
    W = simplex(5).to(dtype).requires_grad_()
    x = simplex(5).to(dtype).requires_grad_()
    loss = hard_max(x, torch.arange(5), W)
    loss.backward()
    assert loss.item() == pytest.approx(-1.25, abs=1e-2 if dtype in (torch.float16, torch.bfloat16) else 1e-6)
    assert x.grad.isfinite().all()
    assert W.grad.isfinite().all()
    same = torch.ones(3, 2, dtype=dtype, requires_grad=True)
    value = hard_max(same, torch.arange(3), same)
    value.backward()
    assert value == 0
    assert same.grad.isfinite().all()


def test_shapes_ignored_samples_and_empty_batches():
    x, y, W = torch.randn(2, 4, 3), torch.randint(5, (2, 4)), torch.randn(5, 3)
    y[0, 1] = -100
    x[0, 1] = torch.nan
    x.requires_grad_()
    each = hard_max(x, y, W, reduction="none")
    assert each.shape == (2, 4)
    assert each[0, 1] == 0
    each.sum().backward()
    assert torch.equal(x.grad[0, 1], torch.zeros(3))
    assert x.grad.isfinite().all()
    assert hard_max(x[:0], y[:0], W) == 0
    with torch.autocast("cpu", torch.bfloat16):
        narrow = hard_max(x, y, W)
    torch.testing.assert_close(narrow, hard_max(x, y, W))


def test_module_has_directions_or_takes_those_of_a_head():
    x, y, head = torch.randn(6, 3), torch.randint(5, (6,)), Cosine(3, 5, scale=7.0)
    torch.testing.assert_close(HardMax(reduction="mean")(x, y, head), hard_max(x, y, head.weight, reduction="mean"))
    own = HardMax(3, 5)
    torch.testing.assert_close(own(x, y), hard_max(x, y, own.weight))
    assert repr(own) == "HardMax(dim=3, num_classes=5, reduction=max)"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x, y, W: hard_max(x[:, :2], y, W), r"\(7, 2\)"),
        (lambda x, y, W: hard_max(x, 0 * y, W[:1]), "two classes"),
        (lambda x, y, W: hard_max(x, y + 1, W), "from 0 to 5"),
        (lambda x, y, W: hard_max(x, y, W, reduction="median"), "'median'"),
        (lambda *_: HardMax(dim=3), "dim and num_classes"),
        (lambda x, y, _: HardMax()(x, y), "HardMax expected a head"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(*samples())
