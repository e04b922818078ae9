"""Squared error: the definition from loops, the Gram form without logits, and both near collapse."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from neucollapse import InputError
from neucollapse.heads import Cosine, Linear
from neucollapse.losses._mse import MSE, mse, mse_linear

FORMS = ["gram", "logits"]


def naive(z, y, kappa, target, over_classes):
    """arXiv 2006.07322, logit by logit; half the sum in arXiv 2106.02073."""
    losses = []
    for i in range(len(z)):
        total = 0
        for j in range(z.shape[1]):
            total = total + (kappa * (z[i, j] - target) ** 2 if j == y[i] else z[i, j] ** 2)
        losses.append(total / (z.shape[1] if over_classes == "mean" else 2))
    return torch.stack(losses)


def samples(dtype=torch.float64):
    x = torch.randn(6, 3, dtype=dtype, requires_grad=True)
    W = torch.randn(5, 3, dtype=dtype, requires_grad=True)
    b = torch.randn(5, dtype=dtype, requires_grad=True)
    return x, torch.tensor([0, 4, 4, 2, 0, 1]), W, b


@pytest.mark.parametrize("over_classes", ["mean", "half"])
@pytest.mark.parametrize(("kappa", "target"), [(1, 1), (15.0, 30.0)])
def test_is_the_definition(kappa, target, over_classes):
    x, y, W, b = samples()
    z = x @ W.T + b
    theirs = naive(z, y.tolist(), kappa, target, over_classes)
    expected = torch.autograd.grad(theirs.mean(), (x, W, b), retain_graph=True)
    options = {"target": target, "over_classes": over_classes, "reduction": "none"}
    forms = [mse(z, y, kappa=kappa, target=target, over_classes=over_classes, reduction="none")]
    forms += [mse_linear(x, y, W, bias=b, kappa=kappa, form=form, **options) for form in FORMS]
    for ours in forms:
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)
        for mine, other in zip(torch.autograd.grad(ours.mean(), (x, W, b), retain_graph=True), expected, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-12)


def test_is_that_of_torch():
    z, y = torch.randn(7, 4), torch.randint(4, (7,))
    torch.testing.assert_close(mse(z, y), torch.nn.functional.mse_loss(z, torch.nn.functional.one_hot(y, 4).float()))


@pytest.mark.parametrize("form", FORMS)
def test_gradcheck(form):
    x, y, W, b = samples()
    y[2] = -100
    assert gradcheck(lambda x, W, b: mse_linear(x, y, W, bias=b, kappa=3.0, target=2.0, form=form), (x, W, b))
    assert gradgradcheck(lambda x, W, b: mse_linear(x, y, W, bias=b, kappa=3.0, target=2.0, form=form), (x, W, b))
    assert gradcheck(
        lambda z: mse(z, y, kappa=3.0, target=2.0), torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    )


def collapsed(K, d, noise):
    """Weights orthonormal, features on them: logits one-hot up to the noise; float32, one sample a class."""
    W = torch.linalg.qr(torch.randn(d, K, dtype=torch.float64)).Q.T
    W, x = W + noise * torch.randn_like(W), W + noise * torch.randn_like(W)
    return x.float(), torch.arange(K), W.float()


@pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("form", FORMS)
def test_terminal_phase(form, noise):
    """Losses down to 1e-13 of logits of size 1: value and gradients to 1e-4 of a float64 twin, where float32 logits fail."""
    x, y, W = collapsed(12, 16, noise)
    results = []
    for dtype in (torch.float32, torch.float64):
        a, V = x.to(dtype).requires_grad_(), W.to(dtype).requires_grad_()
        loss = (
            mse_linear(a, y, V, form=form)
            if dtype == torch.float32
            else naive(a @ V.T, y.tolist(), 1, 1, "mean").mean()
        )
        results.append([loss, *torch.autograd.grad(loss, (a, V))])
    for ours, theirs in zip(*results, strict=True):
        assert (ours.double() - theirs).norm() < 1e-4 * theirs.norm()
    if noise == 1e-6:
        a = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(mse(a @ W.T, y), a)
        assert (gradient.double() - results[1][1]).norm() > 1e-3 * results[1][1].norm()


def test_zero_at_exact_collapse():
    W = torch.eye(4).requires_grad_()
    x = torch.eye(4).repeat(2, 1).requires_grad_()
    for form in FORMS:
        loss = mse_linear(x, torch.arange(4).repeat(2), W, form=form)
        assert loss == 0
        for gradient in torch.autograd.grad(loss, (x, W)):
            assert torch.equal(gradient, torch.zeros_like(gradient))


def test_the_gram_form_holds_no_logits(monkeypatch):
    B, K, d = 64, 5000, 8
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: sizes.append(tensor.numel()) or tensor, lambda x: x):
        x, W = torch.randn(B, d, requires_grad=True), torch.randn(K, d, requires_grad=True)
        loss = mse_linear(x, torch.randint(K, (B,)), W, bias=torch.randn(K))  # auto: K is large
        loss.backward()
    assert max(sizes) < B * K / 4
    y = torch.randint(K, (B,))
    torch.testing.assert_close(mse_linear(x, y, W, form="gram"), mse_linear(x, y, W, form="logits"))


def test_blocks_change_nothing(monkeypatch):
    import sys

    x, y, W, b = samples()
    whole = mse_linear(x, y, W, bias=b, form="gram")
    expected = torch.autograd.grad(whole, (x, W, b))
    monkeypatch.setattr(sys.modules[mse.__module__], "_TILE", 6)
    blocks = mse_linear(x, y, W, bias=b, form="gram")
    torch.testing.assert_close(blocks, whole, rtol=1e-13, atol=0)
    for mine, other in zip(torch.autograd.grad(blocks, (x, W, b)), expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("form", [*FORMS, "auto"])
def test_shapes_dtypes_and_ignored_samples(form):
    x, y, W = torch.randn(2, 4, 3), torch.randint(5, (2, 4)), torch.randn(5, 3)
    y[0, 1] = -100
    x[0, 1] = torch.nan
    x.requires_grad_()
    each = mse_linear(x, y, W, form=form, reduction="none")
    assert each.shape == (2, 4)
    assert each[0, 1] == 0
    torch.testing.assert_close(mse_linear(x, y, W, form=form), each.sum() / 7)
    torch.testing.assert_close(mse(x @ W.T, y, reduction="none"), each)
    each.sum().backward()
    assert torch.equal(x.grad[0, 1], torch.zeros(3))
    assert x.grad.isfinite().all()
    for half in (torch.float16, torch.bfloat16):
        h, V = x.detach().to(half), W.to(half)
        loss = mse_linear(h, y.to(torch.int32), V, form=form)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, mse_linear(h.float(), y, V.float(), form=form))
    with torch.autocast("cpu", torch.bfloat16):
        narrow = mse_linear(x, y, W, form=form)
    torch.testing.assert_close(narrow, mse_linear(x, y, W, form=form))


def test_module_reads_weight_and_bias_or_logits():
    x, y, head, cosine = torch.randn(6, 3), torch.randint(5, (6,)), Linear(3, 5), Cosine(3, 5)
    for form in ("auto", *FORMS):
        torch.testing.assert_close(MSE(form=form)(x, y, head), mse(head.logits(x), y))
    plain = torch.nn.Linear(3, 5)
    torch.testing.assert_close(
        MSE(kappa=2.0, target=3.0, over_classes="half")(x, y, plain),
        mse(plain(x), y, kappa=2.0, target=3.0, over_classes="half"),
    )
    torch.testing.assert_close(MSE()(x, y, cosine), mse(cosine.logits(x), y))
    with pytest.raises(InputError, match="linear head, got Cosine"):
        MSE(form="gram")(x, y, cosine)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x, y, W, _: mse_linear(x[:, :2], y, W), r"\(6, 2\)"),
        (lambda x, y, W, b: mse_linear(x, y, W, bias=b[:2]), r"bias of shape \(5,\)"),
        (lambda x, y, W, _: mse_linear(x, y + 1, W), "from 0 to 4"),
        (lambda x, y, W, _: mse_linear(x, y, W, form="dense"), "'dense'"),
        (lambda x, y, W, _: mse_linear(x, y, W, kappa=0), "kappa above 0"),
        (lambda x, y, W, _: mse(x @ W.T, y, over_classes="sum"), "'sum'"),
        (lambda x, y, W, _: mse(x @ W.T, y, reduction="median"), "'median'"),
        (lambda *_: MSE(form="dense"), "'dense'"),
        (lambda x, y, *_: MSE()(x, y), "expected a head"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(*samples())
