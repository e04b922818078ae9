"""NTCE and NONL: the paper's formulas from loops, blocks of classes, the terminal phase, batches of one class."""

import math
import sys

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from neucollapse import InputError
from neucollapse.geometry import simplex
from neucollapse.heads import Cosine
from neucollapse.losses._anchors import contrasts
from neucollapse.losses._nonl import NONL, nonl
from neucollapse.losses._ntce import NTCE, ntce
from neucollapse.losses._spherical import spherical_ce

FUNCTIONS = {"ntce": ntce, "nonl": nonl}
MODULES = {"ntce": NTCE, "nonl": NONL}


def unit(v):
    return v / (v @ v).sqrt()


def naive(x, y, W, s, name):
    """arXiv 2605.20302, anchor by anchor: the class direction against all samples, or against those of other classes."""
    losses = []
    for i in range(len(x)):
        w = unit(W[y[i]])
        chosen = [j for j in range(len(x)) if j != i and (name == "ntce" or y[j] != y[i])]
        total = sum(torch.exp(s * (w @ unit(x[j]) - w @ unit(x[i]))) for j in chosen)  # over the target's own
        losses.append(torch.log1p(total) if name == "ntce" else torch.log(total))  # the target itself is the 1
    return torch.stack(losses)


def samples():
    x = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
    W = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    return x, torch.tensor([0, 5, 3, 0, 1, 3, 3, 1]), W


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("scale", [1.0, 10.0, 30])
@pytest.mark.parametrize("tile", [20, 2**19])
def test_is_the_definition(name, scale, tile, monkeypatch):
    monkeypatch.setattr(sys.modules[contrasts.__module__], "_TILE", tile)
    x, y, W = samples()
    ours, theirs = FUNCTIONS[name](x, y, W, scale=scale, reduction="none"), naive(x, y.tolist(), W, scale, name)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    weights = torch.randn(8, dtype=torch.float64)
    pairs = [torch.autograd.grad((weights * losses).sum(), (x, W)) for losses in (ours, theirs)]
    for mine, other in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(FUNCTIONS[name](x, y, W, scale=scale), theirs.mean())
    torch.testing.assert_close(FUNCTIONS[name](x, y, W, scale=scale, reduction="sum"), theirs.sum())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradcheck(name):
    x, y, W = samples()
    s = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    y[3] = -100
    assert gradcheck(lambda x, W, s: FUNCTIONS[name](x, y, W, scale=s), (x, W, s))
    assert gradgradcheck(lambda x, W, s: FUNCTIONS[name](x, y, W, scale=s), (x, W, s))


def test_with_samples_as_anchors_nonl_is_the_log_odds_of_norm_face():
    x, y, W = samples()
    m = nonl(x, y, W, scale=5.0, anchor="sample", reduction="none")
    torch.testing.assert_close(torch.log1p(m.exp()), spherical_ce(x, y, W, scale=5.0, reduction="none"))
    assert gradcheck(lambda x, W: nonl(x, y, W, scale=5.0, anchor="sample"), (x, W))


@pytest.mark.parametrize("n", [1, 4])
def test_values_at_collapse_on_the_simplex(n):
    K, s = 10, 12.0
    x, y = simplex(K).repeat(n, 1).float(), torch.arange(K).repeat(n)
    W = simplex(K).float()
    gap = s * K / (K - 1)
    assert ntce(x, y, W, scale=s).item() == pytest.approx(math.log(n) + math.log1p((K - 1) * math.exp(-gap)), rel=1e-5)
    assert nonl(x, y, W, scale=s).item() == pytest.approx(math.log((K - 1) * n) - gap, rel=1e-5)
    assert nonl(x, y, W, scale=s, anchor="sample").item() == pytest.approx(math.log(K - 1) - gap, rel=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("scale", [10.0, 40.0])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("noise", [1e-1, 1e-3])
def test_float32_gradient_near_collapse(noise, n, scale, name):
    W = simplex(4)
    x = W.repeat(n, 1)
    x, W, y = (x + noise * torch.randn_like(x)).float(), W.float(), torch.arange(4).repeat(n)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        a, V = x.to(dtype).requires_grad_(), W.to(dtype).requires_grad_()
        loss = (
            FUNCTIONS[name](a, y, V, scale=scale)
            if dtype == torch.float32
            else naive(a, y.tolist(), V, scale, name).mean()
        )
        gradients.append([gradient.double() for gradient in torch.autograd.grad(loss, (a, V))])
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours - theirs).norm() < 1e-4 * theirs.norm()


def test_ntce_of_one_sample_a_class_is_exact_down_to_the_smallest_loss():
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    loss = ntce(x, torch.tensor([0, 1]), x.detach(), scale=30.0)
    assert loss.item() == pytest.approx(math.exp(-60), rel=1e-5, abs=0)
    tilted = torch.tensor([[1.0, 1e-2], [-1.0, 1e-2]], requires_grad=True)
    (gradient,) = torch.autograd.grad(ntce(tilted, torch.tensor([0, 1]), x.detach(), scale=30.0), tilted)
    assert gradient[0, 1].item() == pytest.approx(30 * 1e-2 * loss.item(), rel=2e-2, abs=0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_features_and_directions_reach_the_simplex(name):
    loss = MODULES[name](3, 4, scale=2.0).double()  # at 10 the last of the way is slow: the spread is of fourth order
    x, y = torch.randn(12, 3, dtype=torch.float64, requires_grad=True), torch.arange(4).repeat(3)
    search = torch.optim.LBFGS([x, loss.weight], max_iter=150, line_search_fn="strong_wolfe")

    def closure():
        search.zero_grad()
        value = loss(x, y)
        value.backward()
        return value

    search.step(closure)
    units = torch.nn.functional.normalize(torch.cat([loss.weight, x])).detach()
    target = (4 * (y[:, None] == torch.arange(4)) - 1).double() / 3
    torch.testing.assert_close(units[4:] @ units[:4].T, target, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_finite_at_exact_collapse_and_in_a_batch_of_one_class(name, dtype):
    W = simplex(5).to(dtype)
    for y in (torch.arange(5).repeat(2), torch.full((4,), 2)):
        x, V = W[y].clone().requires_grad_(), W.clone().requires_grad_()
        loss = FUNCTIONS[name](x, y, V)
        loss.backward()
        assert loss.isfinite()
        assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert x.grad.isfinite().all()
        assert V.grad.isfinite().all()
    narrow = FUNCTIONS[name](x.detach(), y, V.detach())
    torch.testing.assert_close(narrow, FUNCTIONS[name](x.detach().float(), y, V.detach().float()).to(narrow.dtype))
    assert nonl(torch.ones(1, 2), torch.tensor([0]), torch.ones(1, 2), anchor="sample").item() == pytest.approx(-10)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ignored_samples_zero_rows_shapes(name):
    function = FUNCTIONS[name]
    x, y, W = torch.randn(2, 4, 3), torch.tensor([[0, -100, 2, 2], [1, 0, 2, 4]]), torch.randn(5, 3)
    x[0, 1] = torch.nan
    x[1, 1] = 0
    x.requires_grad_()
    each = function(x, y, W, reduction="none")
    assert each.shape == (2, 4)
    assert each[0, 1] == 0
    each.sum().backward()
    assert x.grad.isfinite().all()
    assert torch.equal(x.grad[0, 1], torch.zeros(3))
    assert torch.equal(x.grad[1, 1], torch.zeros(3))
    kept = y.flatten() >= 0
    torch.testing.assert_close(function(x, y, W), function(x.flatten(0, 1)[kept], y.flatten()[kept].to(torch.int32), W))
    with torch.autocast("cpu", torch.bfloat16):
        narrow = function(x, y, W)
    torch.testing.assert_close(narrow, function(x, y, W))
    assert function(x, y * 0 - 100, W, reduction="sum") == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_module_has_directions_or_takes_those_of_a_head(name):
    x, y, head = torch.randn(6, 3), torch.randint(5, (6,)), Cosine(3, 5, scale=7.0)
    torch.testing.assert_close(MODULES[name]()(x, y, head), FUNCTIONS[name](x, y, head.weight, scale=7.0))
    own = MODULES[name](3, 5, scale=4.0)
    torch.testing.assert_close(own(x, y), FUNCTIONS[name](x, y, own.weight, scale=4.0))
    own(x, y).backward()
    assert own.weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x, y, W: ntce(x[:, :2], y, W), r"\(8, 2\)"),
        (lambda x, y, W: ntce(x, y, W, scale=0.0), "scale above 0"),
        (lambda x, y, W: nonl(x, y + 1, W), "from 0 to 5"),
        (lambda x, y, W: nonl(x, y.double(), W), "integer labels"),
        (lambda x, y, W: nonl(x, y, W, anchor="batch"), "'batch'"),
        (lambda x, y, W: nonl(x, y, W, reduction="median"), "'median'"),
        (lambda *_: NONL(anchor="batch"), "'batch'"),
        (lambda *_: NTCE(scale=-1.0), "scale above 0"),
        (lambda *_: NTCE(dim=3), "dim and num_classes"),
        (lambda x, y, _: NTCE()(x, y), "NTCE expected a head"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(*samples())
